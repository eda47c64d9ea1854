"""THREAD: the thread lists that the wire shows. RFC 5256 4."""

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from pydovecot.model.numbers import Seq
from pydovecot.model.sort import SortBy, SortKey, ThreadKind
from pydovecot.storage.api import View
from pydovecot.storage.ordering import links, references
from pydovecot.storage.ordering.forest import Threads, build
from pydovecot.storage.ordering.shelf import Shelf
from pydovecot.storage.ordering.sorting import sort_places
from pydovecot.storage.ordering.values import Values

_DIGEST_BYTES: Final = 16


def thread_list(view: View, shelf: Shelf, kind: ThreadKind, seqs: Sequence[Seq], *, uid: bool) -> bytes:
    """The threads of `seqs` (ascending) by UIDs or sequence numbers.

    The answers for all messages and for the last choice of some of them are kept.
    """
    values = Values(view, shelf)
    whole = len(seqs) == len(values.uids)
    name = f"{kind.value} {'uid' if uid else 'seq'} {'all' if whole else 'some'}"
    chosen = b"" if whole else blake2b(array("I", seqs).tobytes(), digest_size=_DIGEST_BYTES).digest()
    if (known := values.kept(name)) is not None and known.startswith(chosen):
        return known[len(chosen) :]
    numbers: Sequence[int] = values.uids if uid else range(1, len(values.uids) + 1)
    places = [seq - 1 for seq in seqs]
    if kind is ThreadKind.ORDEREDSUBJECT:
        answer = _ordered_subject(values, places, numbers)
    else:
        answer = _by_references(values, places, numbers, kind)
    values.keep_answer(name, chosen + answer)
    return answer


def _by_references(values: Values, places: Sequence[int], numbers: Sequence[int], kind: ThreadKind) -> bytes:
    found = links.read(values)
    forest = build(found.numbers.tolist(), found.spans(places), found.highest)
    threads = Threads(forest, values.dates())
    if kind is ThreadKind.REFERENCES:
        roots = references.references(threads, values.subjects())
    else:
        roots = references.refs(threads, forest)
    return written(threads, roots, numbers)


def written(threads: Threads, roots: Sequence[int], numbers: Sequence[int]) -> bytes:
    """Thread lists: `(1)(2 3 (4)(5 6))`. However deep they are: no recursion."""
    children, owner = threads.children, threads.owner
    texts = list(map(str, numbers))
    owner = owner + [-1] * (max(roots, default=0) + 1 - len(owner))  # those of roots that joining made
    out: list[str] = []
    stack = list(reversed(roots))  # nodes in parentheses; 0 closes those of one that has several children
    while stack:
        node = stack.pop()
        if not node:
            out.append(")")
            continue
        place = owner[node]
        if node not in children:
            out.append(f"({texts[place]})")
            continue
        out.append(f"({texts[place]}" if place >= 0 else "(")
        gap = " " if place >= 0 else ""
        while (below := children.get(node)) is not None and len(below) == 1:
            node = below[0]
            out.append(gap + texts[owner[node]])
            gap = " "
        if below is None:
            out.append(")")
            continue
        out.append(gap)
        stack.append(0)
        stack.extend(reversed(threads.sort_children(node)))
    return "".join(out).encode()


def _ordered_subject(values: Values, places: Sequence[int], numbers: Sequence[int]) -> bytes:
    """RFC 5256 ORDEREDSUBJECT: by subject, then date; the first message is the parent of all others."""
    order = sort_places(values, (SortBy(SortKey.SUBJECT), SortBy(SortKey.DATE)), places)
    subjects, dates = values.subjects(), values.dates()
    threads: list[list[int]] = []
    before = -1
    for place in order:
        rank = subjects[place] >> 1
        if rank == before:
            threads[-1].append(place)
        else:
            threads.append([place])
        before = rank
    threads.sort(key=lambda thread: (dates[thread[0]], thread[0]))
    return b"".join([_flat([numbers[place] for place in thread]) for thread in threads])


def _flat(thread: Sequence[int]) -> bytes:
    if len(thread) < 3:
        return f"({' '.join(map(str, thread))})".encode()
    return f"({thread[0]} ({')('.join(map(str, thread[1:]))}))".encode()

"""THREAD: the thread lists that the wire shows. RFC 5256 4."""

from collections.abc import Sequence

from pydovecot.model.numbers import Seq
from pydovecot.model.sort import SortBy, SortKey, ThreadKind
from pydovecot.storage.api import View
from pydovecot.storage.ordering import links, references
from pydovecot.storage.ordering.forest import Threads, build
from pydovecot.storage.ordering.shelf import Shelf
from pydovecot.storage.ordering.sorting import sort_places
from pydovecot.storage.ordering.values import Values


def thread_list(view: View, shelf: Shelf, kind: ThreadKind, seqs: Sequence[Seq], *, uid: bool) -> bytes:
    """The threads of `seqs` (ascending) by UIDs or sequence numbers. That of all messages is kept."""
    values = Values(view, shelf)
    whole = len(seqs) == len(values.uids)
    name = f"{kind.value} {'uid' if uid else 'seq'}"
    if whole and (known := values.kept(name)) is not None:
        return known
    numbers: Sequence[int] = values.uids if uid else range(1, len(values.uids) + 1)
    places = [seq - 1 for seq in seqs]
    if kind is ThreadKind.ORDEREDSUBJECT:
        answer = _ordered_subject(values, places, numbers)
    else:
        answer = _by_references(values, places, numbers, kind)
    if whole:
        values.keep(name, answer, uids=False)
    return answer


def _by_references(values: Values, places: Sequence[int], numbers: Sequence[int], kind: ThreadKind) -> bytes:
    found = links.read(values)
    forest = build(found.of(places), found.highest)
    threads = Threads(forest, values.dates())
    if kind is ThreadKind.REFERENCES:
        roots = references.references(threads, values.subjects())
    else:
        roots = references.refs(threads, forest)
    return written(threads, roots, numbers)


def written(threads: Threads, roots: Sequence[int], numbers: Sequence[int]) -> bytes:
    """Thread lists: `(1)(2 3 (4)(5 6))`. However deep they are: no recursion."""
    children, owner = threads.children, threads.owner
    count = len(owner)
    out: list[str] = []
    for root in roots:
        if root not in children:
            out.append(f"({numbers[owner[root]]})")
            continue
        # A node is written in parentheses, or (negative) without; 0 closes one.
        stack = [root]
        while stack:
            item = stack.pop()
            if not item:
                out.append(")")
                continue
            node = abs(item)
            place = owner[node] if node < count else -1
            if node not in children:
                out.append(f"({numbers[place]})" if item > 0 else str(numbers[place]))
                continue
            if item > 0:
                out.append("(")
                stack.append(0)
            if place >= 0:
                out.append(f"{numbers[place]} ")
            below = threads.sort_children(node)
            if len(below) == 1:
                stack.append(-below[0])
            else:
                stack.extend(reversed(below))
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

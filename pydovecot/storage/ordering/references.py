"""THREAD=REFERENCES and THREAD=REFS: which trees there are, in which order. RFC 5256 REFERENCES (2)-(6)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydovecot.storage.ordering.forest import Forest, Threads


@dataclass(slots=True)
class _Root:
    """`empty`: it stands for a message that is not there, and has children."""

    node: int
    empty: bool = False
    order: tuple[int, int] = (0, 0)
    subject: int = 0  # rank of the base subject, 0: empty or none
    is_reply: bool = False
    merge_into: "_Root | None" = None
    gone: bool = False


def references(threads: Threads, subjects: Sequence[int]) -> list[int]:
    """Roots in order, those with the same base subject joined. `subjects` by place, as Values.subjects."""
    roots = [_Root(node) for node in threads.roots]
    roots += [_Root(node, empty=True) for node in threads.empty_roots]
    roots = _sorted(threads, roots)
    _gather(threads, roots, subjects)
    if any([root.merge_into is not None for root in roots]):
        next_node = len(threads.owner)
        for root in list(roots):
            if root.merge_into is not None and not root.gone:
                _merge(threads, roots, root, next_node + len(roots))
        roots = _sorted(threads, [root for root in roots if not root.gone])
    return [root.node for root in roots]


def _sorted(threads: Threads, roots: list[_Root]) -> list[_Root]:
    """(3), (4): an empty root with one child gives way to it; order by date."""
    for root in roots:
        if root.empty:
            children = threads.sort_children(root.node)
            root.order = threads.order(children[0])
            if len(children) == 1:
                root.node, root.empty = children[0], False
        else:
            root.order = threads.order(root.node)
    roots.sort(key=lambda root: root.order)
    return roots


def _gather(threads: Threads, roots: Sequence[_Root], subjects: Sequence[int]) -> None:
    """(5)(B): find the root that stands for each base subject."""
    table: dict[int, _Root] = {}
    for root in roots:
        node = threads.children[root.node][0] if root.empty else root.node
        packed = subjects[threads.owner[node]]
        if packed < 2:
            continue
        root.subject, root.is_reply = packed >> 1, bool(packed & 1)
        first = table.setdefault(root.subject, root)
        if first is root:
            continue
        if not first.empty and (root.empty or (first.is_reply and not root.is_reply)):
            first.merge_into = root
            table[root.subject] = root
        else:
            root.merge_into = first


def _merge(threads: Threads, roots: list[_Root], root: _Root, new_node: int) -> None:
    """(5)(C)."""
    into = root
    while into.merge_into is not None:
        into = into.merge_into
    children = threads.children
    root.gone = True
    if root.empty:
        children[into.node].extend(children.pop(root.node))
    elif into.empty or (root.is_reply and not into.is_reply):
        children.setdefault(into.node, []).append(root.node)
    else:
        into.gone = True
        into.merge_into = _Root(new_node, empty=True)
        children[new_node] = [into.node, root.node]
        roots.append(into.merge_into)


def refs(threads: Threads, forest: Forest) -> list[int]:
    """Roots in the order of the latest message below each."""
    parent, owner = forest.parent, forest.owner
    latest = dict.fromkeys(threads.roots, 0)
    latest.update(dict.fromkeys(threads.empty_roots, 0))
    root_of = list(range(len(parent)))
    for node in range(1, len(parent)):
        if owner[node] < 0:
            continue
        path: list[int] = []
        at = node
        while root_of[at] == at and parent[at]:
            path.append(at)
            at = parent[at]
        root = root_of[at]
        for passed in path:
            root_of[passed] = root
        date = threads.date(node)
        if date > latest[root]:
            latest[root] = date

    # An empty root has no number: it stands before others of the same date.
    return sorted(sorted(latest), key=lambda node: (latest[node], owner[node] if owner[node] >= 0 else -1))

"""THREAD=REFERENCES and THREAD=REFS: which trees there are, in which order. RFC 5256 REFERENCES (2)-(6).

An empty root stands for a message that is not there: it is sorted by its first child, and has that subject.
"""

from collections.abc import Sequence

from pydovecot.storage.ordering.forest import Forest, Threads


def references(threads: Threads, subjects: Sequence[int]) -> list[int]:
    """Roots in order, those with the same base subject joined. `subjects` by place, as Values.subjects."""
    return _Joining(threads, subjects).roots()


class _Joining:
    def __init__(self, threads: Threads, subjects: Sequence[int]) -> None:
        self._threads, self._subjects = threads, subjects
        self._place = threads.owner.copy()  # of the message that a node, or an empty root, is sorted by
        self._into: dict[int, int] = {}  # root: the one that it is to be joined with
        self._gone: set[int] = set()
        self._empty: set[int] = set()

    def roots(self) -> list[int]:
        """Do all steps."""
        threads = self._threads
        roots = self._sorted([*threads.roots, *threads.empty_roots], len(threads.roots))
        self._gather(roots)
        if not self._into:
            return roots
        whole = list(roots)
        for root in roots:
            if root in self._into and root not in self._gone:
                self._merge(whole, root)
        left = [root for root in whole if root not in self._gone]
        left.sort(key=self._is_empty)
        return self._sorted(left, len(left) - sum(map(self._is_empty, left)))

    def _is_empty(self, root: int) -> bool:
        return root in self._empty

    def _sorted(self, roots: list[int], full: int) -> list[int]:
        """(3), (4): an empty root (these stand last) with one child gives way to it; order by date."""
        threads, place = self._threads, self._place
        for at in range(full, len(roots)):
            root = roots[at]
            children = threads.sort_children(root)
            if len(children) == 1:
                roots[at] = children[0]
                self._empty.discard(root)
            else:
                place[root] = threads.owner[children[0]]
                self._empty.add(root)
        dates = threads.dates
        roots.sort(key=place.__getitem__)
        roots.sort(key=lambda root: dates[place[root]])
        return roots

    def _gather(self, roots: Sequence[int]) -> None:
        """(5)(B): find the root that stands for each base subject."""
        subjects, place, empty, into = self._subjects, self._place, self._empty, self._into
        table: dict[int, int] = {}
        for root in roots:
            packed = subjects[place[root]]
            if packed < 2:
                continue
            first = table.setdefault(packed >> 1, root)
            if first == root:
                continue
            is_better = subjects[place[first]] & 1 and not packed & 1
            if first not in empty and (root in empty or is_better):
                into[first] = root
                table[packed >> 1] = root
            else:
                into[root] = first

    def _merge(self, roots: list[int], root: int) -> None:
        """(5)(C)."""
        children, empty, place = self._threads.children, self._empty, self._place
        into = root
        while into in self._into:
            into = self._into[into]
        self._gone.add(root)
        if root in empty:
            children[into].extend(children.pop(root))
        elif into in empty or (self._is_reply(root) and not self._is_reply(into)):
            children.setdefault(into, []).append(root)
        else:
            both = len(place)
            place.append(-1)
            empty.add(both)
            roots.append(both)
            children[both] = [into, root]
            self._gone.add(into)
            self._into[into] = both

    def _is_reply(self, root: int) -> int:
        return self._subjects[self._place[root]] & 1


def refs(threads: Threads, forest: Forest) -> list[int]:
    """Roots in the order of the latest message below each."""
    parent, owner, dates = forest.parent, forest.owner, threads.dates
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
        date = dates[owner[node]]
        if date > latest[root]:
            latest[root] = date
    # An empty root has no number (owner -1): it stands before others of the same date.
    found = sorted(latest)
    found.sort(key=owner.__getitem__)
    found.sort(key=latest.__getitem__)
    return found

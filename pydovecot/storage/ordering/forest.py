"""Messages joined to trees by the identifiers they refer to. RFC 5256 REFERENCES (1), as Dovecot does it.

Nodes are numbers: of identifiers, and behind those one for each message whose identifier another had first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

# Steps towards roots for each node, in all. Mail takes less than one; mail made to be slow is cut short.
_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Forest:
    """By node: its `parent` (0: none), and the place of its message in `owner` (-1: no such message)."""

    parent: list[int]
    owner: list[int]


class _Builder:
    def __init__(self, highest: int) -> None:
        self.parent = [0] * (highest + 1)
        self.owner = [-1] * (highest + 1)
        self._has_children = bytearray(highest + 1)
        self._up: list[int] = []  # short cuts towards the root; empty when a tree was cut
        self._steps = _STEPS * (highest + 1000)

    def add(self, place: int, own: int, named: Sequence[int]) -> None:
        """Join a message: the identifiers that it names to a chain, as far as they are not joined yet."""
        parent = self.parent
        if self.owner[own] >= 0:
            own = self._new_node()
        self.owner[own] = place
        before = 0
        for node in named:
            if before and not parent[node]:
                self._link(before, node)
            before = node
        if parent[own] and parent[own] != before:
            # Others said otherwise; the message itself knows best.
            parent[own] = 0
            if self._has_children[own]:
                self._up = []
            elif self._up:
                self._up[own] = 0
        if before and not parent[own]:
            self._link(before, own)

    def _new_node(self) -> int:
        self.parent.append(0)
        self.owner.append(-1)
        self._has_children.append(0)
        if self._up:
            self._up.append(0)
        return len(self.parent) - 1

    def _link(self, parent: int, root: int) -> None:
        """Make `root` a child, unless `parent` stands below it."""
        if parent == root or (self._has_children[root] and self._root(parent) in (root, 0)):
            return
        self.parent[root] = parent
        self._has_children[parent] = 1
        if self._up:
            self._up[root] = parent

    def _root(self, node: int) -> int:
        """The root above a node; 0 when it was looked for too long."""
        if not self._up:
            self._up = self.parent.copy()
        up = self._up
        path: list[int] = []
        while above := up[node]:
            path.append(node)
            node = above
        self._steps -= len(path)
        if self._steps < 0:
            return 0
        for passed in path:
            up[passed] = node
        return node


def build(numbers: Sequence[int], messages: Iterable[tuple[int, int, int]], highest: int) -> Forest:
    """Join messages in their order: (place, begin, end), where numbers[begin] is its own, then what it names.

    Numbers are 1..highest.
    """
    builder = _Builder(highest)
    parent, owner = builder.parent, builder.owner
    for place, begin, end in messages:
        own = numbers[begin]
        begin += 1
        if begin == end and owner[own] < 0 and not parent[own]:
            owner[own] = place
        else:
            builder.add(place, own, numbers[begin:end])
    return Forest(builder.parent, builder.owner)


class Threads:
    """The forest without what no message stands for: that stays only as empty roots with children."""

    def __init__(self, forest: Forest, dates: Sequence[int]) -> None:
        self.owner = forest.owner
        self.dates = dates  # by place
        self.children: dict[int, list[int]] = {}
        self.roots: list[int] = []  # nodes with a message
        self.empty_roots: list[int] = []
        self._hang(forest)

    def _hang(self, forest: Forest) -> None:
        parent, owner, children = forest.parent, forest.owner, self.children
        empty = _places_of_empty(forest)
        for node in range(1, len(parent)):
            above = parent[node]
            if owner[node] < 0:
                continue
            if not above:
                self.roots.append(node)
                continue
            if owner[above] < 0:
                above = empty[above]
            if above in children:
                children[above].append(node)
            else:
                children[above] = [node]
        self.empty_roots = [node for node in sorted(children) if owner[node] < 0]

    def sort_children(self, node: int) -> list[int]:
        """The children in order of their dates, equal ones of their places; they stay so."""
        found = self.children[node]
        if len(found) > 1:
            owner, dates = self.owner, self.dates
            found.sort(key=owner.__getitem__)
            found.sort(key=lambda child: dates[owner[child]])
        return found


def _places_of_empty(forest: Forest) -> dict[int, int]:
    """For each node without a message: the first above it that has one, or the root."""
    parent, owner = forest.parent, forest.owner
    found: dict[int, int] = {}
    for node in range(1, len(parent)):
        if owner[node] >= 0 or node in found:
            continue
        path: list[int] = []
        at = node
        while at not in found and owner[at] < 0 and parent[at]:
            path.append(at)
            at = parent[at]
        top = found.get(at, at)
        for passed in path:
            found[passed] = top
        if owner[at] < 0:
            found[at] = top
    return found

"""Sets of message numbers as ranges: `1:4,7,9:*`. RFC 3501 9, sequence-set."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

STAR: Final = 0xFFFFFFFF  # "*": the largest number in use


@dataclass(frozen=True, slots=True)
class SeqSet:
    """Sorted, disjoint, non-adjacent inclusive ranges of numbers 1..2**32-1.

    `has_star` is True when the client wrote `*`; call `resolve` before use.
    """

    ranges: tuple[tuple[int, int], ...] = ()
    raw: tuple[tuple[int, int], ...] = ()  # as written, STAR for *; empty when built from numbers

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "SeqSet":
        """Build from numbers in ascending order (duplicates allowed)."""
        ranges: list[tuple[int, int]] = []
        low = high = -1
        for n in numbers:
            if n == high + 1 or n == high:
                high = n
                continue
            if low != -1:
                ranges.append((low, high))
            low = high = n
        if low != -1:
            ranges.append((low, high))
        return cls(tuple(ranges))

    @classmethod
    def from_ranges(cls, ranges: Iterable[tuple[int, int]]) -> "SeqSet":
        """Build from ranges in any order, each in any direction, overlapping or not."""
        raw = tuple(ranges)
        return cls(_normalise(raw), raw)

    @property
    def has_star(self) -> bool:
        """True when `*` was written somewhere in the set."""
        return any(STAR in pair for pair in self.raw)

    def resolve(self, largest: int) -> "SeqSet":
        """Replace `*` by `largest`. RFC 3501: `*` of an empty mailbox (largest 0) matches nothing."""
        if not self.has_star:
            return self
        pairs = [(largest if a == STAR else a, largest if b == STAR else b) for a, b in self.raw]
        return SeqSet(_normalise([p for p in pairs if p != (0, 0)]))

    def __iter__(self) -> Iterator[int]:
        for low, high in self.ranges:
            yield from range(low, high + 1)

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __contains__(self, number: int) -> bool:
        return any(low <= number <= high for low, high in self.ranges)

    def encode(self) -> bytes:
        """The wire form, smallest first."""
        return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in self.ranges)


EMPTY: Final = SeqSet()
SAVED: Final = SeqSet()  # stands for `$`, the result that SEARCH saved (RFC 5182); compared with `is`


def _normalise(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    out: list[tuple[int, int]] = []
    for low, high in sorted((min(p), max(p)) for p in pairs):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)

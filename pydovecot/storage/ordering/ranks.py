"""Texts as numbers that compare like them: the n-th of all different texts of a mailbox has rank n.

Rank 0 is the empty text, whether a message has it or not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping


class Counter:
    """Takes texts one by one and gives each a number at once; what rank that is, is known in the end."""

    def __init__(self) -> None:
        self._numbers = {"": 0}

    def add(self, text: str) -> int:
        """The number of a text."""
        return self._numbers.setdefault(text, len(self._numbers))

    def ranks(self) -> list[int]:
        """The rank of each number."""
        ranks = [0] * len(self._numbers)
        for rank, text in enumerate(sorted(self._numbers)):
            ranks[self._numbers[text]] = rank
        return ranks


def compact(ranks: Iterable[int]) -> list[int]:
    """The same order without holes."""
    ranks = list(ranks)
    used = sorted({*ranks, 0})
    number = dict(zip(used, range(len(used)), strict=True))
    return list(map(number.__getitem__, ranks))


def insert(ranks: list[int], texts: Mapping[int, str], text_at: Callable[[int], str]) -> list[int]:
    """Ranks without holes, with those of `texts` (place to text), which are 0 so far, put in.

    `text_at(place)` gives the text of a message that has a rank; it is asked few times.
    """
    places = dict(zip(ranks, range(len(ranks)), strict=True))
    count = max(ranks, default=0) + 1
    asked = {0: ""}

    def text_of(rank: int) -> str:
        if rank not in asked:
            asked[rank] = text_at(places[rank])
        return asked[rank]

    inserted: list[int] = []  # the old ranks before which a new text stands
    found: dict[str, int] = {}
    for text in sorted(set(texts.values())):
        rank = bisect_left(range(count), text, key=text_of)
        found[text] = rank + len(inserted)
        if rank == count or text_of(rank) != text:
            inserted.append(rank)
    if inserted:
        moved = [rank + bisect_right(inserted, rank) for rank in range(count)]
        ranks = list(map(moved.__getitem__, ranks))
    for place, text in texts.items():
        ranks[place] = found[text]
    return ranks

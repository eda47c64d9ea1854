"""A stretch of a large message in CRLF form, made block by block: never all of it in memory a second time."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from pydovecot.mime import section

LARGE: Final = 1 << 20  # octets from which on this is worth the trouble
BLOCK: Final = 1 << 18


class Stretch:
    """`message[start:end]` as IMAP sends it. Where its blocks are is found out once, with its size.

    `form` makes CRLF of a block; that of IMAP hides NULs too.
    """

    __slots__ = ("_cuts", "_ends", "_form", "_message", "size")

    def __init__(
        self, message: bytes, start: int, end: int, form: Callable[[bytes], bytes] = section.wire
    ) -> None:
        self._message = message
        self._form = form
        cuts = [start, *range(start + BLOCK, end, BLOCK), end]
        # A line end stays in one block.
        self._cuts = [cut + 1 if message.startswith(b"\n", cut) and cut < end else cut for cut in cuts]
        self._cuts[0] = start
        count = message.count
        sizes = [
            high - low + count(b"\n", low, high) - count(b"\r\n", low, high)
            for low, high in zip(self._cuts, self._cuts[1:], strict=False)
        ]
        self._ends = list(accumulate(sizes))
        self.size = self._ends[-1] if self._ends else 0

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The octets from `offset` on, `length` of them; as many as there are."""
        end = self.size if length is None else min(self.size, offset + length)
        block = bisect_right(self._ends, offset)
        while offset < end:
            data = self._form(self._message[self._cuts[block] : self._cuts[block + 1]])
            start = self._ends[block] - len(data)
            whole = start == offset and start + len(data) <= end
            piece = data if whole else data[offset - start : end - start]
            yield piece
            offset += len(piece)
            block += 1

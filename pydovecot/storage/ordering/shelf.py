"""Arrays with one value for each message of a view, kept between commands and sessions.

What SORT and THREAD compare never changes for a message. So an array is made once for the whole mailbox;
after that only new messages are looked at, and those that are gone are left out.
"""

from array import array
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Kept:
    """An array as it was kept: `values` (packed, in the form of its kind) of the messages `uids`."""

    uids: bytes  # array("I")
    values: bytes


class Shelf(Protocol):
    """Where arrays are kept, by kind. Each is of one mailbox.

    (number of messages, last UID) tells which messages an array is about: a mailbox grows at its end only,
    and whoever knows of an expunge knows of all before it.
    """

    def current(self, kind: str, count: int, last_uid: int) -> bytes | None:
        """The values, if they are kept for exactly these messages."""
        ...

    def latest(self, kind: str) -> Kept | None:
        """The values for whatever messages they were kept."""
        ...

    def keep(self, kind: str, count: int, last_uid: int, kept: Kept) -> None: ...


class NoShelf:
    """Nothing is kept: for mail in memory."""

    def current(self, kind: str, count: int, last_uid: int) -> bytes | None:
        """Never."""
        return None

    def latest(self, kind: str) -> Kept | None:
        """Never."""
        return None

    def keep(self, kind: str, count: int, last_uid: int, kept: Kept) -> None:
        """Forget it."""


def aligned(kept: Kept, typecode: str, uids: "array[int]") -> list[int | None]:
    """Kept values by place in `uids`; None for messages that it does not have."""
    values: array[int] = array(typecode)
    values.frombytes(kept.values)
    known: array[int] = array("I")
    known.frombytes(kept.uids)
    return list(map(dict(zip(known, values, strict=True)).get, uids))

"""Arrays with one value for each message of a view, kept between commands and sessions.

What SORT and THREAD compare never changes for a message. So an array is made once for the whole mailbox;
after that only new messages are looked at, and those that are gone are left out.
"""

from array import array
from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Aligned:
    """Kept values by place in a view, 0 where there is none; `missing` are these places.

    `whole`: no message is gone that had a value.
    """

    values: list[int]
    missing: Sequence[int]
    whole: bool


def aligned(kept: Kept | None, typecode: str, uids: "array[int]") -> Aligned:
    """What is kept, for the messages that a view has now."""
    if kept is None:
        return Aligned([0] * len(uids), range(len(uids)), whole=True)
    values: array[int] = array(typecode)
    values.frombytes(kept.values)
    known: array[int] = array("I")
    known.frombytes(kept.uids)
    count = len(known)
    if uids[:count] == known:
        return Aligned(values.tolist() + [0] * (len(uids) - count), range(count, len(uids)), whole=True)
    by_uid = dict(zip(known, values, strict=True))
    missing = [place for place, uid in enumerate(uids) if uid not in by_uid]
    whole = len(uids) - len(missing) == count
    return Aligned([by_uid.get(uid, 0) for uid in uids], missing, whole)

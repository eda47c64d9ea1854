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

    def keep(self, kind: str, count: int, last_uid: int, kept: Kept, *, changed: int) -> None:
        """`changed`: for so many messages it is not what `latest` gave."""
        ...


class NoShelf:
    """Nothing is kept: for mail in memory."""

    def current(self, kind: str, count: int, last_uid: int) -> bytes | None:
        """Never."""
        return None

    def latest(self, kind: str) -> Kept | None:
        """Never."""
        return None

    def keep(self, kind: str, count: int, last_uid: int, kept: Kept, *, changed: int) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Kept values by place in a view, 0 where there is none; `missing` are these places.

    `gone`: so many values were of messages that are gone.
    """

    values: list[int]
    missing: Sequence[int]
    gone: int

    @property
    def changed(self) -> int:
        """How many messages make the difference."""
        return len(self.missing) + self.gone


def aligned(kept: Kept | None, typecode: str, uids: "array[int]") -> Aligned:
    """What is kept, for the messages that a view has now."""
    if kept is None:
        return Aligned([0] * len(uids), range(len(uids)), gone=0)
    values: array[int] = array(typecode)
    values.frombytes(kept.values)
    known: array[int] = array("I")
    known.frombytes(kept.uids)
    count = len(known)
    if uids[:count] == known:
        return Aligned(values.tolist() + [0] * (len(uids) - count), range(count, len(uids)), gone=0)
    by_uid = dict(zip(known, values, strict=True))
    missing = [place for place, uid in enumerate(uids) if uid not in by_uid]
    return Aligned([by_uid.get(uid, 0) for uid in uids], missing, count - (len(uids) - len(missing)))

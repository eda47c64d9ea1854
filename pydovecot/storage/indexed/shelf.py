"""What SORT and THREAD keep between commands (storage.ordering.shelf): in the index, or first in memory."""

from dataclasses import dataclass
from typing import Final

from pydovecot.index.mailbox import MailboxIndex
from pydovecot.storage.ordering.shelf import Kept

# Messages by which an array may differ from the one in the index: to find out about so few again costs less
# than to write a megabyte for each new mail of a large mailbox.
FEW_CHANGES: Final = 16


@dataclass(frozen=True, slots=True)
class _Fresh:
    """An array that is newer than the one in the index."""

    count: int
    last_uid: int
    kept: Kept
    changed: int


class IndexShelf:
    """The shelf of one view."""

    def __init__(self, index: MailboxIndex) -> None:
        self._index = index
        self._fresh: dict[str, _Fresh] = {}

    def current(self, kind: str, count: int, last_uid: int) -> bytes | None:
        """The values, if they are kept for exactly these messages."""
        fresh = self._fresh.get(kind)
        if fresh is not None and (fresh.count, fresh.last_uid) == (count, last_uid):
            return fresh.kept.values
        return self._index.kept(kind, count, last_uid)

    def latest(self, kind: str) -> Kept | None:
        """The values for whatever messages they were kept."""
        fresh = self._fresh.get(kind)
        if fresh is not None:
            return fresh.kept
        found = self._index.latest_kept(kind)
        return None if found is None else Kept(*found)

    def keep(self, kind: str, count: int, last_uid: int, kept: Kept, *, changed: int) -> None:
        """Keep them."""
        fresh = self._fresh.pop(kind, None)
        changed += fresh.changed if fresh is not None else 0
        if changed < FEW_CHANGES:
            self._fresh[kind] = _Fresh(count, last_uid, kept, changed)
        else:
            self._index.keep(kind, count, last_uid, kept.uids, kept.values)

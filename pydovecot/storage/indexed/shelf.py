"""What SORT and THREAD keep between commands (storage.ordering.shelf), in the index."""

from pydovecot.index.mailbox import MailboxIndex
from pydovecot.storage.ordering.shelf import Kept


class IndexShelf:
    """The shelf of one mailbox."""

    def __init__(self, index: MailboxIndex) -> None:
        self._index = index

    def current(self, kind: str, count: int, last_uid: int) -> bytes | None:
        """The values, if they are kept for exactly these messages."""
        return self._index.kept(kind, count, last_uid)

    def latest(self, kind: str) -> Kept | None:
        """The values for whatever messages they were kept."""
        found = self._index.latest_kept(kind)
        return None if found is None else Kept(*found)

    def keep(self, kind: str, count: int, last_uid: int, kept: Kept) -> None:
        """Keep them."""
        self._index.keep(kind, count, last_uid, kept.uids, kept.values)

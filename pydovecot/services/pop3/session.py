"""One POP3 session: the INBOX as it was at login, what was marked, and what is written at the end.

Message numbers are sequence numbers of a view that is never synced: RFC 1939 3 numbers messages only once.
Deletions happen at QUIT only (the UPDATE state); Seen flags also when the client just goes away.
"""

from array import array
from dataclasses import dataclass
from typing import Final

from pydovecot.event.event import Event
from pydovecot.model.errors import InternalError
from pydovecot.model.flags import Flag, StoreOp
from pydovecot.model.flags import FlagSet as Flags
from pydovecot.model.search import HasFlag
from pydovecot.model.seqset import SeqSet
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.services.pop3.uidl import Uidls, change_text
from pydovecot.settings.expand import expand
from pydovecot.storage.api import Column, ExpungedError, Store, View

SEEN: Final = Flags(Flag.SEEN)
OPEN_TRIES: Final = 3  # messages that vanish while their sizes are read: look again


@dataclass(slots=True)
class Counters:
    """What pop3_logout_format can tell."""

    top: int = 0
    top_bytes: int = 0
    retr: int = 0
    retr_bytes: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Session:
    """The INBOX of one logged-in user. Raises UserError or InternalError when it cannot be opened."""

    def __init__(self, store: Store, settings: Pop3Settings, event: Event) -> None:
        self.store, self.settings, self.event = store, settings, event
        self.counters = Counters()
        self.deleted: set[int] = set()
        self.retrieved: set[int] = set()  # to get \Seen, not written yet
        self.last_retrieved = 0  # for LAST
        self.lowest_retrieved = 0
        self.highest_expunged = 1  # asking again for a message below that counts as an error
        self.committed_deletions = False
        self._uidls: Uidls | None = None
        self.view: View = store.open("INBOX", keep_recent=settings.pop3_no_flag_updates)
        try:
            self.sizes: array[int] = self._read_sizes()
        except BaseException:
            self.view.close()
            raise
        self.total_size = sum(self.sizes)
        if settings.pop3_enable_last:
            seen = self.view.search(HasFlag(Flag.SEEN))
            self.last_retrieved = seen[-1] if seen else 0

    @property
    def count(self) -> int:
        """Number of messages at the start of the session, marked ones included."""
        return len(self.sizes)

    def _read_sizes(self) -> "array[int]":
        column = Column.PHYSICAL_SIZE if self.settings.pop3_fast_size_lookups else Column.SIZE
        for _ in range(OPEN_TRIES):
            everything = SeqSet.of(range(1, len(self.view.uids) + 1))
            try:
                return array("Q", [size for (size,) in self.view.rows(everything, (column,))])  # type: ignore[misc]
            except ExpungedError:
                self.view.sync()
        raise InternalError("Couldn't open INBOX: messages keep vanishing while their sizes are read")

    @property
    def uidls(self) -> Uidls:
        """Made at the first UIDL. Raises InternalError for a format that cannot be filled."""
        if self._uidls is None:
            self._uidls = Uidls(self.view, self.settings)
        return self._uidls

    def present(self) -> list[int]:
        """Message numbers that are not marked, ascending."""
        if not self.deleted:
            return list(range(1, self.count + 1))
        return [seq for seq in range(1, self.count + 1) if seq not in self.deleted]

    def present_size(self) -> int:
        """Octets of those."""
        return self.total_size - self.deleted_size()

    def deleted_size(self) -> int:
        return sum(self.sizes[seq - 1] for seq in self.deleted)

    def mark_retrieved(self, seq: int) -> None:
        """RETR was asked for this message."""
        if not self.lowest_retrieved or seq < self.lowest_retrieved:
            self.lowest_retrieved = seq
        self.last_retrieved = max(self.last_retrieved, seq)
        if not self.settings.pop3_no_flag_updates:
            self.retrieved.add(seq)

    def reset(self) -> None:
        """RSET. With LAST enabled it also makes everything unread again, as RFC 1460 wants."""
        self.last_retrieved = 0
        self.deleted.clear()
        self.retrieved.clear()
        if self.settings.pop3_enable_last and self.count:
            everything = SeqSet.of(range(1, self.count + 1))
            self.view.store(everything, StoreOp.REMOVE, SEEN, silent=True)

    def flush_seen(self) -> None:
        r"""Write the \Seen flags of retrieved messages."""
        if self.retrieved:
            seqs = SeqSet.of(sorted(self.retrieved - self.deleted))
            self.retrieved.clear()
            if seqs:
                self.view.store(seqs, StoreOp.ADD, SEEN, silent=True)

    def update(self) -> None:
        """The UPDATE state: flags and UIDLs first, then the marked messages go. RFC 1939 6."""
        self.flush_seen()
        self.save_uidls()
        if self.deleted:
            self.view.expunge_seqs(SeqSet.of(sorted(self.deleted)))
        self.committed_deletions = True

    def save_uidls(self) -> None:
        """pop3_save_uidl: what a client has seen of UIDLs stays."""
        if self.settings.pop3_save_uidl and self._uidls is not None:
            unsaved = self._uidls.unsaved()
            if unsaved:
                self.view.save_pop3_uidl(unsaved)

    def logout_text(self) -> str:
        """The statistics of the last log line."""
        deleted = self.deleted if self.committed_deletions else set()
        counters = self.counters
        pairs = {
            ("t", "top_count"): counters.top,
            ("p", "top_bytes"): counters.top_bytes,
            ("r", "retr_count"): counters.retr,
            ("b", "retr_bytes"): counters.retr_bytes,
            ("d", "deleted_count"): len(deleted),
            ("m", "message_count"): self.count,
            ("s", "message_bytes"): self.total_size,
            ("i", "input"): counters.bytes_in,
            ("o", "output"): counters.bytes_out,
        }
        table = {name: str(value) for names, value in pairs.items() for name in names}
        table["deleted_bytes"] = str(self.deleted_size() if deleted else 0)
        table["u"] = table["uidl_change"] = self._uidl_change()
        return expand(self.settings.pop3_logout_format, table)

    def _uidl_change(self) -> str:
        if self._uidls is None:
            return ""
        return change_text(self._uidls.texts, self.present(), self.lowest_retrieved)

    def close(self) -> None:
        r"""The end, however it came: \Seen flags are kept, deletions only if `update` was called."""
        try:
            if not self.committed_deletions:
                self.flush_seen()
                self.save_uidls()
        finally:
            self.view.close()

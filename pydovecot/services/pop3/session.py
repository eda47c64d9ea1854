"""One POP3 session: the INBOX as it was at login, what was marked, and what is written at the end.

Message numbers are given once, at login (RFC 1939 3): the view is never synced so that its numbers move.
Deletions happen at QUIT only (the UPDATE state); Seen flags also when the client just goes away.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from pydovecot.event.event import Event
from pydovecot.mime.stretch import Stretch
from pydovecot.model.errors import InternalError
from pydovecot.model.flags import NO_FLAGS, Flag, StoreOp
from pydovecot.model.flags import FlagSet as Flags
from pydovecot.model.numbers import Seq
from pydovecot.model.search import HasFlag, HasKeyword, Not
from pydovecot.model.seqset import SeqSet
from pydovecot.services.pop3.logout import Counters, Totals
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.services.pop3.uidl import Uidls, change_text
from pydovecot.storage.api import Column, ExpungedError, MailboxGoneError, Store, View

SEEN: Final = Flags(Flag.SEEN)
OPEN_TRIES: Final = 3  # messages that vanish while their sizes are read: look again


class Session:
    """The INBOX of one logged-in user. Raises UserError or InternalError when it cannot be opened.

    Messages are named by their number in this session, also in `deleted` and `retrieved`.
    """

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
        self._told_uidls: set[int] = set()  # for pop3_save_uidl
        self._seqs: array[int]  # sequence numbers by message number
        self._everything: SeqSet  # the same
        self.view: View = store.open("INBOX", keep_recent=settings.pop3_no_flag_updates)
        try:
            self.sizes: array[int] = self._read_sizes()
            self.total_size = sum(self.sizes)
            if settings.pop3_enable_last:
                seen = self.view.search(HasFlag(Flag.SEEN))
                self.last_retrieved = self._number_of_last(seen)
        except BaseException:
            self.view.close()
            raise

    @property
    def count(self) -> int:
        """Number of messages at the start of the session, marked ones included."""
        return len(self.sizes)

    # -- numbers -------------------------------------------------------------------------------------------

    def _read_sizes(self) -> "array[int]":
        column = Column.QUICK_SIZE if self.settings.pop3_fast_size_lookups else Column.SIZE
        for _ in range(OPEN_TRIES):
            self._number()
            try:
                return array("Q", [size for (size,) in self.view.rows(self._everything, (column,))])  # type: ignore[misc]
            except ExpungedError:
                self.view.sync()
        raise InternalError("Couldn't open INBOX: messages keep vanishing while their sizes are read")

    def _number(self) -> None:
        """Give message numbers. Messages with pop3_deleted_flag have none: they are there for IMAP only."""
        flag = self.settings.pop3_deleted_flag
        shown = self.view.search(Not(HasKeyword(flag))) if flag else range(1, len(self.view.uids) + 1)
        self._seqs = array("L", shown)
        self._everything = SeqSet.of(shown)

    def _number_of_last(self, seqs: Sequence[Seq]) -> int:
        """Message number of the last of these that has one."""
        return next((at + 1 for seq in reversed(seqs) if (at := self._place(seq)) >= 0), 0)

    def _place(self, seq: Seq) -> int:
        at = bisect_left(self._seqs, seq)
        return at if at < len(self._seqs) and self._seqs[at] == seq else -1

    def _seqs_of(self, numbers: Iterable[int]) -> SeqSet:
        return SeqSet.of(self._seqs[number - 1] for number in sorted(numbers))

    # -- what commands ask ---------------------------------------------------------------------------------

    @property
    def uidls(self) -> Uidls:
        """Made at the first UIDL. Raises InternalError for a format that cannot be filled."""
        if self._uidls is None:
            self.view.verify()
            self._uidls = Uidls(self.view, self._everything, self.settings)
        return self._uidls

    def told_uidls(self, numbers: Iterable[int]) -> None:
        """The client has seen the UIDLs of these messages."""
        if self.settings.pop3_save_uidl:
            # With "rename" each depends on all others.
            alone = self.settings.pop3_uidl_duplicates == "allow"
            self._told_uidls.update(numbers if alone else range(1, self.count + 1))

    def message(self, number: int) -> bytes | Stretch:
        """A message with CRLF. Raises ExpungedError when it, or the whole mailbox, is gone."""
        try:
            self.view.verify()
            message = self.view.message(Seq(self._seqs[number - 1]))
            try:
                return message.crlf_stretch() or message.crlf()
            finally:
                message.close()
        except MailboxGoneError as exc:
            raise ExpungedError from exc

    def present(self) -> list[int]:
        """Message numbers that are not marked, ascending."""
        if not self.deleted:
            return list(range(1, self.count + 1))
        return [number for number in range(1, self.count + 1) if number not in self.deleted]

    def present_size(self) -> int:
        """Octets of those."""
        return self.total_size - self.deleted_size()

    def deleted_size(self) -> int:
        return sum(self.sizes[number - 1] for number in self.deleted)

    def asked_for(self, number: int) -> None:
        """RETR was asked for this message."""
        if not self.lowest_retrieved or number < self.lowest_retrieved:
            self.lowest_retrieved = number
        self.last_retrieved = max(self.last_retrieved, number)

    def mark_retrieved(self, number: int) -> None:
        """RETR has got this message."""
        if not self.settings.pop3_no_flag_updates:
            self.retrieved.add(number)

    def reset(self) -> None:
        """RSET. With LAST enabled it also makes everything unread again, as RFC 1460 wants."""
        self.last_retrieved = 0
        self.deleted.clear()
        self.retrieved.clear()
        if self.settings.pop3_enable_last and self.count:
            self.view.store(self._everything, StoreOp.REMOVE, SEEN, silent=True)

    # -- what is written -----------------------------------------------------------------------------------

    def flush_seen(self) -> None:
        r"""Write the \Seen flags of retrieved messages."""
        if self.retrieved:
            numbers = self.retrieved - self.deleted
            self.retrieved = set()
            if numbers:
                self.view.verify()
                self.view.mark_seen(self._seqs_of(numbers))

    def update(self) -> None:
        """The UPDATE state: flags and UIDLs first, then the marked messages go. RFC 1939 6.

        Raises MailboxGoneError when this is another mailbox by now: nothing is deleted then.
        """
        self.view.sync(expunges=False)
        self.flush_seen()
        self.save_uidls()
        if self.deleted:
            self._delete(self._seqs_of(self.deleted))
        self.committed_deletions = True

    def _delete(self, seqs: SeqSet) -> None:
        flag, how = self.settings.pop3_deleted_flag, self.settings.pop3_delete_type
        if flag and how != "expunge":
            self.view.store(seqs, StoreOp.ADD, Flags(NO_FLAGS, frozenset((flag,))), silent=True)
        else:
            self.view.expunge_seqs(seqs)

    def save_uidls(self) -> None:
        """pop3_save_uidl: what a client has seen of UIDLs stays."""
        if self._told_uidls and self._uidls is not None:
            unsaved = self._uidls.unsaved(sorted(self._told_uidls))
            self._told_uidls.clear()
            if unsaved:
                self.view.save_pop3_uidl(unsaved)

    def totals(self) -> Totals:
        """For the last log line."""
        done = self.committed_deletions
        return Totals(
            deleted=len(self.deleted) if done else 0,
            deleted_bytes=self.deleted_size() if done else 0,
            messages=self.count,
            octets=self.total_size,
            uidl_change=self._uidl_change(),
        )

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

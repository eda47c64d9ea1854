"""A view of a memory mailbox, written for clearness: what every other driver's view has to do."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence

from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.numbers import ModSeq, Seq, Uid
from pydovecot.model.search import Key
from pydovecot.model.seqset import SeqSet
from pydovecot.model.sort import SortBy, ThreadKind
from pydovecot.storage.api import (
    Changes,
    Column,
    CopyResult,
    ExpungedError,
    MailboxGoneError,
    Save,
    SaveResult,
    StoreResult,
)
from pydovecot.storage.backend import Resolver
from pydovecot.storage.content import Content, crlf_size
from pydovecot.storage.copying import Original, copy_messages
from pydovecot.storage.drivers.memory.columns import MAIL_COLUMNS, State, needs_content, state_of
from pydovecot.storage.drivers.memory.mailbox import Mail, Mailbox, changed_flags, wire_flags
from pydovecot.storage.hooks import MailboxHook
from pydovecot.storage.ordering.shelf import NoShelf
from pydovecot.storage.ordering.sorting import in_order
from pydovecot.storage.ordering.threading import thread_list
from pydovecot.storage.search import evaluate


class MemoryView:
    """See storage.api.View. `_told` is what this client was told of each message, by UID."""

    def __init__(
        self, mailbox: Mailbox, name: str, resolve: Resolver, *, readonly: bool, keep_recent: bool,
        hook: MailboxHook | None = None,
    ) -> None:  # fmt: skip
        self._mailbox, self._resolve, self._hook = mailbox, resolve, hook
        self.name, self.readonly = name, readonly
        self._keep_recent = keep_recent or readonly
        self._uids: array[int] = array("L", mailbox.mails)
        self._told: dict[int, State] = {uid: state_of(mail) for uid, mail in mailbox.mails.items()}
        self._rows: dict[int, Mail] = dict(mailbox.mails)
        self._pending: set[int] = set()  # changed by this view, not told yet
        self._recent: set[int] = set()
        self._shows_recent = True
        self._known_keywords = len(mailbox.keywords)
        self._told_modseq = mailbox.modseq
        self._told_recent = self._take_recent(self._uids)
        self._event: int | None = None

    @property
    def uidvalidity(self) -> int:
        """UIDVALIDITY."""
        return self._mailbox.uidvalidity

    @property
    def uidnext(self) -> Uid:
        """UIDNEXT."""
        return Uid(self._mailbox.uidnext)

    @property
    def highest_modseq(self) -> ModSeq:
        """HIGHESTMODSEQ as of the last sync."""
        return ModSeq(self._told_modseq)

    @property
    def keeps_modseqs(self) -> bool:
        """As long as there is the mailbox."""
        return True

    @property
    def guid(self) -> str:
        """The mailbox's own id."""
        return self._mailbox.guid

    @property
    def keywords(self) -> Sequence[str]:
        """All keyword names, in the order in which they came."""
        return self._mailbox.keywords

    @property
    def keywords_allowed(self) -> bool:
        """Any number of keywords may be made."""
        return not self.readonly

    @property
    def uids(self) -> "array[int]":
        """UIDs in order."""
        return self._uids

    @property
    def recent(self) -> int:
        """Number of messages with Recent in this view."""
        return self._told_recent

    def hide_recent(self) -> None:
        """No message has Recent here."""
        self._shows_recent = False
        self._recent.clear()
        self._told_recent = 0

    def _take_recent(self, uids: Iterable[int]) -> int:
        if self._shows_recent:
            self._recent.update(uid for uid in uids if uid >= self._mailbox.first_recent)
        if not self._keep_recent:
            self._mailbox.first_recent = self._mailbox.uidnext
        return len(self._recent)

    def first_unseen(self) -> Seq | None:
        """The first message without Seen."""
        for seq, uid in enumerate(self._uids, 1):
            if not self._told[uid][0] & Flag.SEEN:
                return Seq(seq)
        return None

    def seqs_of(self, uids: SeqSet) -> SeqSet:
        """Sequence numbers of UIDs."""
        wanted = uids.resolve(self._uids[-1] if self._uids else 0)
        return SeqSet.of(seq for seq, uid in enumerate(self._uids, 1) if uid in wanted)

    def _chosen(self, seqs: SeqSet) -> Iterator[tuple[int, int]]:
        for seq in seqs.resolve(len(self._uids)):
            if seq > len(self._uids):
                return
            if seq:  # 1:* of an empty mailbox
                yield seq, self._uids[seq - 1]

    def rows(self, seqs: SeqSet, columns: Sequence[Column]) -> Iterator[tuple[object, ...]]:
        """Rows in sequence order; content that is gone: ExpungedError behind the last row."""
        gone = False
        for seq, uid in self._chosen(seqs):
            if needs_content(columns) and uid not in self._mailbox.mails:
                gone = True
                continue
            yield tuple(self._value(column, seq, uid) for column in columns)
        if gone:
            raise ExpungedError

    def _value(self, column: Column, seq: int, uid: int) -> object:
        system, keywords, modseq = self._told[uid]
        if column is Column.FLAGS:
            return wire_flags(system, keywords, uid in self._recent, self._mailbox.keywords)
        if column is Column.KEYWORDS:
            return tuple(name for name in self._mailbox.keywords if name in keywords)
        by_state = {
            Column.SEQ: seq,
            Column.UID: uid,
            Column.MAILBOX: self.name,
            Column.SYSTEM_FLAGS: system,
            Column.MODSEQ: modseq,
        }
        if column in by_state:
            return by_state[column]
        return MAIL_COLUMNS[column](self._rows[uid])

    def message(self, seq: Seq) -> Content:
        """Open one message."""
        return Content(self.stored(self._uids[seq - 1]))

    def links(self, seq: Seq) -> int:
        """There are no files."""
        return 0

    def stored(self, uid: int) -> bytes:
        """The bytes of one message; ExpungedError when it is gone."""
        mail = self._mailbox.mails.get(uid)
        if mail is None:
            raise ExpungedError
        return mail.stored

    def search(self, key: Key) -> Sequence[Seq]:
        """Sequence numbers of matching messages."""
        return evaluate(self, key)

    def sort(self, program: Sequence[SortBy], seqs: Sequence[Seq]) -> Sequence[Seq]:
        """Messages in another order."""
        return in_order(self, NoShelf(), program, seqs)

    def thread(self, kind: ThreadKind, seqs: Sequence[Seq], *, uid: bool) -> bytes:
        """Messages as thread lists."""
        return thread_list(self, NoShelf(), kind, seqs, uid=uid)

    def store(
        self,
        seqs: SeqSet,
        op: StoreOp,
        flags: FlagSet,
        *,
        unchanged_since: ModSeq | None = None,
        silent: bool = False,
    ) -> StoreResult:
        """Change flags of what the mailbox holds now."""
        self.verify()
        named = self._mailbox.spelled(flags.keywords, create=op is not StoreOp.REMOVE)
        changed: list[int] = []
        modified: list[Uid] = []
        gone, modseq = False, 0
        for seq, uid in self._chosen(seqs):
            mail = self._mailbox.mails.get(uid)
            if mail is None:
                gone = True
                continue
            if unchanged_since is not None and mail.modseq > unchanged_since:
                modified.append(Uid(uid))
                continue
            system, keywords = changed_flags(mail.system, mail.keywords, op, flags, named)
            mine = (system, keywords) != (mail.system, mail.keywords)
            if mine:
                modseq = modseq or self._mailbox.next_modseq()
                mail.system, mail.keywords, mail.modseq = system, keywords, modseq
                changed.append(seq)
            elif silent and state_of(mail)[:2] != self._told[uid][:2]:
                self._pending.add(uid)  # what another session did is told even if it is what we asked for
            self._take_own(uid, mail, changed_flags(*self._told[uid][:2], op, flags, named), silent)
        if changed:
            self._mailbox.wake()
        return StoreResult(SeqSet.of(changed), modified, gone, ModSeq(modseq))

    def _take_own(self, uid: int, mail: Mail, expected: tuple[int, frozenset[str]], silent: bool) -> None:
        """Show a change of ours at once. The next sync tells it if the client does not know the outcome."""
        now = state_of(mail)
        if now != self._told[uid] and (not silent or expected != now[:2]):
            self._pending.add(uid)
        self._told[uid] = now

    def mark_seen(self, seqs: SeqSet) -> None:
        """Set Seen; the client is told by the FETCH that did it."""
        unseen = [seq for seq, uid in self._chosen(seqs) if not self._told[uid][0] & Flag.SEEN]
        if unseen and not self.readonly:
            self.store(SeqSet.of(unseen), StoreOp.ADD, FlagSet(Flag.SEEN), silent=True)

    def copy(self, seqs: SeqSet, target: str) -> CopyResult:
        """Copy through the target's Save."""
        return self._copy(seqs, target, moved=False)

    def _copy(self, seqs: SeqSet, target: str, *, moved: bool) -> CopyResult:
        self.verify()
        chosen = [uid for _, uid in self._chosen(seqs)]
        mails = [self._mailbox.mails[uid] for uid in chosen if uid in self._mailbox.mails]
        originals = [
            Original(m.uid, FlagSet(Flag(m.system), m.keywords), m.received, m.pop3_uidl, m.stored)
            for m in mails
        ]
        return copy_messages(originals, len(chosen), target, self._resolve, moved=moved)

    def move(self, seqs: SeqSet, target: str) -> CopyResult:
        """Copy, then expunge what was copied."""
        self._writable()
        result = self._copy(seqs, target, moved=True)
        self._expunge(result.source)
        return result

    def _writable(self) -> None:
        if self.readonly:
            raise UserError(Code.CANNOT, "Mailbox is read-only")

    def _expunge(self, uids: Sequence[int]) -> None:
        mailbox, gone = self._mailbox, list[bytes]()
        if self._hook is not None:
            gone = [mailbox.mails[uid].stored for uid in uids if uid in mailbox.mails]
        mailbox.expunge(uids)
        if self._hook is not None and gone:
            self._hook.left(len(gone), sum(map(len, gone)), sum(map(crlf_size, gone)))

    def replace(self, seq: Seq, save: Save) -> SaveResult:
        """A new message for an old one."""
        self.verify()
        self._writable()
        uid = self._uids[seq - 1]
        if uid not in self._mailbox.mails:
            raise UserError(Code.EXPUNGEISSUED, "The message to be replaced was expunged")
        result = save.commit()
        self._expunge([uid])
        return result

    def expunge(self, uids: SeqSet | None = None) -> None:
        """Remove messages with Deleted."""
        self.verify()
        self._expunge(
            [
                mail.uid
                for mail in self._mailbox.mails.values()
                if mail.system & Flag.DELETED
                and mail.uid in self._told
                and (uids is None or mail.uid in uids)
            ]
        )

    def expunge_seqs(self, seqs: SeqSet) -> None:
        """Remove messages whatever their flags."""
        self.verify()
        self._expunge([uid for _, uid in self._chosen(seqs)])

    def verify(self) -> None:
        """The mailbox was not deleted."""
        if self._mailbox.deleted:
            raise MailboxGoneError(self.name)

    def checkpoint(self) -> None:
        """Nothing is ever put off."""

    def sync(self, *, expunges: bool = True) -> Changes:
        """Compare what was told with what is."""
        self.verify()
        mails = self._mailbox.mails
        gone = [(seq, uid) for seq, uid in enumerate(self._uids, 1) if uid not in mails] if expunges else []
        for _, uid in gone:
            del self._told[uid], self._rows[uid]
            self._recent.discard(uid)
            self._pending.discard(uid)
        if gone:
            self._uids = array("L", (uid for uid in self._uids if uid in self._told))
        last = self._uids[-1] if self._uids else 0
        new = [uid for uid in mails if uid > last and uid not in self._told]
        self._uids.extend(new)
        for uid in new:
            self._told[uid], self._rows[uid] = state_of(mails[uid]), mails[uid]
        changed = []
        for seq, uid in enumerate(self._uids, 1):
            mail = mails.get(uid)
            if uid in self._pending or (mail is not None and self._told[uid] != state_of(mail)):
                changed.append(Seq(seq))
                if mail is not None:
                    self._told[uid] = state_of(mail)
        self._pending.clear()
        recent, self._told_recent = self._told_recent, self._take_recent(new)
        keywords, self._known_keywords = self._known_keywords, len(self._mailbox.keywords)
        held = any(uid not in mails for uid in self._uids)
        if not held:
            self._told_modseq = self._mailbox.modseq
        return Changes(
            expunged=[Seq(seq) for seq, _ in gone],
            expunged_uids=[Uid(uid) for _, uid in gone],
            exists=len(self._uids) if new else None,
            recent=self._told_recent if recent != self._told_recent else None,
            changed=changed,
            new_keywords=keywords != self._known_keywords,
            highest_modseq=ModSeq(self._told_modseq),
            held=held,
        )

    def changed_since(self, modseq: ModSeq, seqs: SeqSet | None = None) -> Sequence[Seq]:
        """Messages changed after `modseq`."""
        chosen = enumerate(self._uids, 1) if seqs is None else self._chosen(seqs)
        return [Seq(seq) for seq, uid in chosen if self._told[uid][2] > modseq]

    def vanished_since(self, modseq: ModSeq, uids: SeqSet | None = None, *, same_to: Uid = Uid(0)) -> SeqSet:
        """UIDs expunged after `modseq`; when that was too long ago, all UIDs that are not there."""
        mailbox = self._mailbox
        gone: Iterable[int] = (uid for when, uid in mailbox.expunged if when > modseq)
        if modseq < mailbox.expunged_from:
            gone = range(same_to + 1, mailbox.uidnext)
        wanted = None if uids is None else uids.resolve(mailbox.uidnext - 1)
        return SeqSet.of(
            sorted(uid for uid in gone if uid not in self._told and (wanted is None or uid in wanted))
        )

    def save_pop3_uidl(self, uidls: Iterable[tuple[Uid, str]]) -> None:
        """Keep UIDLs."""
        self.verify()
        for uid, uidl in uidls:
            if uid in self._mailbox.mails:
                self._mailbox.mails[uid].pop3_uidl = uidl

    def watch(self) -> int | None:
        """An eventfd that the mailbox writes to."""
        if self._event is None:
            self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._mailbox.watchers.add(self._event)
        return self._event

    @property
    def watch_problem(self) -> str:
        """There is never any."""
        return ""

    def drain_watch(self) -> bool:
        """Read the eventfd."""
        if self._event is None:
            return True
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Stop watching."""
        if self._event is not None:
            self._mailbox.watchers.discard(self._event)
            os.close(self._event)
            self._event = None

"""A view of a mailbox that is kept in the index: arrays of UIDs and states, and the deltas between them."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from pydovecot.index.mailbox import Delta, Header, apply, merge, positions, without
from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.numbers import ModSeq, Seq, Uid
from pydovecot.model.search import And, Key, SeqIn
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
from pydovecot.storage.backend import Parts
from pydovecot.storage.copying import Original, copy_messages
from pydovecot.storage.indexed import flagsearch
from pydovecot.storage.indexed.folder import Folder, StateChange
from pydovecot.storage.indexed.shown import ShownMailbox
from pydovecot.storage.indexed.watch import Watch
from pydovecot.storage.indexed.wire import Wire
from pydovecot.storage.ordering.sorting import in_order
from pydovecot.storage.ordering.threading import thread_list
from pydovecot.storage.search import evaluate

SEEN: Final = int(Flag.SEEN)
DELETED: Final = int(Flag.DELETED)
RECENT_CHANGES: Final = 16  # modseqs: housekeeping that follows a change (new/ to cur/) comes soon after it


class IndexedView(ShownMailbox):
    """See storage.api.View: finding, changing, and learning what others have done."""

    # -- finding -------------------------------------------------------------------------------------------

    def search(self, key: Key) -> Sequence[Seq]:
        """Sequence numbers of matching messages. Flags are looked up here, the rest is evaluated."""
        test, rest = flagsearch.split(key, self._wire.by_bit)
        if test.never:
            return []
        if test.mask == 0 or not rest:
            return evaluate(self, key) if rest else self._matching(test)
        found = self._matching(test)
        return evaluate(self, And((SeqIn(SeqSet.of(found)), *rest))) if found else []

    def sort(self, program: Sequence[SortBy], seqs: Sequence[Seq]) -> Sequence[Seq]:
        """Messages in another order; what is compared is kept in the index."""
        return in_order(self, self._shelf, program, seqs)

    def thread(self, kind: ThreadKind, seqs: Sequence[Seq], *, uid: bool) -> bytes:
        """Messages as thread lists; those of all messages are kept in the index."""
        return thread_list(self, self._shelf, kind, seqs, uid=uid)

    def _matching(self, test: flagsearch.FlagTest) -> list[Seq]:
        mask, value = test.mask, test.value
        if not mask:
            return list(range(1, len(self._uids) + 1))  # type: ignore[arg-type]
        return [seq for seq, state in enumerate(self._states, 1) if state & mask == value]  # type: ignore[misc]

    def changed_since(self, modseq: ModSeq, seqs: SeqSet | None = None) -> Sequence[Seq]:
        """Messages changed after `modseq`; what this view does not know yet is still to come."""
        if modseq >= self._modseq:
            return []
        found = positions(self._uids, self._index.changed_since(modseq))
        if seqs is None:
            return [Seq(at + 1) for at in found]
        chosen = seqs.resolve(len(self._uids))
        if len(chosen.ranges) == 1:
            ((low, high),) = chosen.ranges
            return [Seq(at + 1) for at in found if low <= at + 1 <= high]
        numbers = set(chosen) if found else ()
        return [Seq(at + 1) for at in found if at + 1 in numbers]

    def vanished_since(self, modseq: ModSeq, uids: SeqSet | None = None, *, same_to: Uid = Uid(0)) -> SeqSet:
        """UIDs expunged after `modseq`; when that was too long ago, all UIDs that are not there."""
        gone = self._index.vanished_since(modseq)
        if gone is None:
            gone = [(max(low, same_to + 1), high) for low, high in self._holes() if high > same_to]
        else:  # what this view holds back is still to be told as EXPUNGE
            gone = [part for low, high in gone for part in self._missing(low, high)]
        if uids is not None:
            gone = _intersect(gone, uids.resolve(self._header.uidnext - 1).ranges)
        return SeqSet(tuple(merge(gone)))

    def _missing(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Ranges within low..high of UIDs that this view does not show."""
        uids = self._uids
        at = bisect_left(uids, low)
        while at < len(uids) and uids[at] <= high:
            if uids[at] > low:
                yield low, uids[at] - 1
            low = uids[at] + 1
            at += 1
        if low <= high:
            yield low, high

    def _holes(self) -> Iterator[tuple[int, int]]:
        """Ranges of all UIDs given so far that this view does not show."""
        return self._missing(1, self._header.uidnext - 1)

    # -- changing ------------------------------------------------------------------------------------------

    def _writable(self) -> None:
        if self.readonly:
            raise UserError(Code.CANNOT, "Mailbox is read-only")
        self.verify()

    def verify(self) -> None:
        """The UIDs still mean the messages that they meant."""
        if self._folder.ensure() != self._header.uidvalidity:
            raise MailboxGoneError(self.name)

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
        self._writable()
        self._just_loaded = False
        bits = int(flags.system)
        if flags.keywords:
            bits |= self._folder.keyword_bits(flags.keywords, create=op is not StoreOp.REMOVE)
        change = StateChange(op, bits)
        uids = self._uids_of(seqs)
        outcome = self._folder.store(uids, change, unchanged_since=unchanged_since)
        changed: list[int] = []
        places = positions(self._uids, [uid for uid, _, _ in outcome.states])
        for at, (uid, state, mine) in zip(places, outcome.states, strict=True):
            known = self._states[at]
            if mine:
                changed.append(at + 1)
                self._stored.add(uid)
            if state != known:
                # What another session did is told even if it is what this one asked for.
                if not silent or not mine or change.apply(known) != state:
                    self._pending.add(uid)
                self._states[at] = state
            elif mine and not silent:
                self._pending.add(uid)  # others had changed it, and this has changed it back
        header = self._index.header()
        self._learn_keywords(header)
        if outcome.modseq == self._modseq + 1 and header.born == self._header.born:
            # Nobody else changed anything: there is nothing to read back.
            self._modseq = outcome.modseq
        return StoreResult(
            SeqSet.of(changed), [Uid(uid) for uid in outcome.modified], outcome.gone, ModSeq(outcome.modseq)
        )

    def _learn_keywords(self, header: Header) -> None:
        """Show new names at once; the next sync tells that there are more."""
        names = header.keyword_names()
        if [name for name in names if name] != self._wire.keywords:
            self._wire = Wire(names)

    def mark_seen(self, seqs: SeqSet) -> None:
        """Set Seen; the client is told by the FETCH that did it."""
        if self.readonly:
            return
        states = self._states
        unseen = [
            seq
            for low, high in self._clip(seqs)
            for seq in range(low, high + 1)
            if not states[seq - 1] & SEEN
        ]
        if unseen:
            self.store(SeqSet.of(unseen), StoreOp.ADD, FlagSet(Flag.SEEN), silent=True)

    def copy(self, seqs: SeqSet, target: str) -> CopyResult:
        """Copy all or none."""
        self.verify()
        return self._copy(seqs, target, move=False)

    def move(self, seqs: SeqSet, target: str) -> CopyResult:
        """Move all or none."""
        self._writable()
        return self._copy(seqs, target, move=True)

    def _copy(self, seqs: SeqSet, target: str, *, move: bool) -> CopyResult:
        backend, parts = self._resolve(target)
        uids = self._uids_of(seqs)
        folder_of: Callable[[Parts], Folder] | None = getattr(backend, "folder", None)
        if folder_of is not None:
            result = self._folder.copy(uids, folder_of(parts), move=move)
            if result is not None:
                return result
        result = copy_messages(self._originals(uids), len(uids), target, self._resolve, moved=move)
        if move:
            self._folder.expunge(result.source, only_deleted=False)
        return result

    def _originals(self, uids: Sequence[int]) -> Iterator[Original]:
        """For a target of another kind."""
        columns = (Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.RECEIVED, Column.POP3_UIDL)
        for uid in uids:
            try:
                stored = self.stored(uid)
                (row,) = self.rows(self.seqs_of(SeqSet.of([uid])), columns)
            except ExpungedError:
                continue
            system, keywords, received, uidl = row
            assert isinstance(system, int) and isinstance(keywords, tuple)
            assert isinstance(received, int) and isinstance(uidl, str)
            flags = FlagSet(Flag(system), frozenset(keywords))
            yield Original(uid, flags, received, uidl, stored, self._folder.sender_of(uid))

    def replace(self, seq: Seq, save: Save) -> SaveResult:
        """A new message for an old one."""
        self._writable()
        return self._folder.replace(self._uids[seq - 1], save)

    def expunge(self, uids: SeqSet | None = None) -> None:
        """Remove messages with Deleted."""
        self._writable()
        seqs = self.seqs_of(uids) if uids is not None else SeqSet(((1, max(1, len(self._uids))),))
        self._folder.expunge(self._uids_of(seqs), only_deleted=True)

    def expunge_seqs(self, seqs: SeqSet) -> None:
        """Remove these messages."""
        self._writable()
        self._folder.expunge(self._uids_of(seqs), only_deleted=False)

    def save_pop3_uidl(self, uidls: Iterable[tuple[Uid, str]]) -> None:
        """Keep UIDLs in the format's own place."""
        self.verify()
        self._folder.save_uidls([(int(uid), uidl) for uid, uidl in uidls])

    # -- sync ----------------------------------------------------------------------------------------------

    def sync(self, *, expunges: bool = True) -> Changes:
        """Look at the disk, then take in what the index knows."""
        if not self._kept_asked:
            self._release()
        self._kept_asked = False
        after, self._woken_at = self._woken_at, 0
        self._folder.sync(take_new=not self._keep_recent, after=after)
        header = self._index.header()
        if header.uidvalidity != self._header.uidvalidity:
            raise MailboxGoneError(self.name)
        known = self._header
        same = (header.born, header.modseq) == (known.born, self._modseq)
        quiet = same and header.keywords == known.keywords
        if quiet and not self._pending and not (self._held and expunges):
            self._header = header
            if not self._held:
                self._shown_modseq = self._modseq
            return Changes(highest_modseq=ModSeq(self._shown_modseq), held=bool(self._held))
        return self._take(expunges)

    def checkpoint(self) -> None:
        """All is on disk, all of it has been looked at."""
        self._folder.sync(take_new=not self._keep_recent, full=True)
        if not self.readonly:
            self._folder.write_back()

    def _take(self, expunges: bool) -> Changes:
        self._just_loaded = False
        with self._index.database.read():  # the header of just the messages that are taken in
            header = self._index.header()
            same = (header.born, header.modseq) == (self._header.born, self._modseq)
            delta = None if same else self._index.delta(self._modseq, self._header.born)
        if header.uidvalidity != self._header.uidvalidity:
            raise MailboxGoneError(self.name)
        new_keywords = header.keywords != self._header.keywords
        if new_keywords:
            self._wire = Wire(header.keyword_names())
        self._header = header
        if delta is not None and delta.complete:
            there = {uid for uid, _ in delta.states}
            delta.expunged = {uid for uid in self._uids if uid not in there}
        if delta is not None:
            self._modseq = delta.modseq
            self._held |= delta.expunged
        gone: list[int] = []
        gone_uids: list[Uid] = []
        if expunges and self._held:
            gone = positions(self._uids, sorted(self._held))
            gone_uids = [Uid(self._uids[at]) for at in gone]
            self._uids, self._states = without(self._uids, self._states, gone)
            self._recent.difference_update(self._held)
            self._pending.difference_update(self._held)
            self._held.clear()
        known = len(self._uids)
        changed = self._take_states(delta) if delta is not None else set()
        changed.update(positions(self._uids, sorted(self._pending)))
        self._pending.clear()
        self._stored.clear()
        if len(self._uids) > known:
            self._take_recent(known)
        recent, self._told_recent = self._told_recent, len(self._recent)
        if not self._held:
            self._shown_modseq = self._modseq
        return Changes(
            expunged=[Seq(at + 1) for at in gone],
            expunged_uids=gone_uids,
            exists=len(self._uids) if len(self._uids) > known else None,
            recent=self._told_recent if recent != self._told_recent else None,
            changed=[Seq(at + 1) for at in sorted(changed)],
            new_keywords=new_keywords,
            highest_modseq=ModSeq(self._shown_modseq),
            held=bool(self._held),
        )

    def _take_states(self, delta: Delta) -> set[int]:
        """Take new and changed messages; returns places of those that the client knows otherwise."""
        last = self._uids[-1] if self._uids else 0
        changed: set[int] = set()
        old = [(uid, state) for uid, state in delta.states if uid <= last]
        for at, (uid, state) in zip(
            positions(self._uids, [uid for uid, _ in old], exact=False), old, strict=True
        ):
            if at < len(self._uids) and self._uids[at] == uid:
                # Flags that are as they were have another modseq, which CONDSTORE clients keep; as Dovecot.
                touched = not delta.complete and uid not in self._stored
                if touched or self._states[at] != state:
                    changed.add(at)
        self._uids, self._states, _ = apply(
            self._uids, self._states, Delta(delta.modseq, delta.states, set())
        )
        return changed

    # -- waiting -------------------------------------------------------------------------------------------

    def watch(self) -> int | None:
        """An inotify descriptor on the mailbox; None where there is no inotify."""
        if self._watch is None or (self._watch.fd is None and self._watch.problem):
            self._watch = Watch(self._folder.watched())
            self._quiet_modseq = self._modseq
        return self._watch.fd

    @property
    def watch_problem(self) -> str:
        """Why `watch` gave nothing."""
        return self._watch.problem if self._watch is not None else ""

    def drain_watch(self) -> bool:
        """Take events; those of changes that this view knows (its own are among them) are no news."""
        seen = self._watch.drain() if self._watch is not None else None
        if seen is None:
            return self._watch is None
        self._woken_at = time.time_ns()
        if seen.whole:
            return True
        self._index.header()  # a row that is missing is made here, and not within the transaction
        with self._index.database.read():  # what explains the names must not be newer than the header
            header, known = self._index.header(), self._header
            if (header.born, header.modseq, header.keywords) != (known.born, self._modseq, known.keywords):
                return True
            if not self._folder.explains(seen.names, self._quiet_modseq - RECENT_CHANGES):
                return True
        self._quiet_modseq, self._woken_at = self._modseq, 0
        return False

    def close(self) -> None:
        """Leave the mailbox; what makes the next opening quick is kept."""
        self._release()
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if not self._held:
            self._index.save_snapshot(self._modseq, self._uids, self._states)
        if not self.readonly and not self._left:
            self._left = True
            self._folder.leave()


def _intersect(left: Sequence[tuple[int, int]], right: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Both sorted."""
    out: list[tuple[int, int]] = []
    at = 0
    for low, high in left:
        while at < len(right) and right[at][1] < low:
            at += 1
        place = at
        while place < len(right) and right[place][0] <= high:
            out.append((max(low, right[place][0]), min(high, right[place][1])))
            place += 1
    return out

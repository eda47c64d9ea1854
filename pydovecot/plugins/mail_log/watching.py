"""Between a store and who uses it: what changes is told when it has happened."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from pydovecot.delivery.mail import Counted
from pydovecot.model.flags import FLAG_NAMES, FlagSet, StoreOp, in_order
from pydovecot.model.numbers import ModSeq, Seq
from pydovecot.model.seqset import SeqSet
from pydovecot.plugins.mail_log.events import RECENT, Facts, MailLog, names_of
from pydovecot.storage.api import (
    Column,
    CopyResult,
    ExpungedError,
    Save,
    SavedContent,
    SaveResult,
    StoreResult,
    View,
)
from pydovecot.storage.wrapped import WrappedSave, WrappedView

DELETED: Final = "\\Deleted"
HEAD_BYTES: Final = 1 << 16  # the fields are looked for in so much of a message that is saved


class Watcher:
    """See storage.hooks.StoreWatcher."""

    def __init__(self, log: MailLog) -> None:
        self._log = log

    def view(self, view: View) -> View:
        """Every view tells."""
        return LoggedView(view, self._log)

    def save(self, name: str, save: Save) -> Save:
        """Every save tells."""
        return LoggedSave(save, name, self._log)

    def created(self, name: str) -> None:
        """One line."""
        self._log.tell_mailbox("mailbox_create", f"Mailbox created: {name}")

    def deleting(self, view: View) -> None:
        """Its messages are expunged."""
        if "expunge" in self._log.events and len(view.uids):
            for facts in facts_of(view, SeqSet(((1, len(view.uids)),)), self._log):
                self._log.tell("expunge", view.name, facts)

    def deleted(self, name: str) -> None:
        """One line."""
        self._log.tell_mailbox("mailbox_delete", f"Mailbox deleted: {name}")

    def renamed(self, old: str, new: str) -> None:
        """One line."""
        self._log.tell_mailbox("mailbox_rename", f"Mailbox renamed: {old} -> {new}")


def facts_of(view: View, seqs: SeqSet, log: MailLog) -> list[Facts]:
    """Of messages that are there; what is gone already is left out."""
    found: list[Facts] = []
    try:
        for row in view.rows(seqs, (Column.UID, *log.columns)):
            facts = Facts(row[0])  # type: ignore[arg-type]
            for column, value in zip(log.columns, row[1:], strict=True):
                _put(facts, column, value)
            found.append(facts)
    except ExpungedError:
        pass
    return found


def _put(facts: Facts, column: Column, value: Any) -> None:
    if column is Column.PHYSICAL_SIZE:
        facts.size = value
    elif column is Column.SIZE:
        facts.vsize = value
    elif column is Column.FIELDS:
        facts.fields = value
    else:
        facts.flags = names_of(value)


class LoggedView(WrappedView):
    """Tells what its user does; what others did is theirs to tell."""

    def __init__(self, inner: View, log: MailLog) -> None:
        super().__init__(inner)
        self._log = log

    def _facts(self, seqs: SeqSet) -> list[Facts]:
        return facts_of(self.inner, seqs, self._log)

    def _flags(self, seqs: SeqSet) -> dict[int, list[str]]:
        if not self._log.events & {"delete", "undelete", "flag_change"}:
            return {}
        return self._all_flags(seqs)

    def store(
        self,
        seqs: SeqSet,
        op: StoreOp,
        flags: FlagSet,
        *,
        unchanged_since: ModSeq | None = None,
        silent: bool = False,
    ) -> StoreResult:
        """delete, undelete, flag_change."""
        before = self._flags(seqs)
        result = self.inner.store(seqs, op, flags, unchanged_since=unchanged_since, silent=silent)
        if before and result.changed:
            self._tell_flags(result.changed, before)
        return result

    def mark_seen(self, seqs: SeqSet) -> None:
        """flag_change."""
        before = self._flags(seqs)
        self.inner.mark_seen(seqs)
        if before:
            self._tell_flags(seqs, before)

    def _tell_flags(self, seqs: SeqSet, before: dict[int, list[str]]) -> None:
        now = self._flags(seqs)
        for facts in self._facts(seqs):
            old, new = before.get(facts.uid, []), now.get(facts.uid, [])
            old_system, old_keywords = _divided(old)
            system, keywords = _divided(new)
            if system != old_system:
                facts.flags = [*system, *old_keywords]
                self._log.tell(_event(old_system, system), self.name, facts)
            if keywords != old_keywords:
                facts.flags = new
                self._log.tell("flag_change", self.name, facts)

    def copy(self, seqs: SeqSet, target: str) -> CopyResult:
        """copy."""
        result = self.inner.copy(seqs, target)
        if "copy" in self._log.events and result.source:
            sources = self._facts(self.inner.seqs_of(SeqSet.of(sorted(result.source))))
            self._tell_copies(result, sources, target)
        return result

    def move(self, seqs: SeqSet, target: str) -> CopyResult:
        """copy and expunge."""
        if not self._log.events & {"copy", "expunge"}:
            return self.inner.move(seqs, target)
        sources = self._facts(seqs)
        result = self.inner.move(seqs, target)
        self._tell_copies(result, sources, target)
        gone = set(result.source)
        self._tell_expunged([facts for facts in sources if facts.uid in gone])
        return result

    def _tell_copies(self, result: CopyResult, sources: Sequence[Facts], target: str) -> None:
        by_uid = {facts.uid: facts for facts in sources}
        for source, uid in zip(result.source, result.target, strict=True):
            facts = by_uid.get(source)
            if facts is not None:
                facts.flags = [name for name in facts.flags if name != RECENT]
                copied = Facts(uid, facts.size, facts.vsize, facts.fields, facts.flags)
                self._log.tell("copy", target, copied, source=self.name)

    def replace(self, seq: Seq, save: Save) -> SaveResult:
        """save and expunge."""
        old = self._facts(SeqSet(((seq, seq),)))
        result = self.inner.replace(seq, save.inner if isinstance(save, WrappedSave) else save)
        if isinstance(save, LoggedSave):
            save.tell(result)
        self._tell_expunged(old)
        return result

    def expunge(self, uids: SeqSet | None = None) -> None:
        r"""expunge, of those with \Deleted."""
        count = len(self.inner.uids)
        if not count or "expunge" not in self._log.events:
            self.inner.expunge(uids)
            return
        seqs = SeqSet(((1, count),)) if uids is None else self.inner.seqs_of(uids)
        gone = [uid for uid, flags in self._all_flags(seqs).items() if DELETED in flags]
        facts = self._facts(self.inner.seqs_of(SeqSet.of(gone)))
        self.inner.expunge(uids)
        self._tell_expunged(facts)

    def _all_flags(self, seqs: SeqSet) -> dict[int, list[str]]:
        rows: Iterable[tuple[Any, ...]] = self.inner.rows(seqs, (Column.UID, Column.FLAGS))
        return {uid: names_of(flags) for uid, flags in rows}

    def expunge_seqs(self, seqs: SeqSet) -> None:
        """expunge."""
        facts = self._facts(seqs) if "expunge" in self._log.events else []
        self.inner.expunge_seqs(seqs)
        self._tell_expunged(facts)

    def _tell_expunged(self, facts: Sequence[Facts]) -> None:
        for one in facts:
            self._log.tell("expunge", self.name, one)


def _divided(flags: Sequence[str]) -> tuple[list[str], list[str]]:
    """System flags and keywords."""
    return [one for one in flags if one[:1] == "\\"], [one for one in flags if one[:1] != "\\"]


def _event(old: Sequence[str], new: Sequence[str]) -> str:
    if (DELETED in old) == (DELETED in new):
        return "flag_change"
    return "delete" if DELETED in new else "undelete"


class LoggedSave(WrappedSave):
    """save: told once the messages are there, by what went through."""

    # Of the latest commit in this process: the same message for the next recipient comes without its bytes.
    latest: ClassVar[Sequence[tuple[SavedContent, Facts]]] = ()

    def __init__(self, inner: Save, name: str, log: MailLog) -> None:
        super().__init__(inner)
        self._name, self._log = name, log
        self._told: list[Facts] = []
        self._head = bytearray()
        self._flags: list[str] = []
        self._counted = Counted()

    def begin(
        self, flags: FlagSet, received: int | None, *, guid: str = "", pop3_uidl: str = "",
        expected: int = 0, moved: bool = False, sender: str | None = None,
    ) -> None:  # fmt: skip
        """A new message."""
        super().begin(
            flags, received, guid=guid, pop3_uidl=pop3_uidl, expected=expected, moved=moved, sender=sender
        )
        self._start(flags)

    def begin_shared(self, content: SavedContent, flags: FlagSet, received: int | None) -> bool:
        """Its bytes never come by: what can be told of it is in the first one's line."""
        begun = super().begin_shared(content, flags, received)
        if begun:
            self._start(flags)
            known = next((facts for one, facts in self.latest if one is content), None)
            if known is not None:
                self._head += known.fields
                self._counted = Counted(known.size, known.vsize)
        return begun

    def _start(self, flags: FlagSet) -> None:
        self._head.clear()
        self._counted = Counted()
        self._flags = [
            *(name for flag, name in FLAG_NAMES if flag in flags.system),
            *in_order(flags.keywords),
        ]

    def write(self, chunk: bytes) -> None:
        """Look at it as it passes."""
        super().write(chunk)
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        self._counted.add(chunk)

    def finish(self) -> None:
        """One message is whole."""
        super().finish()
        counted = self._counted
        self._told.append(Facts(0, counted.physical, counted.virtual, bytes(self._head), self._flags))

    def commit(self) -> SaveResult:
        """All are there: tell."""
        result = super().commit()
        self.tell(result)
        return result

    def tell(self, result: SaveResult) -> None:
        """The lines, once it is known which UIDs they have."""
        told, self._told = self._told, []
        for uid, facts in zip(result.uids, told, strict=False):
            facts.uid = uid
            self._log.tell("save", self._name, facts)
        LoggedSave.latest = list(zip(result.contents, told, strict=False))

    def rollback(self) -> None:
        """Nothing has happened."""
        self._told.clear()
        super().rollback()

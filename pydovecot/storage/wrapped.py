"""Views and saves that pass everything on: what plugins that watch or change something begin with."""

from array import array
from collections.abc import Iterable, Iterator, Sequence

from pydovecot.model.flags import FlagSet, StoreOp
from pydovecot.model.numbers import ModSeq, Seq, Uid
from pydovecot.model.search import Key
from pydovecot.model.seqset import SeqSet
from pydovecot.model.sort import SortBy, ThreadKind
from pydovecot.storage.api import (
    Changes,
    Column,
    CopyResult,
    Message,
    Save,
    SavedContent,
    SaveResult,
    StoreResult,
    View,
)


class WrappedView:
    """See storage.api.View."""

    def __init__(self, inner: View) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def readonly(self) -> bool:
        return self.inner.readonly

    @property
    def uidvalidity(self) -> int:
        return self.inner.uidvalidity

    @property
    def uidnext(self) -> Uid:
        return self.inner.uidnext

    @property
    def highest_modseq(self) -> ModSeq:
        return self.inner.highest_modseq

    @property
    def keeps_modseqs(self) -> bool:
        return self.inner.keeps_modseqs

    @property
    def guid(self) -> str:
        return self.inner.guid

    @property
    def keywords(self) -> Sequence[str]:
        return self.inner.keywords

    @property
    def keywords_allowed(self) -> bool:
        return self.inner.keywords_allowed

    @property
    def uids(self) -> "array[int]":
        return self.inner.uids

    @property
    def recent(self) -> int:
        return self.inner.recent

    def hide_recent(self) -> None:
        self.inner.hide_recent()

    def first_unseen(self) -> Seq | None:
        return self.inner.first_unseen()

    def seqs_of(self, uids: SeqSet) -> SeqSet:
        return self.inner.seqs_of(uids)

    def rows(self, seqs: SeqSet, columns: Sequence[Column]) -> Iterator[tuple[object, ...]]:
        return self.inner.rows(seqs, columns)

    def message(self, seq: Seq) -> Message:
        return self.inner.message(seq)

    def links(self, seq: Seq) -> int:
        return self.inner.links(seq)

    def search(self, key: Key) -> Sequence[Seq]:
        return self.inner.search(key)

    def sort(self, program: Sequence[SortBy], seqs: Sequence[Seq]) -> Sequence[Seq]:
        return self.inner.sort(program, seqs)

    def thread(self, kind: ThreadKind, seqs: Sequence[Seq], *, uid: bool) -> bytes:
        return self.inner.thread(kind, seqs, uid=uid)

    def store(
        self,
        seqs: SeqSet,
        op: StoreOp,
        flags: FlagSet,
        *,
        unchanged_since: ModSeq | None = None,
        silent: bool = False,
    ) -> StoreResult:
        return self.inner.store(seqs, op, flags, unchanged_since=unchanged_since, silent=silent)

    def mark_seen(self, seqs: SeqSet) -> None:
        self.inner.mark_seen(seqs)

    def copy(self, seqs: SeqSet, target: str) -> CopyResult:
        return self.inner.copy(seqs, target)

    def move(self, seqs: SeqSet, target: str) -> CopyResult:
        return self.inner.move(seqs, target)

    def replace(self, seq: Seq, save: Save) -> SaveResult:
        return self.inner.replace(seq, save)

    def expunge(self, uids: SeqSet | None = None) -> None:
        self.inner.expunge(uids)

    def expunge_seqs(self, seqs: SeqSet) -> None:
        self.inner.expunge_seqs(seqs)

    def verify(self) -> None:
        self.inner.verify()

    def checkpoint(self) -> None:
        self.inner.checkpoint()

    def sync(self, *, expunges: bool = True) -> Changes:
        return self.inner.sync(expunges=expunges)

    def changed_since(self, modseq: ModSeq, seqs: SeqSet | None = None) -> Sequence[Seq]:
        return self.inner.changed_since(modseq, seqs)

    def vanished_since(self, modseq: ModSeq, uids: SeqSet | None = None, *, same_to: Uid = Uid(0)) -> SeqSet:
        return self.inner.vanished_since(modseq, uids, same_to=same_to)

    def save_pop3_uidl(self, uidls: Iterable[tuple[Uid, str]]) -> None:
        self.inner.save_pop3_uidl(uidls)

    def watch(self) -> int | None:
        return self.inner.watch()

    @property
    def watch_problem(self) -> str:
        return self.inner.watch_problem

    def drain_watch(self) -> bool:
        return self.inner.drain_watch()

    def close(self) -> None:
        self.inner.close()


class WrappedSave:
    """See storage.api.Save."""

    def __init__(self, inner: Save) -> None:
        self.inner = inner

    def begin(
        self, flags: FlagSet, received: int | None, *, guid: str = "", pop3_uidl: str = "",
        expected: int = 0, moved: bool = False, sender: str | None = None,
    ) -> None:  # fmt: skip
        self.inner.begin(
            flags, received, guid=guid, pop3_uidl=pop3_uidl, expected=expected, moved=moved, sender=sender
        )

    def begin_shared(self, content: SavedContent, flags: FlagSet, received: int | None) -> bool:
        return self.inner.begin_shared(content, flags, received)

    def write(self, chunk: bytes) -> None:
        self.inner.write(chunk)

    def finish(self) -> None:
        self.inner.finish()

    def commit(self) -> SaveResult:
        return self.inner.commit()

    def rollback(self) -> None:
        self.inner.rollback()

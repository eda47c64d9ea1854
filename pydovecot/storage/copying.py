"""Copying through the contract alone: works between any two drivers."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from pydovecot.model.flags import Flag, FlagSet
from pydovecot.model.numbers import Uid
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, CopyResult, ExpungedError
from pydovecot.storage.backend import Resolver

_COLUMNS = (Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.RECEIVED, Column.POP3_UIDL)


class Source(Protocol):
    """The part of a view that copying needs."""

    def seqs_of(self, uids: SeqSet) -> SeqSet: ...
    def rows(self, seqs: SeqSet, columns: Sequence[Column]) -> Iterator[tuple[object, ...]]: ...
    def stored(self, uid: int) -> bytes: ...


def copy_messages(source: Source, uids: Sequence[int], target: str, resolve: Resolver) -> CopyResult:
    """Save copies of messages in another mailbox, all or none; flags and received date come along."""
    backend, parts = resolve(target)
    save = backend.save(parts)
    copied: list[Uid] = []
    try:
        for uid in uids:
            try:
                stored = source.stored(uid)
            except ExpungedError:
                continue
            for system, keywords, received, uidl in source.rows(source.seqs_of(SeqSet.of([uid])), _COLUMNS):
                assert isinstance(system, int) and isinstance(keywords, tuple)
                assert isinstance(received, int) and isinstance(uidl, str)
                save.begin(FlagSet(Flag(system), frozenset(keywords)), received, pop3_uidl=uidl)
            save.write(stored)
            save.finish()
            copied.append(Uid(uid))
        result = save.commit()
    except BaseException:
        save.rollback()
        raise
    return CopyResult(result.uidvalidity, copied, result.uids, gone=len(copied) < len(uids))

"""Messages in a list as a view to search in: only what storage.search reads."""

from array import array
from collections.abc import Iterator, Sequence

from pydovecot.mime import section, summary
from pydovecot.model.flags import Flag
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, ExpungedError
from pydovecot.storage.content import Content, common_fields


class ListView:
    """A mailbox of unchanging messages; `gone` are sequence numbers whose content is expunged."""

    name = "INBOX"

    def __init__(self, mails: Sequence[bytes]) -> None:
        self.mails = list(mails)
        self.uids = array("I", range(101, 101 + len(self.mails)))
        self.system_flags = [0] * len(self.mails)
        self.keyword_sets: list[tuple[str, ...]] = [()] * len(self.mails)
        self.received = [0] * len(self.mails)
        self.recent_seqs: set[int] = set()
        self.gone: set[int] = set()
        self.opened: list[int] = []
        self._summaries = [summary.of(mail) for mail in self.mails]

    @property
    def keywords(self) -> Sequence[str]:
        return sorted({name for names in self.keyword_sets for name in names})

    @property
    def recent(self) -> int:
        return len(self.recent_seqs)

    def seqs_of(self, uids: SeqSet) -> SeqSet:
        wanted = uids.resolve(self.uids[-1])
        return SeqSet.of(seq for seq, uid in enumerate(self.uids, 1) if uid in wanted)

    def rows(self, seqs: SeqSet, columns: Sequence[Column]) -> Iterator[tuple[object, ...]]:
        missing = False
        for seq in seqs:
            if seq in self.gone and not {Column.HEADER, Column.FIELDS}.isdisjoint(columns):
                missing = True
                continue
            yield tuple(self._value(column, seq) for column in columns)
        if missing:
            raise ExpungedError

    def _value(self, column: Column, seq: int) -> object:
        found = self._summaries[seq - 1]
        flags = [str(flag) for flag in Flag if self.system_flags[seq - 1] & flag]
        flags += ["\\Recent"] if seq in self.recent_seqs else []
        values: dict[Column, object] = {
            Column.SEQ: seq,
            Column.UID: self.uids[seq - 1],
            Column.SYSTEM_FLAGS: self.system_flags[seq - 1],
            Column.FLAGS: " ".join(flags).encode(),
            Column.KEYWORDS: self.keyword_sets[seq - 1],
            Column.MODSEQ: 1000 + seq,
            Column.RECEIVED: self.received[seq - 1],
            Column.SAVED: self.received[seq - 1],
            Column.SIZE: found.size,
            Column.GUID: f"guid{seq}",
            Column.SENT_DAY: found.sent_day,
            Column.HEADER: section.crlf(self.mails[seq - 1][: found.root.body]),
            Column.FIELDS: common_fields(self.mails[seq - 1][: found.root.body]),
        }
        return values[column]

    def changed_since(self, modseq: int, seqs: SeqSet | None = None) -> list[int]:
        return [seq for seq in seqs or range(1, len(self.mails) + 1) if 1000 + seq > modseq]

    def message(self, seq: int) -> Content:
        if seq in self.gone:
            raise ExpungedError
        self.opened.append(seq)
        return Content(self.mails[seq - 1])

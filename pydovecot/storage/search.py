"""Which messages of a view match a search program (model.search), cheapest questions first.

Columns are read in bulk from the index; a message's content is read only when everything cheaper has
left it in.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Set
from datetime import date, datetime
from itertools import islice
from typing import Final, cast

from pydovecot.mime.headersearch import FieldSearch
from pydovecot.mime.textsearch import Needle
from pydovecot.model.numbers import ModSeq, Seq
from pydovecot.model.search import (
    Age,
    All,
    And,
    Contains,
    Date,
    DateField,
    DateOp,
    EmailId,
    Guid,
    HasFlag,
    HasKeyword,
    Header,
    Key,
    Larger,
    MailboxGuidIs,
    MailboxIs,
    ModSeqSince,
    Moment,
    Not,
    Or,
    Recent,
    SeqIn,
    Smaller,
    ThreadId,
    UidIn,
    Where,
)
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import COMMON_FIELDS, Column, ExpungedError, View
from pydovecot.storage.list.pattern import Matcher

Seqs = Set[int]

HEADERS_AT_ONCE: Final = 200  # some 100 KB are looked through together
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY_SECS: Final = 86400
# What a key costs: each step is about ten times the one before.
_COST: Final[dict[type, int]] = {
    All: 0, SeqIn: 0, UidIn: 0, MailboxIs: 0, MailboxGuidIs: 0,
    HasFlag: 1, HasKeyword: 1, Recent: 1, ModSeqSince: 1,
    Larger: 2, Smaller: 2, Age: 2, Date: 2, Moment: 2, Guid: 2,
    Header: 3, EmailId: 3, ThreadId: 3,
    Contains: 4,
}  # fmt: skip
# From this share of a mailbox on a column is read whole and kept for the keys that follow.
_WHOLE_COLUMN_SHARE: Final = 0.25


def evaluate(view: View, key: Key, *, now: Callable[[], float] = time.time) -> list[Seq]:
    """Sequence numbers of the matching messages, ascending. Messages whose content is gone do not match."""
    run = _Run(view, now)
    return cast("list[Seq]", sorted(run.match(key, run.every)))


def _cost(key: Key) -> int:
    if isinstance(key, Not):
        return _cost(key.key)
    if isinstance(key, And):
        return max(map(_cost, key.keys), default=0)
    if isinstance(key, Or):
        return max(_cost(key.left), _cost(key.right))
    return _COST[type(key)]


class _Run:
    """One evaluation. Every `_is_…` method returns those of `seqs` that match its key."""

    def __init__(self, view: View, now: Callable[[], float]) -> None:
        self._view = view
        self._now = now
        self.every: Seqs = frozenset(range(1, len(view.uids) + 1))
        self._columns: dict[Column, list[tuple[int, object]]] = {}

    def match(self, key: Key, seqs: Seqs) -> Seqs:
        """Those of `seqs` that match."""
        if not seqs:
            return seqs
        return _MATCHERS[type(key)](self, key, seqs)

    def _rows(self, seqs: Seqs, *columns: Column) -> Iterator[tuple[object, ...]]:
        wanted = SeqSet(((1, len(self.every)),)) if len(seqs) == len(self.every) else SeqSet.of(sorted(seqs))
        try:
            yield from self._view.rows(wanted, (Column.SEQ, *columns))
        except ExpungedError:
            return  # raised behind the last row: what is gone does not match

    def _column(self, column: Column, seqs: Seqs) -> Iterable[tuple[int, object]]:
        """(sequence number, value) of a column that the index has."""
        kept = self._columns.get(column)
        if kept is None:
            if len(seqs) < len(self.every) * _WHOLE_COLUMN_SHARE:
                return cast("Iterator[tuple[int, object]]", self._rows(seqs, column))
            kept = cast("list[tuple[int, object]]", list(self._rows(self.every, column)))
            self._columns[column] = kept
        return kept if len(seqs) == len(self.every) else (row for row in kept if row[0] in seqs)

    def _numbers(self, column: Column, seqs: Seqs) -> Iterable[tuple[int, int]]:
        return cast("Iterable[tuple[int, int]]", self._column(column, seqs))

    # -- combinations ----------------------------------------------------------------------------------------

    def _is_all(self, key: All, seqs: Seqs) -> Seqs:
        return seqs

    def _is_not(self, key: Not, seqs: Seqs) -> Seqs:
        return seqs - self.match(key.key, seqs)

    def _is_and(self, key: And, seqs: Seqs) -> Seqs:
        for one in sorted(key.keys, key=_cost):
            seqs = self.match(one, seqs)
        return seqs

    def _is_or(self, key: Or, seqs: Seqs) -> Seqs:
        first, second = sorted((key.left, key.right), key=_cost)
        found = self.match(first, seqs)
        return found | self.match(second, seqs - found)

    # -- what the view knows ---------------------------------------------------------------------------------

    def _is_seq(self, key: SeqIn, seqs: Seqs) -> Seqs:
        return self._chosen(key.seqs, seqs)

    def _is_uid(self, key: UidIn, seqs: Seqs) -> Seqs:
        return self._chosen(self._view.seqs_of(key.uids), seqs)

    def _chosen(self, wanted: SeqSet, seqs: Seqs) -> Seqs:
        count = len(self.every)
        found: set[int] = set()
        for low, high in wanted.resolve(count).ranges:
            found.update(range(low, min(high, count) + 1))
        return found if len(seqs) == count else found & seqs

    def _is_mailbox(self, key: MailboxIs, seqs: Seqs) -> Seqs:
        return seqs if Matcher([key.pattern], key.separator).matches(self._view.name) else frozenset()

    def _is_mailbox_guid(self, key: MailboxGuidIs, seqs: Seqs) -> Seqs:
        return seqs if self._view.guid == key.guid else frozenset()

    # -- columns ---------------------------------------------------------------------------------------------

    def _is_flag(self, key: HasFlag, seqs: Seqs) -> Seqs:
        bit = int(key.flag)
        return {seq for seq, flags in self._numbers(Column.SYSTEM_FLAGS, seqs) if flags & bit}

    def _is_keyword(self, key: HasKeyword, seqs: Seqs) -> Seqs:
        name = key.name.lower()
        known = [one for one in self._view.keywords if one.lower() == name]
        if not known:
            return frozenset()
        spelled = known[0]
        column = cast("Iterable[tuple[int, tuple[str, ...]]]", self._column(Column.KEYWORDS, seqs))
        return {seq for seq, keywords in column if spelled in keywords}

    def _is_recent(self, key: Recent, seqs: Seqs) -> Seqs:
        if not self._view.recent:
            return frozenset()
        column = cast("Iterable[tuple[int, bytes]]", self._column(Column.FLAGS, seqs))
        return {seq for seq, flags in column if b"\\Recent" in flags}

    def _is_modseq(self, key: ModSeqSince, seqs: Seqs) -> Seqs:
        found = set(self._view.changed_since(ModSeq(key.modseq - 1)))
        return found if len(seqs) == len(self.every) else found & seqs

    def _is_larger(self, key: Larger, seqs: Seqs) -> Seqs:
        octets = key.octets
        return {seq for seq, size in self._numbers(Column.SIZE, seqs) if size > octets}

    def _is_smaller(self, key: Smaller, seqs: Seqs) -> Seqs:
        octets = key.octets
        return {seq for seq, size in self._numbers(Column.SIZE, seqs) if size < octets}

    def _is_age(self, key: Age, seqs: Seqs) -> Seqs:
        edge = int(self._now()) - key.seconds
        column = self._numbers(Column.RECEIVED, seqs)
        if key.younger:
            return {seq for seq, received in column if received >= edge}
        return {seq for seq, received in column if received < edge}

    def _is_guid(self, key: Guid, seqs: Seqs) -> Seqs:
        return {seq for seq, guid in self._column(Column.GUID, seqs) if guid == key.guid}

    def _is_email(self, key: EmailId, seqs: Seqs) -> Seqs:
        return {seq for seq, found in self._column(Column.EMAIL_ID, seqs) if found == key.id}

    def _is_thread(self, key: ThreadId, seqs: Seqs) -> Seqs:
        return {seq for seq, found in self._column(Column.THREAD_ID, seqs) if found == key.id}

    def _is_date(self, key: Date, seqs: Seqs) -> Seqs:
        if key.field is DateField.SENT:
            # No date, or none that can be read, counts as 1970, as in Dovecot.
            days = self._numbers(Column.SENT_DAY, seqs)
            column: Iterable[tuple[int, int]] = ((seq, day or _EPOCH_DAY) for seq, day in days)
            start, end = key.day, key.day + 1
        else:
            received = key.field is DateField.RECEIVED
            column = self._numbers(Column.RECEIVED if received else Column.SAVED, seqs)
            start, end = _midnight(key.day), _midnight(key.day + 1)
        if key.op is DateOp.BEFORE:
            return {seq for seq, value in column if value < start}
        if key.op is DateOp.SINCE:
            return {seq for seq, value in column if value >= start}
        return {seq for seq, value in column if start <= value < end}

    def _is_moment(self, key: Moment, seqs: Seqs) -> Seqs:
        column = self._numbers(_TIMES[key.field], seqs)
        start = key.seconds
        if key.op is DateOp.BEFORE:
            return {seq for seq, value in column if value < start}
        if key.op is DateOp.SINCE:
            return {seq for seq, value in column if value >= start}
        return {seq for seq, value in column if start <= value < start + _DAY_SECS}

    # -- content ---------------------------------------------------------------------------------------------

    def _is_header(self, key: Header, seqs: Seqs) -> Seqs:
        search = FieldSearch(key.name, key.text, key.exact)
        common = key.name.lower().encode("utf-8", "replace") in COMMON_FIELDS
        column = Column.FIELDS if common else Column.HEADER
        rows = cast("Iterator[tuple[int, bytes]]", self._rows(seqs, column))
        found: set[int] = set()
        while chunk := list(islice(rows, HEADERS_AT_ONCE)):
            found.update(search.select(chunk))
        return found

    def _is_text(self, key: Contains, seqs: Seqs) -> Seqs:
        needle = Needle(key.text)
        if not needle.text:
            return seqs
        headers = key.where is Where.TEXT
        found: set[int] = set()
        for seq in sorted(seqs):
            try:
                message = self._view.message(Seq(seq))
            except ExpungedError:
                continue
            try:
                if needle.is_in_message(message.stored(), headers):
                    found.add(seq)
            except ExpungedError:
                continue
            finally:
                message.close()
        return found


def _midnight(day: int) -> int:
    """When the local day with that ordinal begins, in seconds UTC."""
    try:
        return int(datetime.fromordinal(day).timestamp())
    except (ValueError, OverflowError, OSError):
        return (day - _EPOCH_DAY) * _DAY_SECS


_TIMES: Final = {
    DateField.RECEIVED: Column.RECEIVED, DateField.SAVED: Column.SAVED, DateField.SENT: Column.SENT,
}  # fmt: skip
_MATCHERS: Final[dict[type, Callable[..., Seqs]]] = {
    All: _Run._is_all,
    Not: _Run._is_not,
    And: _Run._is_and,
    Or: _Run._is_or,
    SeqIn: _Run._is_seq,
    UidIn: _Run._is_uid,
    MailboxIs: _Run._is_mailbox,
    MailboxGuidIs: _Run._is_mailbox_guid,
    HasFlag: _Run._is_flag,
    HasKeyword: _Run._is_keyword,
    Recent: _Run._is_recent,
    ModSeqSince: _Run._is_modseq,
    Larger: _Run._is_larger,
    Smaller: _Run._is_smaller,
    Age: _Run._is_age,
    Guid: _Run._is_guid,
    EmailId: _Run._is_email,
    ThreadId: _Run._is_thread,
    Date: _Run._is_date,
    Moment: _Run._is_moment,
    Header: _Run._is_header,
    Contains: _Run._is_text,
}

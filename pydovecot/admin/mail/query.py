"""doveadm-search-query(7): words of a command line to the model's search tree. Pure: the time is given.

All words of a list are joined by AND, or by OR if OR stands before any but the first; NOT is for one key.
Keys are those of IMAP's SEARCH; dates, sizes and mailboxes are written for people. Texts of errors are
Dovecot's.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydovecot.admin.errors import DATA, USAGE, AdminError
from pydovecot.base import mutf7
from pydovecot.model.flags import Flag
from pydovecot.model.numbers import ModSeq
from pydovecot.model.search import (
    Age,
    All,
    And,
    Contains,
    Date,
    DateField,
    DateOp,
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
    UidIn,
    Where,
)
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import parse_seqset
from pydovecot.settings import kinds

MAX_WORDS: Final = 10_000
MAX_NESTING: Final = 200
MAX_INTERVAL: Final = 2**32 - 1
MAX_MODSEQ: Final = 2**63 - 1
MIXED: Final = "Use parenthesis when mixing ANDs and ORs"
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ISO_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_IMAP_DATE: Final = re.compile(r" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,18}")


class BadQuery(AdminError):
    """The text is what doveadm says of it."""


@dataclass(slots=True)
class _List:
    """What stands in one pair of parentheses (or in none), while it is read."""

    ors: bool = False  # the key just read had OR before it
    decided: bool | None = None  # True: the whole list is an OR


def parse(words: Sequence[str], now: float) -> Key:
    """The tree of a query. Raises BadQuery."""
    if len(words) > MAX_WORDS:
        raise BadQuery("Too many search parameters")
    return _Parser(words, int(now)).list(0)


class _Parser:
    """Reads words from left to right."""

    def __init__(self, words: Sequence[str], now: int) -> None:
        self._words, self._at, self.now = words, 0, now

    def list(self, depth: int) -> Key:
        """Keys up to the end or the closing parenthesis."""
        here = _List()
        keys: list[Key] = []
        while not self._at_end(depth):
            here.ors = False
            keys.append(self._key(here, depth))
            if here.ors != bool(here.decided):
                if here.decided:
                    raise BadQuery(MIXED)
                here.decided = True
        if not keys:
            raise BadQuery("No search parameters inside list")
        if here.decided:
            return _any(keys)
        return keys[0] if len(keys) == 1 else And(tuple(keys))

    def _at_end(self, depth: int) -> bool:
        if self._at == len(self._words):
            if depth:
                raise BadQuery("Missing ')'")
            return True
        if self._words[self._at] != ")":
            return False
        if not depth:
            raise BadQuery("Unexpected ')'")
        self._at += 1
        return True

    def _key(self, here: _List, depth: int) -> Key:
        """One key with the OR and NOT before it."""
        negated = False
        count = 0
        while True:
            if self._at == len(self._words) or self._words[self._at] == ")":
                raise BadQuery("Missing argument")
            word = self._words[self._at].upper()
            if word not in ("OR", "NOT", "FUZZY"):
                break
            self._at += 1
            here.ors = here.ors or word == "OR"
            negated ^= word == "NOT"
            count += 1
            if count > MAX_NESTING:
                raise BadQuery("Search query is nested too deep")
        key = self._single(depth)
        return Not(key) if negated else key

    def _single(self, depth: int) -> Key:
        word = self._words[self._at]
        self._at += 1
        if word == "(":
            if depth >= MAX_NESTING:
                raise BadQuery("Search query is nested too deep")
            return self.list(depth + 1)
        name = word.upper()
        reader = KEYS.get(name)
        if reader is not None:
            return reader(self, name)
        if word[:1].isdigit() or word[:1] == "*":
            return SeqIn(_numbers(word, "Invalid messageset"))
        raise BadQuery(f"Unknown argument {name}")

    def text(self, name: str) -> str:
        """The key's next parameter."""
        if self._at == len(self._words):
            raise BadQuery(f"Missing parameter for search key (for search key: {name})")
        self._at += 1
        return self._words[self._at - 1]


def _any(keys: Sequence[Key]) -> Key:
    """OR of all, as a balanced tree."""
    if len(keys) == 1:
        return keys[0]
    middle = len(keys) // 2
    return Or(_any(keys[:middle]), _any(keys[middle:]))


def _numbers(text: str, wrong: str) -> SeqSet:
    found = parse_seqset(text.removesuffix(",").encode("utf-8", "surrogateescape"))
    if found is None:
        raise BadQuery(wrong)
    return found


Reader = Callable[[_Parser, str], Key]


def _plain(key: Key) -> Reader:
    return lambda _parser, _name: key


def _flag(flag: Flag) -> Reader:
    return _plain(HasFlag(flag))


def _no_flag(flag: Flag) -> Reader:
    return _plain(Not(HasFlag(flag)))


def _field(field: str) -> Reader:
    return lambda parser, name: Header(field, parser.text(name))


def _header(parser: _Parser, name: str) -> Key:
    field = parser.text(name)
    return Header(field, parser.text(name), exact=True)


def _contains(where: Where) -> Reader:
    return lambda parser, name: Contains(where, parser.text(name))


def _date(field: DateField, op: DateOp) -> Reader:
    def reader(parser: _Parser, name: str) -> Key:
        text = parser.text(name)
        found = when(text, parser.now)
        if found is None:
            raise BadQuery(f"Invalid search date parameter: {text}")
        if isinstance(found, date):
            return Date(field, op, found.toordinal())
        return Moment(field, op, found)

    return reader


def when(text: str, now: int) -> date | int | None:
    """A day (2024-02-01, 1-Feb-2024), or a point of time: seconds since 1970, or how long ago (2weeks)."""
    if found := _ISO_DATE.fullmatch(text):
        return _day(int(found[1]), int(found[2]), int(found[3]))
    if (found := _IMAP_DATE.fullmatch(text)) and found[2].lower() in _MONTHS:
        return _day(int(found[3]), _MONTHS.index(found[2].lower()) + 1, int(found[1]))
    if _TIMESTAMP.fullmatch(text):
        return int(text)
    try:
        return now - kinds.parse_time(text) if text else None
    except kinds.BadValue:
        return None


def _day(year: int, month: int, day: int) -> date:
    """Days that no calendar has are after all others, as in IMAP's search."""
    try:
        return date(year, month, day)
    except ValueError:
        return date.max


def _size(make: Callable[[int], Key]) -> Reader:
    def reader(parser: _Parser, name: str) -> Key:
        text = parser.text(name)
        try:
            return make(kinds.parse_size(text))
        except kinds.BadValue as exc:
            raise BadQuery(str(exc)) from None

    return reader


def _age(younger: bool) -> Reader:
    def reader(parser: _Parser, name: str) -> Key:
        text = parser.text(name)
        if not (text.isascii() and text.isdigit()) or not 0 < int(text[:20]) <= MAX_INTERVAL:
            raise BadQuery("Invalid search interval parameter")
        return Age(int(text), younger=younger)

    return reader


def _uid(parser: _Parser, name: str) -> Key:
    """`*` is a number like others, as in Dovecot: `uid 5:*` is everything from 5 on."""
    what = "X-REAL-UID" if name == "X-REAL-UID" else "UID"
    return UidIn(SeqSet(_numbers(parser.text(name), f"Invalid {what} messageset").ranges))


def _mailbox(parser: _Parser, name: str) -> Key:
    text = parser.text(name)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadQuery(f"Mailbox name not valid UTF-8: {text}", DATA) from None
    return MailboxIs(text)


def _wire_mailbox(parser: _Parser, name: str) -> Key:
    try:
        return MailboxIs(mutf7.decode(parser.text(name).encode("utf-8", "surrogateescape")))
    except mutf7.BadMutf7:
        raise BadQuery("X-MAILBOX name not mUTF-7") from None


def _modseq(parser: _Parser, name: str) -> Key:
    text = parser.text(name)
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise BadQuery("Invalid MODSEQ value")
    return ModSeqSince(ModSeq(min(int(text), MAX_MODSEQ)))


KEYS: Final[dict[str, Reader]] = {
    "ALL": _plain(All()),
    "ANSWERED": _flag(Flag.ANSWERED),
    "BCC": _field("Bcc"),
    "BEFORE": _date(DateField.RECEIVED, DateOp.BEFORE),
    "BODY": _contains(Where.BODY),
    "CC": _field("Cc"),
    "DELETED": _flag(Flag.DELETED),
    "DRAFT": _flag(Flag.DRAFT),
    "FLAGGED": _flag(Flag.FLAGGED),
    "FROM": _field("From"),
    "GUID": lambda parser, name: Guid(parser.text(name)),
    "HEADER": _header,
    "KEYWORD": lambda parser, name: HasKeyword(parser.text(name)),
    "LARGER": _size(Larger),
    "MAILBOX": _mailbox,
    "MAILBOX-GUID": lambda parser, name: MailboxGuidIs(parser.text(name)),
    "MODSEQ": _modseq,
    "NEW": _plain(And((Recent(), Not(HasFlag(Flag.SEEN))))),
    "OLD": _plain(Not(Recent())),
    "OLDER": _age(False),
    "ON": _date(DateField.RECEIVED, DateOp.ON),
    "RECENT": _plain(Recent()),
    "SAVEDATESUPPORTED": _plain(All()),
    "SAVEDBEFORE": _date(DateField.SAVED, DateOp.BEFORE),
    "SAVEDON": _date(DateField.SAVED, DateOp.ON),
    "SAVEDSINCE": _date(DateField.SAVED, DateOp.SINCE),
    "SEEN": _flag(Flag.SEEN),
    "SENTBEFORE": _date(DateField.SENT, DateOp.BEFORE),
    "SENTON": _date(DateField.SENT, DateOp.ON),
    "SENTSINCE": _date(DateField.SENT, DateOp.SINCE),
    "SINCE": _date(DateField.RECEIVED, DateOp.SINCE),
    "SMALLER": _size(Smaller),
    "SUBJECT": _field("Subject"),
    "TEXT": _contains(Where.TEXT),
    "TO": _field("To"),
    "UID": _uid,
    "UNANSWERED": _no_flag(Flag.ANSWERED),
    "UNDELETED": _no_flag(Flag.DELETED),
    "UNDRAFT": _no_flag(Flag.DRAFT),
    "UNFLAGGED": _no_flag(Flag.FLAGGED),
    "UNKEYWORD": lambda parser, name: Not(HasKeyword(parser.text(name))),
    "UNSEEN": _no_flag(Flag.SEEN),
    "X-GUID": lambda parser, name: Guid(parser.text(name)),
    "X-MAILBOX": _wire_mailbox,
    "X-REAL-UID": _uid,
    "X-SAVEDBEFORE": _date(DateField.SAVED, DateOp.BEFORE),
    "X-SAVEDON": _date(DateField.SAVED, DateOp.ON),
    "X-SAVEDSINCE": _date(DateField.SAVED, DateOp.SINCE),
    "YOUNGER": _age(True),
}


# -- what commands ask of a query


def names_of(key: Key) -> tuple[list[str], bool]:
    """Mailboxes that the query is for: patterns, and whether a GUID is among its conditions.

    No patterns: any mailbox may match. As Dovecot: only what all branches must have counts.
    """
    found: list[str] = []
    guid = False
    pending = [key]
    while pending:
        one = pending.pop(0)
        if isinstance(one, And):
            pending[:0] = one.keys
        elif isinstance(one, MailboxIs):
            found.append(one.pattern)
        elif isinstance(one, MailboxGuidIs):
            guid = True
        elif isinstance(one, Not) and isinstance(one.key, MailboxIs):
            return [], guid
    return found, guid


def for_mailbox(key: Key, matches: Callable[[MailboxIs | MailboxGuidIs], bool]) -> Key:
    """The query inside one mailbox: what is said of mailboxes is decided; NOTHING when none can match."""
    if isinstance(key, MailboxIs | MailboxGuidIs):
        return All() if matches(key) else NOTHING
    if isinstance(key, Not):
        inner = for_mailbox(key.key, matches)
        if isinstance(inner, All):
            return NOTHING
        return All() if inner == NOTHING else Not(inner)
    if isinstance(key, And):
        return _all([for_mailbox(one, matches) for one in key.keys])
    if isinstance(key, Or):
        sides = [for_mailbox(key.left, matches), for_mailbox(key.right, matches)]
        if any(isinstance(side, All) for side in sides):
            return All()
        left = [side for side in sides if side != NOTHING]
        return NOTHING if not left else left[0] if len(left) == 1 else Or(left[0], left[1])
    return key


NOTHING: Final = Not(All())


def _all(keys: Sequence[Key]) -> Key:
    if NOTHING in keys:
        return NOTHING
    left = tuple(one for one in keys if not isinstance(one, All))
    return All() if not left else left[0] if len(left) == 1 else And(left)


def check_careful(key: Key, command: str) -> None:
    """For commands that remove mail: every branch names its mailbox, and something else. Raises BadQuery."""
    if not _has_mailbox(key):
        raise BadQuery(
            f"{command}: To avoid accidents, search query must contain MAILBOX in all search branches",
            USAGE,
        )
    if not _has_messages(key):
        raise BadQuery(
            f"{command}: To avoid accidents, each branch in search query must contain something else"
            ' besides MAILBOX (e.g. just add "all" if you want everything)',
            USAGE,
        )


def _parts(key: Key) -> tuple[Key, ...]:
    return key.keys if isinstance(key, And) else (key,)


def _branches(key: Or) -> list[Key]:
    """All keys of an OR, however it is nested."""
    found: list[Key] = []
    pending: list[Key] = [key]
    while pending:
        one = pending.pop()
        if isinstance(one, Or):
            pending += (one.left, one.right)
        else:
            found.append(one)
    return found


def _is_mailbox(key: Key) -> bool:
    inner = key.key if isinstance(key, Not) else key
    return isinstance(inner, MailboxIs | MailboxGuidIs)


def _has_mailbox(key: Key) -> bool:
    return any(
        _is_mailbox(one) or (isinstance(one, Or) and all(map(_has_mailbox, _branches(one))))
        for one in _parts(key)
    )


def _has_messages(key: Key) -> bool:
    return any(
        all(map(_has_messages, _branches(one))) if isinstance(one, Or) else not _is_mailbox(one)
        for one in _parts(key)
    )

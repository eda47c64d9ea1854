"""SEARCH's grammar to the model's tree: a table of keys. RFC 3501 6.4.4, 5032, 7162 3.1.5, 8514."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydovecot.base import mutf7
from pydovecot.mime import charset
from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import FLAG_BY_NAME, Flag
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
    MailboxIs,
    ModSeqSince,
    Not,
    Or,
    Recent,
    SeqIn,
    Smaller,
    ThreadId,
    UidIn,
    Where,
)
from pydovecot.model.seqset import EMPTY, SAVED, STAR, SeqSet
from pydovecot.proto.imap.cursor import Cursor, parse_modseq, parse_seqset
from pydovecot.proto.imap.syntax import Atom, BadSyntax
from pydovecot.services.imap.dates import parse_date

MAX_SEARCH_NESTING: Final = 200  # NOT and OR inside each other; clients chain some dozens of OR
MAX_SIZE: Final = 2**64 - 1
MAX_INTERVAL: Final = 2**32 - 1
MAX_DIGITS: Final = 20
_OBJECT_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,255}")  # RFC 8474 7


@dataclass(slots=True)
class Program:
    """What one SEARCH asks, while and after it is parsed."""

    codec: str = "utf-8"
    refused: UserError | None = None  # the charset is unknown
    modseq: bool = False  # a MODSEQ key is in it: the answer tells modseqs, CONDSTORE is enabled

    def text(self, raw: bytes) -> str:
        """A search string in the client's charset."""
        if self.refused is not None:
            raise self.refused
        try:
            return raw.decode(self.codec)
        except UnicodeDecodeError:
            raise BadSyntax("Invalid search key") from None


KeyParser = Callable[[Cursor, Program, str], Key]


def keys_in(charset_name: bytes, cursor: Cursor) -> tuple[Key, bool, UserError | None]:
    """The keys up to the end, whether MODSEQ is among them, and what is wrong with the charset.

    An unknown charset is a failed search, no syntax error, and only after what is wrong with the keys before
    the first text.
    """
    program = Program()
    found = charset.lookup(charset_name) if charset_name else program.codec
    if found is None:
        program.refused = UserError(Code.BADCHARSET, "Unknown charset")
    else:
        program.codec = found
    try:
        return parse_keys(cursor, program), program.modseq, program.refused
    except UserError as exc:
        return All(), program.modseq, exc


def parse_keys(cursor: Cursor, program: Program, depth: int = 0) -> Key:
    """All keys up to the end, joined by AND."""
    keys: list[Key] = []
    while cursor.more():
        keys.append(_key(cursor, program, depth))
    if not keys:
        raise BadSyntax("No search parameters inside list" if depth else "Missing search parameters")
    return keys[0] if len(keys) == 1 else And(tuple(keys))


def _key(cursor: Cursor, program: Program, depth: int) -> Key:
    """One key. NOT and OR stand before theirs: a stack instead of recursion, for clients nest them deep."""
    pending: list[Key | None] = []  # None: NOT or an OR without its first key
    kinds: list[str] = []
    while True:
        if not cursor.more():
            raise BadSyntax("Missing argument")
        word = cursor.peek()
        operator = word.upper() if isinstance(word, Atom) else b""
        if operator in (b"NOT", b"OR"):
            if len(kinds) + depth >= MAX_SEARCH_NESTING:
                raise BadSyntax("Search is nested too deep")
            cursor.next()
            kinds.append(operator.decode())
            pending.append(None)
            continue
        key = _single(cursor, program, depth + len(kinds))
        while kinds:
            if kinds[-1] == "OR" and pending[-1] is None:
                pending[-1] = key
                break
            left = pending.pop()
            key = Not(key) if kinds.pop() == "NOT" or left is None else Or(left, key)
        else:
            return key


def _single(cursor: Cursor, program: Program, depth: int) -> Key:
    arg = cursor.next("Missing argument")
    if isinstance(arg, list):
        if depth >= MAX_SEARCH_NESTING:
            raise BadSyntax("Search is nested too deep")
        return parse_keys(Cursor(arg), program, depth + 1)
    if not isinstance(arg, Atom):
        raise BadSyntax(f"Unexpected string as search key: {arg.decode('latin-1')}")
    name = arg.upper()
    parser = KEYS.get(name)
    if parser is not None:
        return parser(cursor, program, name.decode())
    if name == b"FUZZY":  # RFC 6203: without an index every search is exact
        return _key(cursor, program, depth + 1)
    if name[:1].isdigit() or name[:1] == b"*":
        numbers = parse_seqset(arg)
        if numbers is None:
            raise BadSyntax("Invalid messageset")
        return SeqIn(numbers)
    raise BadSyntax(f"Unknown argument {arg.decode('latin-1').upper()}")


def _parameter(cursor: Cursor, name: str) -> bytes:
    arg = cursor.next(f"Missing parameter for search key (for search key: {name})")
    if isinstance(arg, list):
        raise BadSyntax(f"Unexpected ( (for search key: {name})")
    return arg


# The kinds of keys


def _plain(key: Key) -> KeyParser:
    return lambda _cursor, _program, _name: key


def _date(field: DateField, op: DateOp) -> KeyParser:
    def parser(cursor: Cursor, _program: Program, name: str) -> Key:
        day = parse_date(_parameter(cursor, name))
        if day is None:
            raise BadSyntax("Invalid search date parameter")
        return Date(field, op, day.toordinal())

    return parser


def _number(make: Callable[[int], Key], what: str, low: int, high: int) -> KeyParser:
    def parser(cursor: Cursor, _program: Program, name: str) -> Key:
        text = _parameter(cursor, name)
        if not text.isdigit() or len(text) > MAX_DIGITS or not low <= int(text) <= high:
            raise BadSyntax(f"Invalid search {what} parameter")
        return make(int(text))

    return parser


def _field(field: str) -> KeyParser:
    def parser(cursor: Cursor, program: Program, name: str) -> Key:
        return Header(field, program.text(_parameter(cursor, name)))

    return parser


def _header(cursor: Cursor, program: Program, name: str) -> Key:
    field = _parameter(cursor, name)
    return Header(field.decode("latin-1"), program.text(_parameter(cursor, name)), exact=True)


def _contains(where: Where) -> KeyParser:
    def parser(cursor: Cursor, program: Program, name: str) -> Key:
        return Contains(where, program.text(_parameter(cursor, name)))

    return parser


def _keyword(cursor: Cursor, _program: Program, name: str) -> Key:
    return HasKeyword(_parameter(cursor, name).decode("latin-1"))


def _unkeyword(cursor: Cursor, program: Program, name: str) -> Key:
    return Not(_keyword(cursor, program, name))


def _uid(cursor: Cursor, _program: Program, name: str) -> Key:
    text = _parameter(cursor, name)
    numbers = SAVED if text == b"$" else parse_seqset(text)
    if numbers is None:
        raise BadSyntax("Invalid UID messageset")
    return UidIn(numbers)


def _real_uid(cursor: Cursor, _program: Program, name: str) -> Key:
    """No mailbox shows those of others, so they are the UIDs; `*` is a number like others, as in Dovecot."""
    numbers = parse_seqset(_parameter(cursor, name))
    if numbers is None:
        raise BadSyntax("Invalid X-REAL-UID messageset")
    return UidIn(SeqSet(numbers.ranges))


def _mailbox(cursor: Cursor, _program: Program, name: str) -> Key:
    try:
        return MailboxIs(mutf7.decode(_parameter(cursor, name)))
    except mutf7.BadMutf7:
        raise BadSyntax("X-MAILBOX name not mUTF-7") from None


def _modseq(cursor: Cursor, program: Program, name: str) -> Key:
    """`MODSEQ [entry-name entry-type] n`; all entries of a message share one modseq here. RFC 7162 3.1.5."""
    value = _parameter(cursor, name)
    entry = value.lower()
    if entry.startswith(b"/flags/"):
        if entry.startswith(b"/flags/\\") and entry[7:].decode("latin-1") not in FLAG_BY_NAME:
            raise BadSyntax("Invalid MODSEQ system flag")
        kind = _parameter(cursor, name).lower()
        if kind not in (b"all", b"priv", b"shared"):
            raise BadSyntax("Invalid MODSEQ type")
        value = _parameter(cursor, name)
    modseq = parse_modseq(Atom(value))
    if modseq is None:
        raise BadSyntax("Invalid MODSEQ value")
    program.modseq = True
    return ModSeqSince(modseq)


def _objectid(cursor: Cursor, name: str) -> bytes:
    found = _parameter(cursor, name)
    if not _OBJECT_ID.fullmatch(found):
        raise BadSyntax(f"Invalid {name} value")
    return bytes(found)


def _flag(flag: Flag) -> KeyParser:
    return _plain(HasFlag(flag))


def _no_flag(flag: Flag) -> KeyParser:
    return _plain(Not(HasFlag(flag)))


KEYS: Final[dict[bytes, KeyParser]] = {
    b"$": _plain(UidIn(SAVED)),  # RFC 5182
    b"ALL": _plain(All()),
    b"ANSWERED": _flag(Flag.ANSWERED),
    b"BCC": _field("Bcc"),
    b"BEFORE": _date(DateField.RECEIVED, DateOp.BEFORE),
    b"BODY": _contains(Where.BODY),
    b"CC": _field("Cc"),
    b"DELETED": _flag(Flag.DELETED),
    b"DRAFT": _flag(Flag.DRAFT),
    b"EMAILID": lambda cursor, _program, name: EmailId(_objectid(cursor, name)),
    b"FLAGGED": _flag(Flag.FLAGGED),
    b"FROM": _field("From"),
    b"HEADER": _header,
    b"KEYWORD": _keyword,
    b"LARGER": _number(Larger, "size", 0, MAX_SIZE),
    b"MODSEQ": _modseq,
    b"NEW": _plain(And((Recent(), Not(HasFlag(Flag.SEEN))))),
    b"OLD": _plain(Not(Recent())),
    b"OLDER": _number(lambda seconds: Age(seconds, younger=False), "interval", 1, MAX_INTERVAL),
    b"ON": _date(DateField.RECEIVED, DateOp.ON),
    b"RECENT": _plain(Recent()),
    b"SAVEDATESUPPORTED": _plain(All()),
    b"SAVEDBEFORE": _date(DateField.SAVED, DateOp.BEFORE),
    b"SAVEDON": _date(DateField.SAVED, DateOp.ON),
    b"SAVEDSINCE": _date(DateField.SAVED, DateOp.SINCE),
    b"SEEN": _flag(Flag.SEEN),
    b"SENTBEFORE": _date(DateField.SENT, DateOp.BEFORE),
    b"SENTON": _date(DateField.SENT, DateOp.ON),
    b"SENTSINCE": _date(DateField.SENT, DateOp.SINCE),
    b"SINCE": _date(DateField.RECEIVED, DateOp.SINCE),
    b"SMALLER": _number(Smaller, "size", 0, MAX_SIZE),
    b"SUBJECT": _field("Subject"),
    b"TEXT": _contains(Where.TEXT),
    b"THREADID": lambda cursor, _program, name: ThreadId(_objectid(cursor, name)),
    b"TO": _field("To"),
    b"UID": _uid,
    b"UNANSWERED": _no_flag(Flag.ANSWERED),
    b"UNDELETED": _no_flag(Flag.DELETED),
    b"UNDRAFT": _no_flag(Flag.DRAFT),
    b"UNFLAGGED": _no_flag(Flag.FLAGGED),
    b"UNKEYWORD": _unkeyword,
    b"UNSEEN": _no_flag(Flag.SEEN),
    b"X-GUID": lambda cursor, _program, name: Guid(_parameter(cursor, name).decode("latin-1")),
    b"X-MAILBOX": _mailbox,
    b"X-REAL-UID": _real_uid,
    b"X-SAVEDBEFORE": _date(DateField.SAVED, DateOp.BEFORE),
    b"X-SAVEDON": _date(DateField.SAVED, DateOp.ON),
    b"X-SAVEDSINCE": _date(DateField.SAVED, DateOp.SINCE),
    b"YOUNGER": _number(lambda seconds: Age(seconds, younger=True), "interval", 1, MAX_INTERVAL),
}


@dataclass(frozen=True, slots=True)
class Selected:
    """What a search program does not know: how many messages there are, what `$` stands for (UIDs)."""

    exists: int
    saved: SeqSet = EMPTY
    separator: str = "."


def resolve(key: Key, selected: Selected) -> Key:
    """The same tree for a mailbox: numbers beyond it match nothing here."""
    if isinstance(key, SeqIn):
        return SeqIn(_clip(key.seqs, selected.exists))
    if isinstance(key, UidIn) and key.uids is SAVED:
        return UidIn(selected.saved)
    if isinstance(key, MailboxIs):
        return MailboxIs(key.pattern, selected.separator)
    if isinstance(key, Not):
        return Not(resolve(key.key, selected))
    if isinstance(key, And):
        return And(tuple(resolve(inner, selected) for inner in key.keys))
    if isinstance(key, Or):
        return Or(resolve(key.left, selected), resolve(key.right, selected))
    return key


def has_sequences(key: Key) -> bool:
    """Numbers of messages stand somewhere in the key: no EXPUNGE then, not even after UID SEARCH.

    As Dovecot, for which UIDs are sequence numbers by then; `$` is not.
    """
    if isinstance(key, SeqIn):
        return True
    if isinstance(key, UidIn):
        return key.uids is not SAVED
    if isinstance(key, Not):
        return has_sequences(key.key)
    if isinstance(key, And):
        return any(map(has_sequences, key.keys))
    return isinstance(key, Or) and (has_sequences(key.left) or has_sequences(key.right))


def _clip(seqs: SeqSet, exists: int) -> SeqSet:
    pairs: list[tuple[int, int]] = []
    for first, last in seqs.raw:
        if first == last == STAR:
            first = last = exists
        low, high = min(first, last), min(max(first, last), exists)
        if 0 < low <= high:
            pairs.append((low, high))
    return SeqSet.from_ranges(pairs)

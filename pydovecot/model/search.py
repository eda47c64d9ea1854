"""The search program as a tree: what SEARCH, SORT and doveadm ask, free of any protocol's grammar."""

from dataclasses import dataclass
from enum import Enum

from pydovecot.model.flags import Flag
from pydovecot.model.numbers import ModSeq
from pydovecot.model.seqset import SeqSet


class DateField(Enum):
    """Which date of a message is meant."""

    RECEIVED = "received"  # INTERNALDATE
    SENT = "sent"  # Date: header, its local date without time zone
    SAVED = "saved"


class DateOp(Enum):
    """BEFORE excludes the day, ON is the day, SINCE includes it."""

    BEFORE = "before"
    ON = "on"
    SINCE = "since"


class Where(Enum):
    """Where a text is looked for."""

    BODY = "body"  # text parts without headers of the message itself
    TEXT = "text"  # headers and text parts


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class Not:
    key: "Key"


@dataclass(frozen=True, slots=True)
class And:
    keys: tuple["Key", ...]


@dataclass(frozen=True, slots=True)
class Or:
    left: "Key"
    right: "Key"


@dataclass(frozen=True, slots=True)
class SeqIn:
    """Sequence numbers of the view."""

    seqs: SeqSet


@dataclass(frozen=True, slots=True)
class UidIn:
    uids: SeqSet


@dataclass(frozen=True, slots=True)
class HasFlag:
    flag: Flag


@dataclass(frozen=True, slots=True)
class Recent:
    """\\Recent in this view."""


@dataclass(frozen=True, slots=True)
class HasKeyword:
    name: str


@dataclass(frozen=True, slots=True)
class Date:
    """`day` is a proleptic Gregorian ordinal (datetime.date.toordinal) in the server's time zone."""

    field: DateField
    op: DateOp
    day: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Before or since a point of time, in seconds UTC; ON: within the day that begins there."""

    field: DateField
    op: DateOp
    seconds: int


@dataclass(frozen=True, slots=True)
class Larger:
    octets: int


@dataclass(frozen=True, slots=True)
class Smaller:
    octets: int


@dataclass(frozen=True, slots=True)
class Age:
    """Received less (`younger`) or more than `seconds` ago. RFC 5032."""

    seconds: int
    younger: bool


@dataclass(frozen=True, slots=True)
class Header:
    """A header field contains `text`; empty text: the field exists. Field names are case-insensitive.

    `exact`: HEADER, the value as the sender wrote it. Without it (FROM, TO, CC, BCC, SUBJECT) addresses are
    compared in one written form, and runs of blanks in a subject as one.
    """

    name: str
    text: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Contains:
    where: Where
    text: str


@dataclass(frozen=True, slots=True)
class ModSeqSince:
    """MODSEQ: changed at or after `modseq`. RFC 7162 3.1.5."""

    modseq: ModSeq


@dataclass(frozen=True, slots=True)
class Guid:
    guid: str


@dataclass(frozen=True, slots=True)
class EmailId:
    id: bytes


@dataclass(frozen=True, slots=True)
class ThreadId:
    id: bytes


@dataclass(frozen=True, slots=True)
class MailboxIs:
    """The mailbox's name matches a pattern of LIST (`*`, `%` within the separator)."""

    pattern: str
    separator: str = "."


@dataclass(frozen=True, slots=True)
class MailboxGuidIs:
    """The mailbox has this GUID."""

    guid: str


Key = (
    All
    | Not
    | And
    | Or
    | SeqIn
    | UidIn
    | HasFlag
    | Recent
    | HasKeyword
    | Date
    | Moment
    | Larger
    | Smaller
    | Age
    | Header
    | Contains
    | ModSeqSince
    | Guid
    | EmailId
    | ThreadId
    | MailboxIs
    | MailboxGuidIs
)

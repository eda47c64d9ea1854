"""The storage contract: what protocols see of a user's mail.

Nothing here assumes a local file, a path or a lock: a store has mailboxes, a mailbox opened is a view, a view
reads columns in bulk, changes are one atomic step each, and a wake-up says "look again". Names are `str` with
the namespace's prefix and separator, as a client means them (modified UTF-7 is the protocol's affair).

Errors: UserError with a model Code for what the user did, InternalError for the rest.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from pydovecot.mime.binary import Decoded
from pydovecot.mime.stretch import Stretch
from pydovecot.model.flags import FlagSet, StoreOp
from pydovecot.model.numbers import ModSeq, Seq, Uid
from pydovecot.model.search import Key
from pydovecot.model.section import Section
from pydovecot.model.seqset import SeqSet
from pydovecot.model.sort import SortBy, ThreadKind


class Column(Enum):
    """What `View.rows` can read of each message.

    Values marked "wire" are the bytes that IMAP sends, rendered once and kept by the index.
    """

    SEQ = "seq"  # int
    UID = "uid"  # int
    FLAGS = "flags"  # bytes, wire without parentheses: b"\\Seen Junk \\Recent"
    SYSTEM_FLAGS = "system_flags"  # int, model.flags.Flag bits
    KEYWORDS = "keywords"  # tuple[str, ...]
    MODSEQ = "modseq"  # int
    RECEIVED = "received"  # int, seconds UTC: INTERNALDATE
    SAVED = "saved"  # int, seconds UTC; 0 unknown
    SIZE = "size"  # int, octets of the CRLF form: RFC822.SIZE
    PHYSICAL_SIZE = "physical_size"  # int, octets as stored
    QUICK_SIZE = "quick_size"  # int, SIZE if the index knows it, or PHYSICAL_SIZE if it knows that; else SIZE
    MAILBOX = "mailbox"  # str, the name of the mailbox that has it
    GUID = "guid"  # str
    EMAIL_ID = "email_id"  # bytes, wire: RFC 8474, by content; rendered once and kept by the index
    THREAD_ID = "thread_id"  # bytes, likewise, by the root of References
    HEADER_MD5 = "header_md5"  # str, hexadecimal MD5 of header fields; "" where the format keeps none
    NAME = "name"  # str, the driver's own name of the message (POP3 UIDL %f)
    POP3_UIDL = "pop3_uidl"  # str, saved UIDL or ""
    ENVELOPE = "envelope"  # bytes, wire, parentheses included
    BODY = "body"  # bytes, wire
    BODYSTRUCTURE = "bodystructure"  # bytes, wire
    HEADER = "header"  # bytes, the whole header with CRLF and the empty line; read from the message each time
    FIELDS = "fields"  # bytes, as HEADER, but only the fields named in COMMON_FIELDS; kept by the index
    PREVIEW = "preview"  # bytes, wire: the beginning of the text, RFC 8970
    KNOWN_PREVIEW = "known_preview"  # bytes, PREVIEW if it was asked for before; else None
    SENT = "sent"  # int, Date: header as seconds UTC; 0 when there is none or it is broken
    SENT_DAY = "sent_day"  # int, ordinal of the Date: header's local day; 0 unknown


# What clients ask for in lists of messages, lower case. An index can keep these, but not whole headers.
COMMON_FIELDS: Final = frozenset(
    b"date from sender reply-to to cc bcc subject message-id in-reply-to references newsgroups"
    b" content-type content-transfer-encoding content-description mime-version priority x-priority"
    b" importance lines list-id list-post list-subscribe list-unsubscribe list-help list-archive x-label"
    b" x-original-to delivered-to x-mailer user-agent x-spam-flag x-status status x-tuid"
    b" disposition-notification-to resent-date resent-from resent-to resent-message-id"
    b" x-uniform-type-identifier x-universally-unique-identifier".split()
)


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace as NAMESPACE shows it. `kind`: private, shared or public."""

    kind: str
    prefix: str
    separator: str
    inbox: bool
    hidden: bool
    listed: bool  # list = yes or children
    subscriptions: bool


class Special(Enum):
    """Special-use attributes, RFC 6154."""

    ALL = "\\All"
    ARCHIVE = "\\Archive"
    DRAFTS = "\\Drafts"
    FLAGGED = "\\Flagged"
    JUNK = "\\Junk"
    SENT = "\\Sent"
    TRASH = "\\Trash"
    IMPORTANT = "\\Important"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One mailbox (or node of the tree, or subscription) of LIST.

    `exists` False: only a name (parent of others or a dangling subscription); `selectable` False: \\Noselect.
    `node`: such a name is a thing of its own, a directory that is no mailbox.
    `children` None: unknown. `child_subscribed`: RFC 5258 CHILDINFO.
    """

    name: str
    separator: str
    exists: bool = True
    selectable: bool = True
    no_inferiors: bool = False
    children: bool | None = None
    subscribed: bool = False
    child_subscribed: bool = False
    marked: bool | None = None
    special_use: tuple[str, ...] = ()
    node: bool = False


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Selection of `Store.list`. `recursive_match`: RFC 5258 RECURSIVEMATCH."""

    subscribed: bool = False
    special_use: bool = False
    recursive_match: bool = False
    want_children: bool = True
    want_subscribed: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS of one mailbox; cheap to read for unopened ones."""

    messages: int
    recent: int
    unseen: int
    uidnext: Uid
    uidvalidity: int
    highest_modseq: ModSeq
    size: int = 0  # sum of CRLF sizes; filled only when asked for
    guid: str = ""
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What `View.sync` found, to be told in this order. Sequence numbers as Dovecot sends them.

    `expunged` are sequence numbers in the numbering before this sync, ascending, with `expunged_uids` beside
    them. All other numbers are those after it.
    """

    expunged: Sequence[Seq] = ()
    expunged_uids: Sequence[Uid] = ()
    exists: int | None = None  # new EXISTS when messages arrived
    recent: int | None = None  # new RECENT when it changed
    changed: Sequence[Seq] = ()  # flags, keywords or modseq to be told, ascending
    new_keywords: bool = False  # the mailbox knows more keywords: FLAGS and PERMANENTFLAGS again
    highest_modseq: ModSeq = ModSeq(0)
    held: bool = False  # some messages are gone and that was not told: `expunges=False`


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What STORE did: `modified` failed UNCHANGEDSINCE; `gone` were expunged by another session."""

    changed: SeqSet  # sequence numbers that now differ
    modified: Sequence[Uid] = ()
    gone: bool = False
    modseq: ModSeq = ModSeq(0)


@dataclass(frozen=True, slots=True)
class CopyResult:
    """COPYUID: `source[i]` became `target[i]`.

    `gone`: some were expunged by another session meanwhile, so none was copied (RFC 3501 6.4.7).
    """

    uidvalidity: int
    source: Sequence[Uid]
    target: Sequence[Uid]
    gone: bool = False


@dataclass(frozen=True, slots=True)
class SaveResult:
    """APPENDUID. `contents`: for `Save.begin_shared`, where the driver can share."""

    uidvalidity: int
    uids: Sequence[Uid]
    contents: "Sequence[SavedContent]" = ()


@dataclass(frozen=True, slots=True)
class SavedContent:
    """What a message consists of that was just saved: only its driver understands `reference`.

    `storage_id`: what the storage calls it, for log lines; "" where it has no name.
    """

    reference: object
    storage_id: str = ""


class Message(Protocol):
    """One message's content; open until `close`. Everything is in the CRLF form unless it says otherwise."""

    def stored(self) -> bytes:
        """The message as stored (usually LF), read once."""
        ...

    def crlf(self) -> bytes:
        """The whole message with CRLF line ends."""
        ...

    def header(self) -> bytes:
        """The header with CRLF, its empty line included."""
        ...

    def section(self, section: Section) -> bytes | None:
        """Bytes of BODY[section]; None when there is no such part (IMAP sends NIL)."""
        ...

    def stretch(self, section: Section) -> Stretch | None:
        """As `section`, of a large one: to be read block by block. None: ask for the section."""
        ...

    def crlf_stretch(self) -> Stretch | None:
        """As `crlf`, of a large message: to be read block by block. None: it is small."""
        ...

    def binary(self, section: Section) -> Decoded:
        """BINARY[section], RFC 3516: encodings undone. Raises UserError(UNKNOWN_CTE), UserError(PARSE)."""
        ...

    def binary_size(self, section: Section) -> int:
        """Octets of `binary`; the same errors, also those of the other parts of the message."""
        ...

    def close(self) -> None: ...


class Save(Protocol):
    """One or more messages on their way into one mailbox: all appear at `commit`, or none.

    `begin`, then `write` any number of times, then `finish`, for each message. `rollback` is always safe.
    """

    def begin(
        self, flags: FlagSet, received: int | None, *, guid: str = "", pop3_uidl: str = "",
        expected: int = 0, moved: bool = False, sender: str | None = None,
    ) -> None:  # fmt: skip
        """Start a message; `received` in seconds UTC, None: now.

        `expected`: how many octets will come, if that is known. `moved`: another mailbox loses it.
        `sender`: of the envelope, for formats that keep it; "" for bounces, None: nobody knows.
        """
        ...

    def begin_shared(self, content: SavedContent, flags: FlagSet, received: int | None) -> bool:
        """Start (instead of `begin` and `write`) a message that was just saved elsewhere, without its bytes.

        False: not possible here, nothing has begun.
        """
        ...

    def write(self, chunk: bytes) -> None:
        """Append bytes; CRLF and LF are both accepted and stored as the driver does."""
        ...

    def finish(self) -> None: ...

    def commit(self) -> SaveResult:
        """Make all visible and durable (mail_fsync) and number them."""
        ...

    def rollback(self) -> None: ...


class View(Protocol):
    """One selected mailbox as one client sees it: sequence numbers move only in `sync`."""

    @property
    def name(self) -> str: ...
    @property
    def readonly(self) -> bool: ...
    @property
    def uidvalidity(self) -> int: ...
    @property
    def uidnext(self) -> Uid: ...
    @property
    def highest_modseq(self) -> ModSeq: ...
    @property
    def keeps_modseqs(self) -> bool:
        """Modseqs outlive the session and are those of other sessions. False: RFC 7162 NOMODSEQ."""
        ...

    @property
    def guid(self) -> str: ...
    @property
    def keywords(self) -> Sequence[str]:
        """All keyword names the mailbox knows, in the order of its list."""
        ...

    @property
    def keywords_allowed(self) -> bool:
        r"""New keywords may be made: `\*` in PERMANENTFLAGS."""
        ...

    @property
    def uids(self) -> "array[int]":
        """UIDs in order: uids[seq - 1]. Do not change; valid until the next sync."""
        ...

    @property
    def recent(self) -> int: ...

    def hide_recent(self) -> None:
        """For a client that knows no \\Recent (RFC 9051): no message has it in this view from now on."""
        ...

    def first_unseen(self) -> Seq | None: ...

    def seqs_of(self, uids: SeqSet) -> SeqSet:
        """Sequence numbers of those UIDs that are in this view (`*` resolved here)."""
        ...

    def rows(self, seqs: SeqSet, columns: Sequence[Column]) -> Iterator[tuple[object, ...]]:
        """One tuple a message in sequence order, values in the order of `columns`.

        Columns that the index lacks are made from the message and kept. A message that another session
        expunged still has its row from the index; when content is needed and gone, ExpungedError is raised.
        """
        ...

    def message(self, seq: Seq) -> Message:
        """Open one message. Raises ExpungedError when its content is gone."""
        ...

    def links(self, seq: Seq) -> int:
        """In how many mailboxes the message's file is; 0: messages have no files of their own."""
        ...

    def search(self, key: Key) -> Sequence[Seq]:
        """Sequence numbers of matching messages, ascending."""
        ...

    def sort(self, program: Sequence[SortBy], seqs: Sequence[Seq]) -> Sequence[Seq]:
        """Those messages (ascending) in another order. RFC 5256 SORT."""
        ...

    def thread(self, kind: ThreadKind, seqs: Sequence[Seq], *, uid: bool) -> bytes:
        """Those messages (ascending) as thread lists, wire, by UIDs or numbers. RFC 5256 THREAD."""
        ...

    def store(
        self,
        seqs: SeqSet,
        op: StoreOp,
        flags: FlagSet,
        *,
        unchanged_since: ModSeq | None = None,
        silent: bool = False,
    ) -> StoreResult:
        """Change flags at once and durably. The next sync tells them unless `silent`."""
        ...

    def mark_seen(self, seqs: SeqSet) -> None:
        r"""FETCH BODY[] sets \Seen; a view opened readonly ignores it."""
        ...

    def copy(self, seqs: SeqSet, target: str) -> CopyResult: ...

    def move(self, seqs: SeqSet, target: str) -> CopyResult:
        """As copy, then the sources are expunged; each message is in one of both at any time."""
        ...

    def replace(self, seq: Seq, save: Save) -> SaveResult:
        """Commit `save`, its message finished, and remove message `seq`: one of them is there at any time.

        The next sync tells both. Raises UserError(EXPUNGEISSUED), with nothing changed, when another session
        has removed the old one.
        """
        ...

    def expunge(self, uids: SeqSet | None = None) -> None:
        r"""Remove messages with \Deleted (of `uids` only, if given). The next sync tells them."""
        ...

    def expunge_seqs(self, seqs: SeqSet) -> None:
        """Remove these messages whatever their flags (POP3)."""
        ...

    def verify(self) -> None:
        """Raise MailboxGoneError when the index tells of another mailbox by now; every change does it first.

        For who reads long after the last sync: a UID means another message then.
        """
        ...

    def checkpoint(self) -> None:
        """CHECK: what a driver does only now and then is done; the next sync tells what it has found."""
        ...

    def sync(self, *, expunges: bool = True) -> Changes:
        """Take in what this and other sessions and programs did. `expunges=False` holds those back."""
        ...

    def changed_since(self, modseq: ModSeq, seqs: SeqSet | None = None) -> Sequence[Seq]:
        """Messages with a modseq above `modseq`. RFC 7162 CHANGEDSINCE."""
        ...

    def vanished_since(
        self, modseq: ModSeq, uids: SeqSet | None = None, *, same_to: Uid = Uid(0)
    ) -> SeqSet:
        """UIDs expunged after `modseq`. RFC 7162 VANISHED (EARLIER).

        Where the history does not reach back so far: all UIDs that are not there, without those up to
        `same_to`, of which the client knows what is there (RFC 7162 3.2.5.2).
        """
        ...

    def save_pop3_uidl(self, uidls: Iterable[tuple[Uid, str]]) -> None: ...

    def watch(self) -> int | None:
        """A file descriptor that turns readable when the mailbox may have changed; None: poll instead."""
        ...

    @property
    def watch_problem(self) -> str:
        """Why `watch` gave None, for the log."""
        ...

    def drain_watch(self) -> bool:
        """Empty the watch descriptor; True when a sync is worth it."""
        ...

    def close(self) -> None: ...


class ExpungedError(Exception):
    """The message's content is gone: another session expunged it."""


class MailboxGoneError(Exception):
    """The mailbox that a view shows was deleted, or replaced by one with another UIDVALIDITY."""


class Store(Protocol):
    """All mail of one user. `autoexpunged`: messages that `close` removed, being too old or too many.

    `plugins`: what plugins keep with the store, by their names.
    """

    autoexpunged: int
    plugins: dict[str, object]

    @property
    def namespaces(self) -> Sequence[Namespace]: ...

    def list(self, patterns: Sequence[str], options: ListOptions = ListOptions()) -> Iterator[ListEntry]:
        """Mailboxes that match any pattern (`*` and `%`), in Dovecot's order."""
        ...

    def exists(self, name: str) -> bool: ...

    def open(self, name: str, *, readonly: bool = False, keep_recent: bool = False) -> View:
        """Select. Raises UserError(NONEXISTENT) `Mailbox doesn't exist: x`.

        `keep_recent`: EXAMINE and POP3 leave \\Recent to the next session.
        """
        ...

    def status(self, name: str, *, size: bool = False) -> Status: ...

    def create(self, name: str, *, special_use: Sequence[str] = ()) -> str:
        """A trailing separator makes only the node (\\Noselect). Gives the mailbox's GUID, "" of a node."""
        ...

    def delete(self, name: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def subscribe(self, name: str) -> None: ...

    def unsubscribe(self, name: str) -> None: ...

    def save(self, name: str) -> Save:
        """Start an APPEND. Raises UserError(NONEXISTENT) at once when the mailbox is missing."""
        ...

    def close(self) -> None: ...


__all__ = [
    "COMMON_FIELDS",
    "Changes", "Column", "CopyResult", "ExpungedError", "ListEntry", "ListOptions", "MailboxGoneError",
    "Message", "Namespace", "Save", "SaveResult", "SavedContent", "Special", "Status", "Store", "StoreResult",
    "View",
]

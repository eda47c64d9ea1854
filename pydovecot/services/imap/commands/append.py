"""APPEND. RFC 3501 6.3.11, RFC 9051 6.3.12 (LIST), RFC 3502 (several), RFC 3516 (literal8), RFC 4315 3.

The only command that takes its literals piece by piece: a message goes from the socket into the store.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.mime import asbase64
from pydovecot.model.flags import FlagSet
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.parser import LITERAL8_REFUSED, LiteralStart
from pydovecot.proto.imap.syntax import MISSING_ARGUMENTS, Arg, BadSyntax, Literal
from pydovecot.proto.imap.tokens import arguments
from pydovecot.services.imap.commands.list import normalized
from pydovecot.services.imap.dates import NO_SUCH_TIME, parse_date_time
from pydovecot.services.imap.flags import check_keywords, parse_flags
from pydovecot.services.imap.reply import Conversation, Need, no, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync
from pydovecot.storage.api import Save, SaveResult

# To become base64 a message must be in memory: larger ones stay as they are.
MAX_CONVERTED: Final = 64 << 20
MAX_NAME_BYTES: Final = 4096  # a mailbox name as a literal

Piece = tuple[bytes, LiteralStart | None]


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before one message's literal."""

    flags: FlagSet
    received: int | None


def parse(cursor: Cursor) -> Piece:
    """Only reached without any literal, so the message is missing."""
    cursor.mailbox()
    raise _no_message(cursor)


def _no_message(cursor: Cursor) -> BadSyntax:
    """The line ended without a literal; flags may have been there."""
    cursor.optional_list()
    return BadSyntax("Invalid arguments" if cursor.more() else "Missing message size")


def read_head(cursor: Cursor) -> Head:
    """`[(flags)] [date-time]`; FlagSet() and None where they are left out."""
    flags = cursor.optional_list()
    received: int | None = None
    wanted = parse_flags(flags) if flags is not None else FlagSet()
    if cursor.more():
        received = parse_date_time(cursor.string())
        if received is None:
            raise BadSyntax("Invalid internal date")
        if received == NO_SUCH_TIME:
            received = None
    if cursor.more():
        raise BadSyntax("Invalid arguments")
    return Head(wanted, received)


def args_of(piece: bytes, literal: LiteralStart | None) -> list[Arg]:
    """Arguments before the literal that ends the piece."""
    if literal is not None:
        piece = piece[: piece.rindex(b"{")].removesuffix(b"~")
    return arguments(piece)


def run(session: Session, args: Piece) -> Conversation:
    _, name, head_args, first = yield from take_mailbox(*args)
    literal: LiteralStart | None = first
    target = session.mailbox_name(name)
    save = session.store.save(target)
    try:
        while literal is not None:
            head = read_head(Cursor(head_args))
            if literal.size == 0:
                return no("Can't save a zero byte message")
            flags = check_keywords(head.flags, session.max_keyword_length)
            save.begin(flags, head.received, expected=literal.size)
            yield from take_message(save, literal)
            save.finish()
            text, literal = yield Need.PIECE
            head_args = args_of(text, literal)
        if head_args:
            raise BadSyntax("Invalid arguments")
        result = save.commit()
    except BaseException:
        save.rollback()
        raise
    session.stats.appended += len(result.uids)
    yield from normalized(session, target)
    yield from sync(session)
    return ok("Append completed", appenduid(result))


def take_mailbox(
    text: bytes, literal: LiteralStart | None, *, before: int = 0
) -> Generator[Need, Any, tuple[list[Arg], bytes, list[Arg], LiteralStart]]:
    """The mailbox name, which may itself be a literal, and what stands before and behind it."""
    args = args_of(text, literal)
    if len(args) == before:
        assert literal is not None
        if literal.binary:
            raise BadSyntax(LITERAL8_REFUSED)
        if literal.size > MAX_NAME_BYTES:
            raise BadSyntax("Too long argument")
        name = b""
        while (chunk := (yield Need.LITERAL)) is not None:
            name += chunk
        text, literal = yield Need.PIECE
        args = [*args, Literal(name), *args_of(text, literal)]
    cursor = Cursor(args[before:])
    name = cursor.astring(MISSING_ARGUMENTS)
    rest = list(cursor.rest())
    if literal is None:
        raise _no_message(Cursor(rest))
    return args[:before], name, rest, literal


def take_message(save: Save, literal: LiteralStart) -> Generator[Need, Any, None]:
    """The message itself, from the client into the store."""
    if literal.binary and literal.size <= MAX_CONVERTED:
        whole = bytearray()
        while (chunk := (yield Need.LITERAL)) is not None:
            whole += chunk
        for chunk in asbase64.convert(bytes(whole)):
            save.write(chunk)
        return
    while (chunk := (yield Need.LITERAL)) is not None:
        save.write(chunk)


def appenduid(result: SaveResult) -> bytes:
    """The code that tells the new UIDs."""
    return b"APPENDUID %d %b" % (result.uidvalidity, SeqSet.of(result.uids).encode())

"""The commands of RFC 1939 after the login. Each yields its answer as bytes; `BadCommand` is -ERR and counts.

`COMMANDS` is the whole list; QUIT is the connection's own affair.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pydovecot.mime.stretch import Stretch
from pydovecot.proto.pop3 import encode
from pydovecot.proto.pop3.parser import BadArgument, line_count, message_number
from pydovecot.services.pop3.session import Session
from pydovecot.storage.api import ExpungedError

Handler = Callable[[Session, bytes], Iterator[bytes]]

# RFC 2449 6; before the login pop3-login adds STLS, USER and SASL.
CAPABILITY: Final = b"CAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n"


DELETED: Final = encode.ok("Marked to be deleted.")


class BadCommand(Exception):
    """Answered with -ERR and this text; too many of them end the session."""


def _message(session: Session, args: bytes, *, more: bool = False) -> tuple[int, bytes]:
    """The message that a command names and the rest of its arguments."""
    try:
        seq, rest = message_number(args, more=more)
    except BadArgument as exc:
        raise BadCommand(str(exc)) from None
    if not 0 < seq <= session.count:
        raise BadCommand(f"There's no message {seq}.")
    if seq in session.deleted:
        raise BadCommand("Message is deleted.")
    return seq, rest


def capa(_session: Session, _args: bytes) -> Iterator[bytes]:
    """RFC 2449."""
    yield encode.ok() + CAPABILITY + encode.END


def stat(session: Session, _args: bytes) -> Iterator[bytes]:
    """RFC 1939 5, STAT."""
    yield encode.ok(f"{session.count - len(session.deleted)} {session.present_size()}")


def list_(session: Session, args: bytes) -> Iterator[bytes]:
    """RFC 1939 5, LIST."""
    if args:
        seq, _ = _message(session, args)
        yield encode.ok(f"{seq} {session.sizes[seq - 1]}")
        return
    sizes = session.sizes
    lines = encode.numbered(
        enumerate(sizes, 1) if not session.deleted else ((seq, sizes[seq - 1]) for seq in session.present())
    )
    yield encode.ok(f"{session.count - len(session.deleted)} messages:")
    yield from encode.pieces(lines + encode.END)


def uidl(session: Session, args: bytes) -> Iterator[bytes]:
    """RFC 1939 7, UIDL."""
    if args:
        number, _ = _message(session, args)
        yield b"+OK " + encode.numbered_texts([(number, _uidl(session, number))])
        session.told_uidls([number])
        return
    texts = session.uidls.texts
    numbers = session.present()
    lines = encode.numbered_texts((number, texts[number - 1]) for number in numbers if texts[number - 1])
    session.told_uidls(numbers)
    yield encode.ok()
    yield from encode.pieces(lines + encode.END)


def _uidl(session: Session, number: int) -> str:
    found = session.uidls.texts[number - 1]
    if not found:
        raise _gone(session, number)
    return found


def dele(session: Session, args: bytes) -> Iterator[bytes]:
    """RFC 1939 5, DELE: only a mark until QUIT."""
    seq, _ = _message(session, args)
    session.deleted.add(seq)
    yield DELETED


def retr(session: Session, args: bytes) -> Iterator[bytes]:
    """RFC 1939 5, RETR."""
    seq, _ = _message(session, args)
    session.asked_for(seq)
    session.counters.retr += 1
    message = _content(session, seq)
    session.mark_retrieved(seq)
    status = encode.ok(f"{session.sizes[seq - 1]} octets")
    if isinstance(message, Stretch):
        session.counters.retr_bytes += len(status) - len(encode.END)
        yield status
        for piece in _large(session, message.chunks()):
            session.counters.retr_bytes += len(piece)
            yield piece
        return
    body = _worked_around(session, message)
    session.counters.retr_bytes += len(status) + len(body)
    yield from encode.pieces(status + body + encode.END)


def top(session: Session, args: bytes) -> Iterator[bytes]:
    """RFC 1939 7, TOP."""
    seq, rest = _message(session, args, more=True)
    try:
        lines = line_count(rest)
    except BadArgument as exc:
        raise BadCommand(str(exc)) from None
    session.counters.top += 1
    message = _content(session, seq)
    status = encode.ok()
    if isinstance(message, Stretch):
        session.counters.top_bytes += len(status) - len(encode.END)
        yield status
        for piece in _large(session, encode.head_and_lines_of(message.chunks(), lines)):
            session.counters.top_bytes += len(piece)
            yield piece
        return
    body = _worked_around(session, encode.head_and_lines(message, lines))
    session.counters.top_bytes += len(status) + len(body)
    yield from encode.pieces(status + body + encode.END)


def _large(session: Session, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """As `_worked_around`, chunk by chunk; with the final dot."""
    workarounds = session.settings.pop3_client_workarounds
    header_ended = "oe-ns-eoh" not in workarounds
    before = b"\n"
    for chunk in chunks:
        header_ended = header_ended or b"\n\r" in before + chunk
        sent = encode.stuffed_part(chunk, before)
        before = chunk[-1:]
        yield sent.replace(b"\0", b"\x80") if "outlook-no-nuls" in workarounds else sent
    yield (b"" if before == b"\n" else b"\r\n") + (b"" if header_ended else b"\r\n") + encode.END


def _content(session: Session, number: int) -> bytes | Stretch:
    """The message with CRLF. One that is gone is an error; asked for again, one that counts."""
    try:
        return session.message(number)
    except ExpungedError:
        raise _gone(session, number) from None


def _gone(session: Session, number: int) -> Exception:
    text = f"Message {number} expunged."
    if number <= session.highest_expunged:
        # A client that asks for the same message again and again is sent away in the end.
        return BadCommand(text)
    session.highest_expunged = number
    return GoneMessage(text)


class GoneMessage(Exception):
    """-ERR, but no fault of the client."""


def _worked_around(session: Session, message: bytes) -> bytes:
    """The message as it goes out, with pop3_client_workarounds."""
    workarounds = session.settings.pop3_client_workarounds
    body = encode.stuffed(message)
    if "outlook-no-nuls" in workarounds:
        body = body.replace(b"\0", b"\x80")
    if "oe-ns-eoh" in workarounds and not (message.startswith(b"\r") or b"\n\r" in message):
        body += b"\r\n"
    return body


def noop(_session: Session, _args: bytes) -> Iterator[bytes]:
    """RFC 1939 5, NOOP."""
    yield encode.ok()


def rset(session: Session, _args: bytes) -> Iterator[bytes]:
    """RFC 1939 5, RSET."""
    session.reset()
    yield encode.ok()


def last(session: Session, _args: bytes) -> Iterator[bytes]:
    """RFC 1460, LAST; only with pop3_enable_last."""
    yield encode.ok(str(session.last_retrieved))


COMMANDS: Final[dict[bytes, Handler]] = {
    b"CAPA": capa,
    b"DELE": dele,
    b"LIST": list_,
    b"NOOP": noop,
    b"RETR": retr,
    b"RSET": rset,
    b"STAT": stat,
    b"TOP": top,
    b"UIDL": uidl,
}
WITH_LAST: Final[dict[bytes, Handler]] = {**COMMANDS, b"LAST": last}

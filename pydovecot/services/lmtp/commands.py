"""The commands of LMTP: RFC 2033, RFC 5321 4.1.1, RFC 3030 (BDAT), RFC 3207 (STARTTLS), XCLIENT."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from pydovecot.proto.smtp import path as paths
from pydovecot.proto.smtp.path import BadPath
from pydovecot.services.lmtp import replies, xclient
from pydovecot.services.lmtp.transaction import (
    Incoming,
    LookupFailed,
    NoSuchUser,
    NotTaken,
    Recipient,
    Transaction,
)

if TYPE_CHECKING:
    from pydovecot.services.lmtp.connection import LmtpConnection

MAX_RECIPIENTS: Final = 1000  # RFC 5321 4.5.3.1.8 wants a hundred
MAX_HELO: Final = 255
MAX_FORWARD: Final = 4096
_CHUNK: Final = re.compile(rb"([0-9]{1,19})(?: (.*))?")
_SIZE: Final = re.compile(rb"[0-9]{1,20}")  # RFC 1870 4
_BODY_TYPES: Final = frozenset((b"7BIT", b"8BITMIME"))
Handler = Callable[["LmtpConnection", bytes], Iterator[bytes]]


def lhlo(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """RFC 2033 4.1. A message on its way is forgotten, RFC 5321 4.1.4."""
    if not args.strip():
        yield replies.MISSING_HOSTNAME
        return
    connection.reset()
    name = args.split()[0].decode("utf-8", "replace")
    connection.client.helo = "".join(char if char.isprintable() else "?" for char in name[:MAX_HELO])
    lines = [connection.hostname, "8BITMIME", "CHUNKING", "ENHANCEDSTATUSCODES", "PIPELINING"]
    if connection.max_size:
        lines.append(f"SIZE {connection.max_size}")
    if connection.tls_offered and not connection.client.tls:
        lines.append("STARTTLS")
    if connection.client.trusted:
        lines += [f"XCLIENT {xclient.NAMES}", "XRCPTFORWARD"]
    last = len(lines) - 1
    yield "".join(f"250{'-' if at < last else ' '}{line}\r\n" for at, line in enumerate(lines)).encode()


def mail(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """MAIL FROM:<path> [BODY=...] [SIZE=...]."""
    if connection.transaction is not None:
        yield replies.MAIL_GIVEN
        return
    try:
        text, rest = _split(connection, args, b"FROM")
        sender = paths.parse_reverse(text)
    except BadPath as exc:
        yield _bad_path("FROM", exc)
        return
    try:
        size = _mail_parameters(paths.parse_parameters(rest, "MAIL"))
    except BadPath as exc:
        yield replies.reply(501, "5.5.4", str(exc))
        return
    except _Refused as exc:
        yield exc.answer
        return
    if 0 < connection.max_size < size:
        yield replies.TOO_LARGE
        return
    connection.transactions += 1
    number = connection.transactions
    session = connection.client.session + (f":T{number}" if number > 1 else "")
    connection.transaction = Transaction(sender, session, size=size, begin=connection.backend.now())
    yield replies.MAIL_OK


def _mail_parameters(parameters: list[tuple[bytes, bytes | None]]) -> int:
    """The size that they tell, 0 without. Raises _Refused."""
    found: dict[bytes, bytes | None] = {}
    for name, value in parameters:
        if name in found:
            raise _Refused(replies.reply(501, "5.5.4", f"Duplicate {name.decode()}= parameter"))
        found[name] = value
        if name == b"SIZE":
            # Also where it was not announced: the parameter alone must not cost anybody a message.
            if value is None or _SIZE.fullmatch(value) is None:
                raise _Refused(replies.BAD_SIZE)
        elif name != b"BODY":
            raise _Refused(replies.UNSUPPORTED)
        elif value is None or value.upper() not in _BODY_TYPES:
            raise _Refused(replies.UNSUPPORTED_BODY)
    return int(found.get(b"SIZE") or 0)


def rcpt(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """RCPT TO:<path>: the user is looked up at once."""
    transaction = connection.transaction
    if transaction is None:
        yield replies.MAIL_FIRST
        return
    try:
        text, rest = _split(connection, args, b"TO")
        address = paths.parse_forward(text)
    except BadPath as exc:
        yield _bad_path("TO", exc)
        return
    try:
        forward, original = _rcpt_parameters(connection, paths.parse_parameters(rest, "RCPT"))
    except BadPath as exc:
        yield replies.reply(501, "5.5.4", str(exc))
        return
    except _Refused as exc:
        yield exc.answer
        return
    yield _add_recipient(connection, transaction, address, forward, original)


def _add_recipient(
    connection: "LmtpConnection", transaction: Transaction, address: paths.Path, forward: str, original: str
) -> bytes:
    if len(transaction.recipients) >= MAX_RECIPIENTS:
        return replies.TOO_MANY_RECIPIENTS
    transaction.attempts += 1
    number = transaction.attempts
    same = transaction.by_address.get(address.encode())
    session = transaction.session + (f":R{number}" if number > 1 else "")
    shown = address.encode().decode("utf-8", "surrogateescape")
    try:
        if same is None:
            account, detail = connection.backend.find(connection.client, address, session, forward)
            recipient = Recipient(address, session, account, detail, original)
        else:
            recipient = Recipient(address, same.session, same.account, same.detail, original, same)
        connection.backend.admit(connection.client, recipient, transaction.size)
    except NoSuchUser as exc:
        return replies.reply(550, "5.1.1", f"<{shown}> User doesn't exist: {exc}")
    except NotTaken as exc:
        return exc.answer
    except LookupFailed:
        return replies.reply(451, "4.3.0", f"<{shown}> Temporary internal error")
    transaction.by_address.setdefault(address.encode(), recipient)
    transaction.recipients.append(recipient)
    return replies.RCPT_OK


class _Refused(Exception):
    def __init__(self, answer: bytes) -> None:
        super().__init__(answer)
        self.answer = answer


def _rcpt_parameters(
    connection: "LmtpConnection", parameters: list[tuple[bytes, bytes | None]]
) -> tuple[str, str]:
    """XRCPTFORWARD's fields, and ORCPT's address."""
    forward = original = ""
    for name, value in parameters:
        if name == b"ORCPT" and value:
            original = _original(value)
            continue
        if name != b"XRCPTFORWARD" or value is None:
            raise _Refused(replies.UNSUPPORTED)
        if not connection.client.trusted:
            raise _Refused(
                replies.reply(
                    550, "5.7.14", "Unacceptable XRCPTFORWARD= parameter: You are not from trusted IP"
                )
            )
        try:
            forward = base64.b64decode(value, validate=True)[:MAX_FORWARD].decode("utf-8", "replace")
        except binascii.Error as exc:
            raise BadPath(f"Invalid XRCPTFORWARD= parameter: {exc}") from exc
    return forward, original


def _original(value: bytes) -> str:
    """`rfc822;xtext`, RFC 3461 4.2; other address types name no mailbox."""
    kind, _, text = value.partition(b";")
    address = xclient.plain(text).decode("utf-8", "replace") if kind.lower() == b"rfc822" else ""
    return address if address.isprintable() and "<" not in address else ""


def _split(connection: "LmtpConnection", args: bytes, keyword: bytes) -> tuple[bytes, bytes]:
    workarounds = connection.settings.lmtp_client_workarounds
    return paths.split(
        args,
        keyword,
        lenient_blank="whitespace-before-path" in workarounds,
        lenient_brackets="mailbox-for-path" in workarounds,
    )


def _bad_path(keyword: str, exc: BadPath) -> bytes:
    return replies.reply(501, "5.5.4", f"Invalid {keyword}: {exc}") if str(exc) else replies.BAD_PARAMETERS


def _missing(connection: "LmtpConnection") -> bytes:
    """Why no message can come now; b"" when it can."""
    if connection.transaction is None:
        return replies.MAIL_FIRST
    return b"" if connection.transaction.recipients else replies.NO_RECIPIENTS


def data(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """DATA: the message comes with a dot at its end."""
    if args:
        yield replies.BAD_PARAMETERS
        return
    transaction = connection.transaction
    if transaction is None or not transaction.recipients:
        yield _missing(connection)
        return
    if transaction.spool is not None or transaction.failed:
        yield replies.BAD_SEQUENCE  # RFC 3030 2: no DATA after BDAT
        return
    transaction.spool = connection.backend.spool()
    connection.incoming = Incoming()
    connection.reader.expect_data()
    yield replies.SEND_DATA


def bdat(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """BDAT size [LAST], RFC 3030 2. The octets come also behind a refusal, and are dropped then."""
    found = _CHUNK.fullmatch(args)
    transaction = connection.transaction
    if found is None:
        if transaction is not None:
            transaction.failed = True
        yield replies.BAD_CHUNK_SIZE
        return
    incoming = Incoming(found[2] is not None, int(found[1]))
    connection.incoming = incoming
    connection.reader.expect_chunk(incoming.octets)
    if found[2] is not None and found[2].upper() != b"LAST":
        incoming.refused = replies.BAD_END_MARKER
    elif transaction is not None and transaction.failed:
        incoming.refused = replies.CHUNK_FAILED
    else:
        incoming.refused = _missing(connection)
    if not incoming.refused and transaction is not None and connection.too_large(incoming.octets):
        incoming.refused = replies.TOO_LARGE * (len(transaction.recipients) if incoming.last else 1)
    if incoming.refused:
        yield incoming.refused
        if transaction is not None:
            transaction.failed = True
    elif transaction is not None and transaction.spool is None:
        transaction.spool = connection.backend.spool()


def rset(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """RSET."""
    if args:
        yield replies.BAD_PARAMETERS
        return
    connection.reset()
    yield replies.OK


def noop(_connection: "LmtpConnection", _args: bytes) -> Iterator[bytes]:
    """NOOP [anything]."""
    yield replies.OK


def vrfy(_connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """VRFY: who is here is told to nobody, RFC 5321 7.3."""
    yield replies.TRY_RCPT if args else replies.BAD_PARAMETERS


def quit_(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """QUIT."""
    if args:
        yield replies.BAD_PARAMETERS
        return
    connection.close("Logged out")
    yield replies.BYE


def starttls(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """STARTTLS, RFC 3207 4."""
    if args:
        yield replies.BAD_PARAMETERS
    elif connection.client.tls:
        yield replies.TLS_ACTIVE
    elif not connection.tls_offered:
        yield replies.NO_TLS
    else:
        connection.wants_tls = True
        yield replies.BEGIN_TLS


def xclient_(connection: "LmtpConnection", args: bytes) -> Iterator[bytes]:
    """XCLIENT: the client of a trusted proxy. The conversation begins anew."""
    if connection.transaction is not None:
        yield replies.XCLIENT_LATE
        return
    if not connection.client.trusted:
        yield replies.NOT_TRUSTED
        return
    try:
        xclient.apply(connection.client, args)
    except xclient.BadXclient as exc:
        yield replies.reply(501, "5.5.4", f"Invalid {exc} parameter")
        return
    yield connection.greeting()


COMMANDS: Final[dict[bytes, Handler]] = {
    b"LHLO": lhlo,
    b"MAIL": mail,
    b"RCPT": rcpt,
    b"DATA": data,
    b"BDAT": bdat,
    b"RSET": rset,
    b"NOOP": noop,
    b"VRFY": vrfy,
    b"QUIT": quit_,
    b"STARTTLS": starttls,
    b"XCLIENT": xclient_,
}

"""The message of one delivery: added header fields, content, and what the log says of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from pydovecot.delivery.spool import Spool
from pydovecot.mime import address, header, msgid, words

HEAD_BYTES: Final = 1 << 16  # the fields of the log line are looked for in so much of the message
# Octets that a log line takes from the message, as in Dovecot.
MAX_MESSAGE_ID: Final = 200
MAX_SHOWN: Final = 80
_pick: Final = header.picker((b"from", b"message-id", b"subject"))


@dataclass(slots=True)
class Counted:
    """Octets of a message as stored with LF, and with CRLF, by the pieces that it comes in."""

    physical: int = 0
    virtual: int = 0
    _after_cr: bool = False

    def add(self, chunk: bytes) -> None:
        """The next piece."""
        pairs = chunk.count(b"\r\n") + (self._after_cr and chunk.startswith(b"\n"))
        self.physical += len(chunk) - pairs
        self.virtual += len(chunk) + chunk.count(b"\n") - pairs
        self._after_cr = chunk.endswith(b"\r")


@dataclass
class Mail:
    """`added`: header fields that go before it, with CRLF; `sender`: the envelope's, "" for bounces.

    `named`: what log lines call the sender, where that is another text.
    """

    spool: Spool
    sender: str = ""
    added: bytes = b""
    named: str | None = None
    _fields: dict[bytes, bytes] = field(default_factory=dict)

    def chunks(self) -> Iterator[bytes]:
        """What is stored, in pieces."""
        if self.added:
            yield self.added
        yield from self.spool.chunks()

    @cached_property
    def fields(self) -> Mapping[bytes, bytes]:
        """The first of each field that log lines want, lower-case names, unfolded."""
        found: dict[bytes, bytes] = {}
        block = self.spool.head(HEAD_BYTES)
        for name, value in header.fields(_pick(header.drop_cr(block[: header.end(block)]))):
            found.setdefault(name.lower(), value.replace(b"\n", b"").strip())
        return found

    def field(self, name: bytes) -> bytes:
        """The first field of that name, unfolded; b"" when there is none."""
        return (header.first(self.spool.head(HEAD_BYTES), name.lower()) or b"").replace(b"\n", b"").strip()

    def address_in(self, name: str) -> str:
        """The address in a field; "" when there is no whole one."""
        found = address.first(self.field(name.encode()))
        whole = found is not None and _whole(found)
        return shown(b"%s@%s" % (found.mailbox, found.domain), most=MAX_MESSAGE_ID) if found and whole else ""

    @cached_property
    def message_id(self) -> str:
        """The Message-ID with its brackets, "" when there is none that is one."""
        found = msgid.find_all(self.fields.get(b"message-id", b""))
        return shown(b"<" + found[0] + b">", most=MAX_MESSAGE_ID) if found else ""

    @cached_property
    def log_values(self) -> Mapping[str, str]:
        """The variables of deliver_log_format that the message decides, but for its id."""
        subject = shown(self.fields.get(b"subject", b""), decode=True)
        author = address.first(self.fields.get(b"from", b""))
        origin = shown(b"%s@%s" % (author.mailbox, author.domain)) if author and _whole(author) else ""
        named = self.sender if self.named is None else self.named
        sender = shown(named.encode("utf-8", "surrogateescape"))
        physical, virtual = str(self.sizes.physical), str(self.sizes.virtual)
        return {
            "s": subject, "subject": subject,
            "f": origin, "from": origin, "e": sender, "from_envelope": sender,
            "p": physical, "size": physical, "w": virtual, "vsize": virtual,
        }  # fmt: skip

    @cached_property
    def sizes(self) -> Counted:
        """Octets as stored with LF, and with CRLF."""
        counted = Counted()
        for chunk in self.chunks():
            counted.add(chunk)
        return counted


def _whole(author: address.Address) -> bool:
    missing = (None, b"", address.MISSING_MAILBOX, address.MISSING_DOMAIN, address.SYNTAX_ERROR)
    return author.mailbox not in missing and author.domain not in missing


def shown(raw: bytes, *, decode: bool = False, most: int = MAX_SHOWN) -> str:
    """A header's value for a log line: one line, printable, at most so many octets."""
    text = words.decode(raw) if decode else raw.decode("utf-8", "replace")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text.replace("\n", " "))
    if len(text) * 4 <= most or len(whole := text.encode()) <= most:
        return text
    return whole[: most - 3].decode("utf-8", "ignore") + "..."

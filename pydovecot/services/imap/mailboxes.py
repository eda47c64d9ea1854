"""Mailbox names on the wire, str in the model: modified UTF-7 (RFC 3501 5.1.3), or UTF-8 (RFC 9051 5.1)."""

import unicodedata
from typing import Final

from pydovecot.base import mutf7
from pydovecot.model.errors import Code, UserError
from pydovecot.proto.imap.encode import astring, utf8_astring

# No name is longer in storage; and what sorts combining characters takes the square of their number.
MAX_UTF8_BYTES: Final = 4096


class Name(str):
    """A name that a client gave in another form: `given`."""

    given: str

    @classmethod
    def of(cls, name: str, given: str) -> str:
        """`name`, which remembers `given` if that differs."""
        if name == given:
            return name
        made = cls(name)
        made.given = given
        return made


def decode(wire: bytes) -> str:
    """The name that a client sent. INBOX is INBOX in any case (RFC 3501 5.1)."""
    try:
        name = mutf7.decode(wire)
    except mutf7.BadMutf7:
        raise UserError(Code.NONE, "Mailbox name is not valid mUTF-7") from None
    return "INBOX" if name.upper() == "INBOX" else name


def normalized(text: str) -> str:
    """Normalization Form C."""
    return unicodedata.normalize("NFC", text)


def decode_utf8(wire: bytes) -> str:
    """The same of an IMAP4rev2 client, in Normalization Form C: a `Name` if it was written otherwise."""
    if len(wire) > MAX_UTF8_BYTES:
        raise UserError(Code.CANNOT, "Mailbox name too long")
    try:
        given = wire.decode()
    except UnicodeDecodeError:
        raise UserError(Code.CANNOT, "Mailbox name is not valid UTF-8") from None
    name = normalized(given)
    return Name.of("INBOX" if name.upper() == "INBOX" else name, given)


def encode(name: str, *, utf8: bool = False) -> bytes:
    """The name as an astring: also of what is no mUTF-7 on disk something that the client can send back."""
    return utf8_astring(name) if utf8 else astring(mutf7.encode(name))


def given_name(name: str) -> str | None:
    """How the client wrote the name, when that is not what it is called."""
    return name.given if isinstance(name, Name) else None


def object_id(guid: str) -> bytes:
    """MAILBOXID, RFC 8474 4: the GUID that the mailbox keeps through renames and losses of the index."""
    return b"F" + guid.encode()

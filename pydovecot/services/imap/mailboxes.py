"""Mailbox names on the wire: modified UTF-7 there, str in the model. RFC 3501 5.1.3."""

from pydovecot.base import mutf7
from pydovecot.model.errors import Code, UserError
from pydovecot.proto.imap.encode import astring


def decode(wire: bytes) -> str:
    """The name a client sent. INBOX is INBOX in any case (RFC 3501 5.1)."""
    try:
        name = mutf7.decode(wire)
    except mutf7.BadMutf7:
        raise UserError(Code.NONE, "Mailbox name is not valid mUTF-7") from None
    return "INBOX" if name.upper() == "INBOX" else name


def object_id(guid: str) -> bytes:
    """MAILBOXID, RFC 8474 4: the GUID that the mailbox keeps through renames and losses of the index."""
    return b"F" + guid.encode()


def encode(name: str) -> bytes:
    """The name as an astring."""
    return astring(mutf7.encode_lenient(name))

"""Identifiers of a message and of its conversation, made from its content alone. RFC 8474 5.

They are the same on every server, in every mailbox and after every loss of an index, because nothing is
remembered: EMAILID is a hash of the content, THREADID a hash of the message that began the conversation, as
far as the message names it. These rules must never change, for clients keep the ids for years.
"""

import hashlib
import re
from typing import Final

ID_BYTES: Final = 16  # of SHA-256: two of a billion messages are the same by chance once in 10^20
_FIELD: Final = re.compile(
    rb"\n(references|in-reply-to|message-id)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE
)
_MSG_ID: Final = re.compile(rb"<([^<>]+)>")
_BLANKS: Final = b" \t\r\n"


def email_id(stored: bytes) -> bytes:
    """`M` and the hash of the message with LF line ends: how it is stored makes no difference."""
    return b"M" + _hash(stored)


def thread_id(header: bytes) -> bytes:
    """`T` and the hash of the first id in References, else in In-Reply-To, else of Message-ID.

    A message without any of them is a conversation of its own: the hash of its header.
    """
    found: dict[bytes, bytes] = {}
    for name, value in _FIELD.findall(b"\n" + header):
        found.setdefault(name.lower(), value)
    for name in (b"references", b"in-reply-to", b"message-id"):
        root = _first_id(found.get(name, b""))
        if root:
            return b"T" + _hash(root)
    return b"T" + _hash(b"\n" + header)


def _first_id(value: bytes) -> bytes:
    """The first identifier; without angle brackets the first word that looks like one."""
    bracketed = _MSG_ID.search(value)
    if bracketed is not None:
        return bracketed[1].translate(None, _BLANKS)
    return next((word for word in value.split() if b"@" in word), b"")


def _hash(data: bytes) -> bytes:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    return hashlib.sha256(data).digest()[:ID_BYTES].hex().encode()

"""A message's GUID: the MD5 of those header fields that no later program changes. The same as Dovecot's."""

import hashlib
import re
from typing import Final

_FIELDS: Final = re.compile(
    rb"^(date|delivered-to|message-id|received|x-delivery-id)[ \t]*:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)


def guid_of(header: bytes) -> str:
    """Hexadecimal. Only the first Received counts, and Date and Message-ID only before it."""
    total = hashlib.md5(usedforsecurity=False)
    received = False
    for match in _FIELDS.finditer(header):
        name = match[1].lower()
        if name in (b"date", b"message-id", b"received") and received:
            continue
        received = received or name == b"received"
        for line in match[2].split(b"\n"):
            total.update(line.removesuffix(b"\r"))
    return total.hexdigest()

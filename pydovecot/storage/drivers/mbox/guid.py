"""A message's header MD5, which is its GUID, too: the same as Dovecot's (mbox_md5)."""

import hashlib
import re
from typing import Final

from pydovecot.storage.drivers.mbox.scan import META_NAMES

# Fields that no later program changes.
_FEW: Final = re.compile(
    rb"^(date|delivered-to|message-id|received|x-delivery-id)[ \t]*:[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
# A line without a colon counts, too.
_ALL: Final = re.compile(rb"^(?:([^\n:]*?)[ \t]*:[ \t]*)?([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE)
NOTHING: Final = hashlib.md5(usedforsecurity=False).hexdigest()  # of a message that has none of these fields


def guid_of(header: bytes, *, every: bool = False) -> str:
    """Hexadecimal. `every`: of all fields that are not the format's own (mbox_md5 = all)."""
    return _of_all(header) if every else _of_few(header)


def _of_few(header: bytes) -> str:
    """Only the first Received counts, and Date and Message-ID only before it."""
    total = hashlib.md5(usedforsecurity=False)
    received = False
    for match in _FEW.finditer(header):
        name = match[1].lower()
        if name in (b"date", b"message-id", b"received") and received:
            continue
        received = received or name == b"received"
        for line in match[2].split(b"\n"):
            total.update(line.removesuffix(b"\r"))
    return total.hexdigest()


def _of_all(header: bytes) -> str:
    total = hashlib.md5(usedforsecurity=False)
    for match in _ALL.finditer(header):
        if match[1] is None or match[1].lower() not in META_NAMES:
            for line in match[2].split(b"\n"):
                total.update(line.removesuffix(b"\r"))
    return total.hexdigest()

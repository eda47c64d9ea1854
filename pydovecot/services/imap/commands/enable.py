"""ENABLE. RFC 5161 3.1, RFC 7162 3.1, RFC 9051 A."""

from collections.abc import Sequence
from typing import Final

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session

# As they come back
_KNOWN: Final = {b"CONDSTORE": b"CONDSTORE", b"QRESYNC": b"QRESYNC", b"IMAP4REV2": b"IMAP4rev2"}


def parse(cursor: Cursor) -> Sequence[bytes]:
    names: list[bytes] = []
    while cursor.more():
        names.append(cursor.atom().upper())
    return names


def run(session: Session, names: Sequence[bytes]) -> Conversation:
    enabled = [_KNOWN[name] for name in names if name in _KNOWN]
    if b"IMAP4rev2" in enabled:
        session.enable_rev2()
    if b"QRESYNC" in enabled:
        yield from session.enable_qresync()
    elif b"CONDSTORE" in enabled:
        yield from session.enable_condstore()
    if enabled or session.rev2:  # RFC 9051 6.3.1: even if nothing was
        yield b" ".join([b"* ENABLED", *enabled]) + b"\r\n"
    return ok("Enabled")

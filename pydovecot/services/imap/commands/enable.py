"""ENABLE. RFC 5161 3.1, RFC 7162 3.1."""

from collections.abc import Sequence
from typing import Final

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session

_KNOWN: Final = frozenset({b"CONDSTORE", b"QRESYNC"})


def parse(cursor: Cursor) -> Sequence[bytes]:
    names: list[bytes] = []
    while cursor.more():
        names.append(cursor.atom().upper())
    return names


def run(session: Session, names: Sequence[bytes]) -> Conversation:
    enabled = [name for name in names if name in _KNOWN]
    if b"QRESYNC" in enabled:
        yield from session.enable_qresync()
    elif b"CONDSTORE" in enabled:
        yield from session.enable_condstore()
    if enabled:
        yield b"* ENABLED %b\r\n" % b" ".join(enabled)
    return ok("Enabled")

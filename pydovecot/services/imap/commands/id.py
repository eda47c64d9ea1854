"""ID. RFC 2971."""

from collections.abc import Sequence
from typing import Final

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import Arg, Atom
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session

MAX_LOGGED_FIELDS: Final = 30  # RFC 2971 3.3
MAX_LOGGED_VALUE: Final = 1024  # RFC 2971 3.3


def parse(cursor: Cursor) -> Sequence[Arg]:
    """Names and values; anything else counts as none, as in Dovecot."""
    return cursor.optional_list() or ()


def run(session: Session, fields: Sequence[Arg]) -> Conversation:
    logged = _for_log(session, fields)
    if logged:
        session.event.info(f"ID sent: {logged}")
    yield b"* ID %b\r\n" % session.id_reply
    return ok("ID completed")


def _for_log(session: Session, fields: Sequence[Arg]) -> str:
    """What imap_id_log asks for: `name=value, ...`."""
    if not session.id_log:
        return ""
    wanted = {name.lower() for name in session.id_log}
    out: list[str] = []
    for name, value in zip(fields[::2], fields[1::2], strict=False):
        if isinstance(name, list) or isinstance(value, list) or len(out) == MAX_LOGGED_FIELDS:
            break
        key = name.decode("utf-8", "replace")
        if "*" in wanted or key.lower() in wanted:
            nil = isinstance(value, Atom) and value.upper() == b"NIL"
            text = "NIL" if nil else value[:MAX_LOGGED_VALUE].decode("utf-8", "replace")
            out.append(f"{key}={text}")
    return ", ".join(out)

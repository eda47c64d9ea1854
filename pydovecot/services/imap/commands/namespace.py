"""NAMESPACE. RFC 2342."""

from collections.abc import Iterator

from pydovecot.base import mutf7
from pydovecot.proto.imap.encode import quoted, string
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import Namespace


def run(session: Session, _args: None) -> Conversation:
    shown = [ns for ns in session.store.namespaces if not ns.hidden]
    yield b"* NAMESPACE %b\r\n" % b" ".join(_kinds(session, shown))
    return ok("Namespace completed")


def _kinds(session: Session, namespaces: list[Namespace]) -> Iterator[bytes]:
    """Personal, other users', shared: in Dovecot's settings private, shared, public."""
    for kind in ("private", "shared", "public"):
        pairs = [
            b"(%b %b)" % (_string(session, ns.prefix), string(ns.separator.encode()))
            for ns in namespaces
            if ns.kind == kind
        ]
        yield b"(%b)" % b"".join(pairs) if pairs else b"NIL"


def _string(session: Session, prefix: str) -> bytes:
    return quoted(prefix.encode()) if session.rev2 else string(mutf7.encode(prefix))

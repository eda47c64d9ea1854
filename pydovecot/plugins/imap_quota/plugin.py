"""GETQUOTA, GETQUOTAROOT and SETQUOTA. RFC 2087.

Needs the quota plugin beside it; without that there is no quota to tell of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.model.errors import InternalError
from pydovecot.plugins.quota import plugin as quota_plugin
from pydovecot.plugins.quota.quota import Root
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.encode import astring
from pydovecot.proto.imap.syntax import INVALID_ARGUMENTS, MISSING_ARGUMENTS, Arg, Atom, BadSyntax
from pydovecot.services.imap.build import add_capability
from pydovecot.services.imap.dispatch import Verb
from pydovecot.services.imap.reply import Conversation, no, ok
from pydovecot.services.imap.session import Session
from pydovecot.settings.view import SettingsView

CAPABILITY: Final = "QUOTA"
FAILED: Final = "Internal quota calculation error"
NO_ROOT: Final = "Quota root doesn't exist"


def extend_imap(session: Session, view: SettingsView) -> None:
    """Called as a session begins."""
    session.more_commands = {**session.more_commands, **COMMANDS}
    add_capability(session, view, CAPABILITY)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """GETQUOTAROOT's argument: as the client wrote it, which is how it comes back, and what it means."""

    wire: bytes
    name: str


def parse_mailbox(cursor: Cursor) -> Mailbox:
    wire = cursor.required()
    return Mailbox(wire, cursor.to_name(wire))


def parse_root(cursor: Cursor) -> bytes:
    return cursor.required()


def parse_limits(cursor: Cursor) -> tuple[bytes, Sequence[Arg]]:
    name = cursor.required()
    if not cursor.more():
        raise BadSyntax(MISSING_ARGUMENTS)
    return name, cursor.list(INVALID_ARGUMENTS)


def get_root(session: Session, mailbox: Mailbox) -> Conversation:
    """GETQUOTAROOT. The mailbox need not exist: it is about what could come into it."""
    quota = quota_plugin.of_store(session.store.plugins)
    if quota is None:
        return ok("No quota")
    entry, _ = quota.find(mailbox.name)
    if entry.settings.type == "shared":
        return no("Not showing other users' quota")
    quota.check_flags(lazy=True)
    roots = [root for root in quota.visible(entry) if not root.settings.hidden]
    try:
        lines = [line(root) for root in roots]
    except InternalError as exc:
        session.event.error(str(exc))
        return no(FAILED)
    if not any(lines):
        return ok("No quota")
    names = b"".join(b" " + astring(root.settings.name.encode()) for root in roots)
    yield b"* QUOTAROOT %b%b\r\n" % (astring(mailbox.wire), names)
    yield from filter(None, lines)
    return ok("Getquotaroot completed")


def get(session: Session, name: bytes) -> Conversation:
    """GETQUOTA."""
    root = _find(session, name)
    if root is None:
        return no(NO_ROOT)
    try:
        answer = line(root)
    except InternalError as exc:
        session.event.error(str(exc))
        return no(FAILED)
    if answer:
        yield answer
    return ok("Getquota completed")


def line(root: Root) -> bytes:
    """The untagged QUOTA of a root; b"" when nothing is limited. Raises InternalError."""
    words = b" ".join(b"%b %d %d" % (name.encode(), used, limit) for name, used, limit in root.resources())
    return b"* QUOTA %b (%b)\r\n" % (astring(root.settings.name.encode()), words) if words else b""


def set_limits(session: Session, args: tuple[bytes, Sequence[Arg]]) -> Conversation:
    """SETQUOTA: limits are in dovecot.conf and in userdb, and no dict (quota_set) could take others."""
    wanted, limits = args
    yield from ()
    quota = quota_plugin.of_store(session.store.plugins)
    if quota is None or not quota.settings.admin:
        return no("Quota can be changed only by admin")
    if _find(session, wanted) is None:
        return no(NO_ROOT)
    if not limits:
        return ok("Setquota completed")
    # The first pair decides: nothing of the others is done.
    name, number = (*limits[:2], b"")[:2]
    if not isinstance(name, Atom) or not isinstance(number, Atom) or not number.isdigit():
        raise BadSyntax(INVALID_ARGUMENTS)
    raise BadSyntax("Permission denied")


def _find(session: Session, name: bytes) -> Root | None:
    quota = quota_plugin.of_store(session.store.plugins)
    if quota is not None:
        quota.check_flags(lazy=True)
    return quota.root(name.decode("utf-8", "replace")) if quota is not None else None


COMMANDS: Final[dict[bytes, Verb]] = {
    b"GETQUOTA": Verb(parse_root, get),
    b"GETQUOTAROOT": Verb(parse_mailbox, get_root),
    b"SETQUOTA": Verb(parse_limits, set_limits),
}

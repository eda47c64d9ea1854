"""A session from settings and a store: what main, tests and tools have in common."""

import platform
from collections.abc import Callable
from typing import Final

from pydovecot import __version__
from pydovecot.event.event import Event
from pydovecot.login.settings import ImapLoginSettings
from pydovecot.proto.imap.encode import nstring
from pydovecot.services.imap.capability import capabilities
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.settings import ImapSettings
from pydovecot.settings.view import SettingsView
from pydovecot.storage import plugins
from pydovecot.storage.api import Special, Store
from pydovecot.storage.attachments import Detection
from pydovecot.storage.settings import MailSettings, NamespaceSettings

# What `*` stands for in imap_id_send; clients know servers by their name, and ours behaves as this one.
_ID_VALUES: Final[dict[str, Callable[[], str]]] = {
    "name": lambda: "Dovecot",
    "version": lambda: __version__,
    "revision": lambda: __version__,
    "os": platform.system,
    "os-version": platform.release,
    "support-url": lambda: "http://www.dovecot.org/",
    "support-email": lambda: "dovecot@dovecot.org",
}


def make_session(store: Store, view: SettingsView, event: Event, username: str) -> Session:
    """A session ready to be pumped."""
    settings = view.get(ImapSettings)
    login = view.get(ImapLoginSettings)
    special = _special_use(view)
    session = Session(
        store=store,
        settings=settings,
        event=event,
        username=username,
        capabilities=capabilities(login, special_use=bool(special)),
        literal_minus=login.imap_literal_minus,
        id_reply=id_reply(login.imap_id_send),
        id_log=tuple(login.imap_id_log.split()),
        polls=view.get(MailSettings).mail_nfs_storage,
        max_keyword_length=view.get(MailSettings).mail_max_keyword_length,
        detection=Detection.configured(view.get(MailSettings).mail_attachment_detection_options),
        special_use=special,
        trash=frozenset(name for name, uses in special.items() if Special.TRASH.value in uses),
    )
    for plugin in plugins.configured(view.get(MailSettings).mail_plugins):
        extend = getattr(plugin, "extend_imap", None)
        if extend is not None:
            extend(session, view)
    return session


def add_capability(session: Session, view: SettingsView, word: str) -> None:
    """A plugin's word; imap_capability without a `+` is the administrator's last word."""
    configured = view.get(ImapLoginSettings).imap_capability
    if not configured or configured.startswith("+"):
        session.capabilities += b" " + word.encode()


def _special_use(view: SettingsView) -> dict[str, tuple[str, ...]]:
    """Names of mailboxes, as clients see them, that dovecot.conf gives a special use."""
    found: dict[str, tuple[str, ...]] = {}
    for namespace in view.sections(NamespaceSettings):
        for mailbox in namespace.mailbox:
            if mailbox.special_use:
                found[namespace.prefix + (mailbox.name or mailbox.section_name)] = tuple(mailbox.special_use)
    return found


def id_reply(configured: str) -> bytes:
    """The list that ID answers with, from imap_id_send: names and values in turn. RFC 2971 3.3."""
    words = configured.split()
    pairs: list[bytes] = []
    for name, value in zip(words[::2], words[1::2], strict=False):
        if value == "*":
            known = _ID_VALUES.get(name)
            if known is None:
                continue
            value = known()
        pairs.append(b"%b %b" % (nstring(name.encode()), nstring(value.encode())))
    return b"(%b)" % b" ".join(pairs) if pairs else b"NIL"

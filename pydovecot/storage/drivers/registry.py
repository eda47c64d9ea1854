"""The storage drivers by name, and opening a user's store with them."""

from collections.abc import Callable
from typing import Final

from pydovecot.model.errors import InternalError
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView
from pydovecot.storage import plugins
from pydovecot.storage.attachments import Detection
from pydovecot.storage.backend import Backend, Resolver
from pydovecot.storage.drivers.maildir.backend import MaildirBackend
from pydovecot.storage.drivers.mbox.backend import MboxBackend
from pydovecot.storage.drivers.memory.backend import MemoryBackend
from pydovecot.storage.location import Location, parse
from pydovecot.storage.namespaces import NamespaceEntry, Namespaces, effective_prefix_check
from pydovecot.storage.settings import MailSettings, NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

Opener = Callable[[Location, StorageUser, SettingsView, Resolver, bool], Backend]


def _memory(
    location: Location, user: StorageUser, view: SettingsView, resolve: Resolver, inbox: bool
) -> Backend:
    detection = Detection.configured(view.get(MailSettings).mail_attachment_detection_options)
    return MemoryBackend(location.root or user.username, resolve, inbox=inbox, detection=detection)


def _maildir(
    location: Location, _user: StorageUser, view: SettingsView, resolve: Resolver, inbox: bool
) -> Backend:
    return MaildirBackend(location, view, resolve, inbox=inbox)


def _mbox(
    location: Location, user: StorageUser, view: SettingsView, resolve: Resolver, inbox: bool
) -> Backend:
    return MboxBackend(location, user.username, view, resolve, inbox=inbox, log_error=user.log_error)


DRIVERS: Final[dict[str, Opener]] = {
    "maildir": _maildir,
    "mbox": _mbox,
    "memory": _memory,
}


def open_store(user: StorageUser, settings: SettingsView) -> UserStore:
    """All mail of a user. InternalError (text for the log, in Dovecot's words) when it cannot be opened."""
    store = UserStore(lambda resolve: _namespaces(user, settings, resolve))
    for plugin in plugins.configured(settings.get(MailSettings).mail_plugins):
        attach = getattr(plugin, "attach_store", None)
        if attach is not None:
            attach(store, user, settings)
    return store


def open_location(user: StorageUser, settings: SettingsView, location: str) -> UserStore:
    """The mail at one place, whatever namespaces are configured. Raises InternalError."""

    def spaces(resolve: Resolver) -> Namespaces:
        section = NamespaceSettings(inbox=True, location=location)
        return Namespaces([_entry(section, user, settings, user.table(), resolve)])

    return UserStore(spaces)


def _namespaces(user: StorageUser, settings: SettingsView, resolve: Resolver) -> Namespaces:
    sections = [section for section in settings.sections(NamespaceSettings) if not section.disabled]
    if not sections:
        # No namespace { } at all: one for everything.
        sections = [NamespaceSettings(inbox=True)]
    table = user.table()
    entries = []
    for section in sections:
        try:
            entries.append(_entry(section, user, settings, table, resolve))
        except InternalError:
            if not section.ignore_on_failure:
                raise
    effective_prefix_check(entries)
    return Namespaces(entries)


def _entry(
    section: NamespaceSettings,
    user: StorageUser,
    settings: SettingsView,
    table: dict[str, str],
    resolve: Resolver,
) -> NamespaceEntry:
    text = expand(section.location or settings.get(MailSettings).mail_location, table)
    location = parse(text, user.home, user.username)
    opener = DRIVERS.get(location.driver)
    if opener is None:
        raise InternalError(f"Initialization failed: Unknown mail storage driver {location.driver}")
    backend = opener(location, user, settings, resolve, section.inbox)
    separator = section.separator or backend.separator
    if len(separator) != 1:
        raise InternalError(
            f"Namespace '{section.prefix}': Hierarchy separator must be only one character long"
        )
    return NamespaceEntry(section, expand(section.prefix, table), separator, backend)

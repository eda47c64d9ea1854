"""The door of the plugin: what a store gets when mail_plugins names quota."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.plugins.quota import alert, roots
from pydovecot.plugins.quota.count import CountUsage, Mailboxes
from pydovecot.plugins.quota.dirsize import DirsizeUsage
from pydovecot.plugins.quota.maildir import MaildirUsage
from pydovecot.plugins.quota.maildirsize import MaildirLimits
from pydovecot.plugins.quota.quota import EntryHook, Quota, Root, Usage
from pydovecot.plugins.quota.roots import QuotaSettings, RootSettings
from pydovecot.plugins.quota.rules import BackendLimits
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView
from pydovecot.storage.backend import INBOX, Backend, Existence, Parts
from pydovecot.storage.drivers.maildir.backend import MaildirBackend
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

NAME: Final = "quota"
DELIVERERS: Final = frozenset(("lmtp", "lda", "quota-status"))


def attach_store(store: UserStore, user: StorageUser, view: SettingsView) -> None:
    """Called as a store is opened. Raises InternalError when the settings make no sense."""
    table = user.table()
    settings = roots.read(view.plugin, lambda text: expand(text, table), BACKEND_LIMITS)
    if settings.empty:
        return
    base_dir = view.get(MailUserSettings).base_dir
    quota = Quota(
        settings,
        {entry.prefix: entry for entry in store.entries},
        store.find,
        delivers=user.service in DELIVERERS,
        log_error=user.log_error,
        alert=lambda command: alert.execute(base_dir, command, user.log_error),
    )
    for one in settings.roots:
        quota.roots.append(_root(one, settings, store))
    quota.roots = [
        root
        for root in quota.roots
        if not (root.settings.ignore_unlimited and root.settings.rules.default.unlimited)
    ]
    store.plugins[NAME] = quota
    for entry in store.entries:
        if settings.max_mail_size or quota.visible(entry):
            entry.backend.hook = EntryHook(quota, entry)
    quota.check_flags(lazy=False)


def max_message_size(view: SettingsView) -> int:
    """The largest message that anybody may have, told in advance; 0: any. Raises InternalError."""
    return roots.max_mail_size(view.plugin.get("quota_max_mail_size", ""))


def of_store(plugins: Mapping[str, object]) -> Quota | None:
    """The quota of a store that has one."""
    found = plugins.get(NAME)
    return found if isinstance(found, Quota) else None


def _root(one: RootSettings, settings: QuotaSettings, store: UserStore) -> Root:
    return Root(one, BACKENDS[one.backend](one, settings, store))


def _count(one: RootSettings, settings: QuotaSettings, store: UserStore) -> Usage:
    if not settings.crlf_sizes:
        raise InternalError(roots.init_failed(one, "quota count backend requires quota_vsizes=yes"))
    return CountUsage(_mailboxes(one, store))


def _maildir(one: RootSettings, _settings: QuotaSettings, store: UserStore) -> Usage:
    backends = [entry.backend for entry in store.entries if one.counts(entry)]
    home = backends[0] if backends and isinstance(backends[0], MaildirBackend) else None
    return MaildirUsage(one.rules, home, _mailboxes(one, store))


def _dirsize(one: RootSettings, _settings: QuotaSettings, store: UserStore) -> Usage:
    layouts = [
        (entry.inbox, layout)
        for entry in store.entries
        if one.counts(entry) and (layout := getattr(entry.backend, "layout", None)) is not None
    ]
    roots = [layout.root for _, layout in layouts]
    return DirsizeUsage([*roots, *(layout.path(INBOX) for inbox, layout in layouts if inbox)])


BACKENDS: Final[dict[str, Callable[[RootSettings, QuotaSettings, UserStore], Usage]]] = {
    "count": _count,
    "dirsize": _dirsize,
    "maildir": _maildir,
}
BACKEND_LIMITS: Final[dict[str, BackendLimits]] = {
    "count": BackendLimits(),
    "dirsize": BackendLimits(),
    "maildir": MaildirLimits(),
}


def _mailboxes(one: RootSettings, store: UserStore) -> Mailboxes:
    """All mailboxes that a root counts."""

    def walk() -> Iterable[tuple[Backend, Parts]]:
        for entry in store.entries:
            if entry.settings.alias_for or not one.counts(entry):
                continue
            found = {node.parts for node in entry.backend.nodes() if node.selectable}
            if entry.inbox and entry.backend.existence(INBOX) is Existence.MAILBOX:
                found.add(INBOX)
            for parts in found:
                if not one.rules.ignores(entry.name(parts)):
                    yield entry.backend, parts

    return walk

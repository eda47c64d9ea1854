"""The door of the plugin: what a store gets when mail_plugins names mail_log."""

from pydovecot.plugins.mail_log.events import MailLog
from pydovecot.plugins.mail_log.watching import Watcher
from pydovecot.settings.view import SettingsView
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser


def attach_store(store: UserStore, user: StorageUser, view: SettingsView) -> None:
    """Called as a store is opened. Raises InternalError when the settings name what nobody knows."""
    store.watcher = Watcher(MailLog(view.plugin, user.log_info))

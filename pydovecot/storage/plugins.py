"""The plugins that mail_plugins can name: a table from the name to the module that has it.

Plugins sit above all hosts, so hosts import them by this table when the configuration names them. The master
has imported them all before it forks, so that nothing has to be found on the disk from within a jail.
"""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Final

MODULES: Final[dict[str, str]] = {
    "imap_quota": "pydovecot.plugins.imap_quota.plugin",
    "mail_log": "pydovecot.plugins.mail_log.plugin",
    "notify": "pydovecot.plugins.notify.plugin",
    "quota": "pydovecot.plugins.quota.plugin",
}


def configured(mail_plugins: str) -> Iterator[ModuleType]:
    """The modules of the setting's value; names that nobody has are told at the start (settings.check)."""
    for name in mail_plugins.split():
        path = MODULES.get(name)
        if path is not None:
            yield import_module(path)

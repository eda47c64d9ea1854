"""Which settings this code reads: the settings modules of all owners, in one table.

The only module that imports upwards and sideways, and the only one that knows all owners. `known` decides
what may be written; this table decides what has an effect. A test holds that both say the same.
"""

from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Final

from pydovecot.admin import settings as admin
from pydovecot.authdb import settings as authdb
from pydovecot.delivery import settings as delivery
from pydovecot.login import settings as login
from pydovecot.runtime import settings as runtime
from pydovecot.services.config import settings as config
from pydovecot.services.imap import settings as imap
from pydovecot.services.lmtp import settings as lmtp
from pydovecot.services.pop3 import settings as pop3
from pydovecot.settings.declare import Settings
from pydovecot.storage import plugins
from pydovecot.storage import settings as storage
from pydovecot.storage.drivers.maildir import settings as maildir
from pydovecot.storage.drivers.mbox import settings as mbox

OWNERS: Final[tuple[ModuleType, ...]] = (
    admin, authdb, config, delivery, imap, lmtp, login, maildir, mbox, pop3, runtime, storage,
)  # fmt: skip

# Plugins that mail_plugins may name.
PLUGINS: Final[frozenset[str]] = frozenset(plugins.MODULES)

# Drivers that mail_location and a namespace's location may begin with: those of storage.drivers.registry.
STORAGE_DRIVERS: Final = frozenset({"maildir", "mbox", "memory"})


def classes() -> Iterator[type[Settings]]:
    """All declared settings classes."""
    for module in OWNERS:
        for member in vars(module).values():
            if not (isinstance(member, type) and issubclass(member, Settings)):
                continue
            # Imported ones belong to another owner.
            if member.__module__ == module.__name__:
                yield member


@cache
def implemented() -> dict[str, frozenset[str]]:
    """Names of settings with an effect: "" has the global ones, "passdb" those of its sections."""
    found: dict[str, set[str]] = {}
    for cls in classes():
        found.setdefault(cls.section, set()).update(cls.declared)
    names = {section: frozenset(members) for section, members in found.items()}
    names["mail_plugins"] = PLUGINS
    names["storage drivers"] = STORAGE_DRIVERS
    return names

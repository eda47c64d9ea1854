"""All roles of the server: what `executable =` may name. The master imports them once and forks them."""

import importlib
from typing import Final

from pydovecot.runtime.spec import ServiceSpec

MODULES: Final = {
    "anvil": "anvil",
    "auth": "auth",
    "auth-worker": "auth_worker",
    "config": "config",
    "imap": "imap",
    "imap-login": "imap_login",
    "log": "log",
    "pop3": "pop3",
    "pop3-login": "pop3_login",
}


def load_roles() -> dict[str, ServiceSpec]:
    found = {}
    for name, module in MODULES.items():
        try:
            found[name] = importlib.import_module(f"pydovecot.services.{module}.main").SPEC
        except ModuleNotFoundError:
            continue
    return found


ROLES: Final = load_roles()

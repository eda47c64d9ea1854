"""Mail servers that Debian installs only instead of another one: unpacked, not installed.

PYDOVECOT_MTA_ROOT names the folder that `.ci/run` unpacks them into.
"""

import os
import pwd
import shutil
from pathlib import Path

from tests.support.systemusers import add_system_user, remove_system_user


def root() -> Path:
    """Where they are."""
    return Path(os.environ.get("PYDOVECOT_MTA_ROOT") or Path.home() / ".cache" / "pydovecot-mta")


def missing(program: str) -> str:
    """Why a program (a path below the root) cannot be tested with; empty when it can."""
    path = root() / program
    if not path.exists():
        return f"{path.name} is not unpacked (PYDOVECOT_MTA_ROOT)"
    if os.geteuid() != 0:
        return f"{path.name} needs root"
    return "" if shutil.which("useradd") else "useradd is not installed"


class SystemUser:
    """A user that a program insists on; made when it is missing, and then removed again."""

    def __init__(self, name: str) -> None:
        self._name, self._made = name, False

    def __enter__(self) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(self._name)
        except KeyError:
            add_system_user(self._name, "--system", "--no-create-home")
            self._made = True
            return pwd.getpwnam(self._name)

    def __exit__(self, *_exc: object) -> None:
        if self._made:
            remove_system_user(self._name)

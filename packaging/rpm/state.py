"""Prints what the release build depends on, as one number: the files of this directory and the dependencies.

The project's own code is not among them: what it may use is held by tests/unit/test_old_systems.py.
"""

import hashlib
import tomllib
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
NOT_PART: Final = frozenset({"released", "lock.sh", "requirements.in", "python-host.sh", "state.py"})


def state() -> str:
    """Changes with any of the files that decide whether the package works on RHEL 7."""
    total = hashlib.sha256()
    for file in sorted(HERE.iterdir()):
        if file.is_file() and file.name not in NOT_PART:
            total.update(f"{file.name}\n".encode() + file.read_bytes())
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"]
    total.update("\n".join(sorted(project["dependencies"])).encode())
    return total.hexdigest()


if __name__ == "__main__":
    print(state())

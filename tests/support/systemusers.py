"""Throw-away users of this system: one test run at a time changes /etc/passwd."""

import fcntl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = Path(tempfile.gettempdir()) / "pydovecot-test-users.lock"


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """For what changes users or groups by other commands."""
    # useradd waits for another one's lock for a few seconds only, and then fails.
    with open(_LOCK, "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def add_system_user(name: str, *options: str, password: str = "") -> None:
    """useradd with options, and chpasswd. Raises CalledProcessError."""
    with one_at_a_time():
        words = ["useradd", "--shell", "/usr/sbin/nologin", *options, name]
        subprocess.run(words, check=True, capture_output=True)
        if password:
            text = f"{name}:{password}\n".encode()
            subprocess.run(["chpasswd"], input=text, check=True, capture_output=True)


def remove_system_user(name: str) -> None:
    """userdel; a user who is not there is no failure."""
    with one_at_a_time():
        subprocess.run(["userdel", name], check=False, capture_output=True)

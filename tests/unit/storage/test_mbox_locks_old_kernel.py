"""mbox locks on Linux before 3.15, which has no locks of open files (RHEL 7)."""

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from pydovecot.storage.drivers.mbox import locks


def taken(path: Path) -> bool:
    """Whether another process is kept out."""
    pid = os.fork()
    if pid == 0:
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


@pytest.mark.parametrize("kernel", ["this", "old"])
def test_other_processes_are_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    asked = []
    real = fcntl.fcntl

    def without(fd: int, command: int, data: bytes) -> int | bytes:
        asked.append(command)
        if command == locks.F_OFD_SETLK:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(fd, command, data)

    if kernel == "old":
        monkeypatch.setattr(fcntl, "fcntl", without)
    path = tmp_path / "mbox"
    path.write_bytes(b"")
    rules = locks.LockRules.configured("fcntl", "fcntl", 1, 60)
    with locks.locked(str(path), rules, write=True) as (_, writable):
        assert writable
        assert taken(path)
    assert not taken(path)
    assert asked == ([locks.F_OFD_SETLK, fcntl.F_SETLK] if kernel == "old" else [])


def test_the_number_is_the_kernels() -> None:
    assert getattr(fcntl, "F_OFD_SETLK", 37) == locks.F_OFD_SETLK == 37
    assert struct.calcsize("hhqqi4x") == 32  # struct flock

"""Files without a name, with and without memfd_create(2)."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pydovecot.base.memory_file import memory_file


def no_call(name: str, flags: int = 0) -> NoReturn:
    raise OSError(errno.ENOSYS, "Function not implemented")


def no_room(name: str, flags: int = 0) -> NoReturn:
    raise OSError(errno.EMFILE, "Too many open files")


def stand_in(monkeypatch: pytest.MonkeyPatch, function: Callable[[str, int], NoReturn]) -> None:
    """In place of the system's, or where it has none."""
    monkeypatch.setattr(os, "memfd_create", function, raising=False)
    monkeypatch.setattr(os, "MFD_CLOEXEC", 1, raising=False)


@pytest.fixture(params=["here", "no function", "no call", "no /dev/shm"])
def surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a system may lack."""
    if request.param == "no function":
        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.delattr(os, "MFD_CLOEXEC", raising=False)
    elif request.param in ("no call", "no /dev/shm"):
        stand_in(monkeypatch, no_call)
    if request.param == "no /dev/shm":
        make = tempfile.mkstemp

        def elsewhere(prefix: str, dir: str | None = None) -> tuple[int, str]:
            if dir:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", dir)
            return make(prefix=prefix, dir=tmp_path)

        monkeypatch.setattr(tempfile, "mkstemp", elsewhere)


@pytest.mark.usefixtures("surroundings")
def test_it_is_a_file_of_this_process_alone(tmp_path: Path) -> None:
    fd = memory_file("some")
    try:
        assert os.write(fd, b"content") == 7
        assert os.lseek(fd, 1, os.SEEK_SET) == 1
        assert os.lseek(fd, 0, os.SEEK_CUR) == 1
        assert os.read(fd, 10) == b"ontent"
        assert Path(f"/proc/self/fd/{fd}").read_bytes() == b"content"
        assert not os.get_inheritable(fd)
        assert os.fstat(fd).st_nlink == 0
        assert not list(tmp_path.iterdir())
    finally:
        os.close(fd)


def test_other_failures_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, no_room)
    with pytest.raises(OSError, match="Too many open files"):
        memory_file("some")

"""Lock files: one owner at a time, dead owners, foreign locks, and locks taken away."""

import errno
import os
import socket
import time
from pathlib import Path

import pytest

from pydovecot.base.dotlock import O_TMPFILE, Dotlock, LockTimeout


def test_one_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    with Dotlock(path) as lock:
        assert Path(lock.path).read_text() == f"{os.getpid()}:{os.uname().nodename}"
        other = Dotlock(path, timeout=0.05)
        assert not other.try_acquire()
        with pytest.raises(LockTimeout):
            other.acquire()
    assert not Path(lock.path).exists()
    with other:
        assert Path(lock.path).exists()


def test_lock_of_a_dead_process_is_broken_at_once(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    (tmp_path / "file.lock").write_text(f"{pid}:{socket.gethostname()}")
    with Dotlock(str(tmp_path / "file"), timeout=0.5):
        assert (tmp_path / "file.lock").read_text().startswith(f"{os.getpid()}:")


@pytest.mark.parametrize("content", ["1:elsewhere", "", "nonsense", "0:" + socket.gethostname()])
def test_foreign_lock_is_stale_after_its_time_only(tmp_path: Path, content: str) -> None:
    lock = tmp_path / "file.lock"
    lock.write_text(content)
    if not content.startswith("0:"):
        with pytest.raises(LockTimeout):
            Dotlock(str(tmp_path / "file"), timeout=0.05, stale=60).acquire()
    os.utime(lock, (time.time() - 100, time.time() - 100))
    with Dotlock(str(tmp_path / "file"), timeout=0.5, stale=60):
        pass


def test_lock_that_was_taken_away_is_not_removed(tmp_path: Path) -> None:
    lock = Dotlock(str(tmp_path / "file"))
    lock.acquire()
    (tmp_path / "file.lock").unlink()
    (tmp_path / "file.lock").write_text("1:another")
    lock.release()
    assert (tmp_path / "file.lock").read_text() == "1:another"


def test_unwritable_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Dotlock(str(tmp_path / "missing" / "file")).acquire()


def test_many_processes_count_right(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            for _ in range(50):
                with Dotlock(str(counter)):
                    counter.write_text(str(int(counter.read_text()) + 1))
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert counter.read_text() == "200"


def test_lock_in_a_directory_that_is_renamed_is_released(tmp_path: Path) -> None:
    folder, moved = tmp_path / "one", tmp_path / "two"
    folder.mkdir()
    with Dotlock(str(folder / "file")):
        folder.rename(moved)
        folder.mkdir()
        assert (moved / "file.lock").exists()
    assert not (moved / "file.lock").exists()


@pytest.mark.parametrize("error", [errno.EISDIR, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOENT])
def test_where_files_cannot_be_made_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Linux before 3.11 (the directory is no file), NFS, FUSE."""
    real = os.open
    refused = []

    def without(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & O_TMPFILE == O_TMPFILE:
            refused.append(path)
            raise OSError(error, os.strerror(error), path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", without)
    with Dotlock(str(tmp_path / "file")) as lock:
        assert Path(lock.path).read_text() == f"{os.getpid()}:{os.uname().nodename}"
        assert not Dotlock(str(tmp_path / "file"), timeout=0.05).try_acquire()
    assert refused
    assert not Path(lock.path).exists()


def test_the_flag_is_the_kernels() -> None:
    assert getattr(os, "O_TMPFILE", O_TMPFILE) == O_TMPFILE == 0o20000000 | os.O_DIRECTORY

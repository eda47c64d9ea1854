"""Locks that others see and that keep us out, the rights for a lock file in a spool directory, the words."""

import fcntl
import grp
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from pydovecot.base.dotlock import Dotlock
from pydovecot.base.privileges import Privileges, as_user, drop
from pydovecot.model.errors import InternalError
from pydovecot.storage.api import MailboxGoneError
from pydovecot.storage.drivers.mbox.locks import LockRules, locked

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change groups")


def rules(locks: str, timeout: float = 0.05, gid: int = -1) -> LockRules:
    return LockRules.configured(locks, locks, timeout, 60.0, gid)


def free(path: Path, kind: str) -> bool:
    """Another process could have this lock."""
    pid = os.fork()
    if pid == 0:
        fd = os.open(path, os.O_RDWR)
        try:
            if kind == "dotlock":
                os._exit(os.path.exists(f"{path}.lock"))
            if kind == "flock":
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("kind", ["dotlock", "dotlock_try", "fcntl", "flock", "lockf"])
def test_others_see_the_lock_and_we_see_theirs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "box"
    path.touch()
    seen = kind.removesuffix("_try")
    assert free(path, seen)
    with locked(str(path), rules(kind), write=True) as (_, writable):
        assert writable and not free(path, seen)
        with pytest.raises(InternalError) as caught, locked(str(path), rules(kind), write=True):
            pass
        assert caught.value.shown == "Timeout while waiting for lock"
    assert free(path, seen)


def test_readers_share_writers_do_not(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.touch()
    with locked(str(path), rules("fcntl"), write=False), locked(str(path), rules("fcntl"), write=False):
        assert not free(path, "fcntl")
        with pytest.raises(InternalError), locked(str(path), rules("fcntl"), write=True):
            pass


def test_another_file_in_its_place_is_the_one_that_is_locked(tmp_path: Path) -> None:
    path, other = tmp_path / "box", tmp_path / "other"
    path.write_bytes(b"old")
    other.write_bytes(b"new")
    lock = Dotlock(str(path))
    lock.acquire()
    pid = os.fork()
    if pid == 0:
        with locked(str(path), rules("dotlock", 20.0), write=True) as (fd, _):
            os._exit(0 if os.pread(fd, 3, 0) == b"new" else 1)
    os.rename(other, path)
    lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    path.unlink()
    with pytest.raises(MailboxGoneError), locked(str(path), rules("fcntl"), write=True):
        pass


@pytest.mark.parametrize(
    ("read", "write", "words"),
    [
        ("fcntl", "dotlock", "mbox read/write lock list settings are invalid."),
        ("fcntl dotlock", "dotlock fcntl", "mbox read/write lock list settings are invalid."),
        ("fcntl", "fcntl fcntl", "mbox_write_locks: Duplicated value fcntl"),
        ("nfs", "fcntl", "mbox_read_locks: Invalid value nfs"),
    ],
)
def test_settings_that_make_no_sense(read: str, write: str, words: str) -> None:
    with pytest.raises(InternalError, match=words):
        LockRules.configured(read, write, 1, 1)


def in_child(work: Callable[[], None]) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - told to the parent
            os.write(writing, traceback.format_exc().encode()[-4000:])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        trouble = stream.read().decode()
    os.waitpid(pid, 0)
    assert not trouble, trouble


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """As /var/mail: only the group mail may make files there; the user's own mailbox is in it."""
    for path in (tmp_path, *tmp_path.parents):
        if "pytest-of-" in str(path):
            os.chmod(path, 0o755)
    directory = tmp_path / "spool"
    directory.mkdir()
    os.chown(directory, 0, grp.getgrnam("mail").gr_gid)
    os.chmod(directory, 0o2775)
    path = directory / "user"
    path.touch()
    os.chown(path, NOBODY, grp.getgrnam("mail").gr_gid)
    os.chmod(path, 0o660)
    return path


@as_root
def test_the_privileged_group_is_there_for_the_lock_file_only(spool: Path) -> None:
    mail = grp.getgrnam("mail").gr_gid

    def work() -> None:
        drop(Privileges(NOBODY, NOBODY), saved_gid=mail)
        with pytest.raises(PermissionError):
            (spool.parent / "mine").touch()
        with locked(str(spool), rules("fcntl dotlock", gid=mail), write=True):
            assert (spool.parent / "user.lock").exists()
            assert os.getegid() == NOBODY and mail not in os.getgroups()
        assert not (spool.parent / "user.lock").exists()
        assert os.getegid() == NOBODY

    in_child(work)


@as_root
def test_the_same_for_a_process_that_is_root_behind_it(spool: Path) -> None:
    mail = grp.getgrnam("mail").gr_gid

    def work() -> None:
        with as_user(NOBODY, NOBODY), locked(str(spool), rules("dotlock", gid=mail), write=True):
            assert (spool.parent / "user.lock").exists()
            assert (os.geteuid(), os.getegid()) == (NOBODY, NOBODY)
        assert not (spool.parent / "user.lock").exists()
        assert (os.geteuid(), os.getegid()) == (0, 0)

    in_child(work)


@as_root
def test_without_it_the_setting_is_named(spool: Path) -> None:
    def work() -> None:
        drop(Privileges(NOBODY, NOBODY))
        words = r"missing \+w perm.*set mail_privileged_group=mail"
        with pytest.raises(InternalError, match=words), locked(str(spool), rules("dotlock"), write=True):
            pass
        with locked(str(spool), rules("dotlock_try"), write=True) as (_, writable):
            assert writable

    in_child(work)


def test_a_lock_file_is_left_over_when_nothing_changes(tmp_path: Path) -> None:
    """mbox_dotlock_change_timeout: neither the lock file nor the mailbox has changed for so long."""
    path, lock = tmp_path / "box", tmp_path / "box.lock"
    path.touch()
    lock.touch()
    old = time.time() - 100
    quick = LockRules.configured("dotlock", "dotlock", 0.1, 60)
    os.utime(lock, (old, old))
    with pytest.raises(InternalError), locked(str(path), quick, write=True):
        pass  # somebody writes the mailbox
    os.utime(path, (old, old))
    with locked(str(path), quick, write=True) as (_, writable):
        assert writable and lock.exists()
    assert not lock.exists()

"""The duplicate database: what is in the file, who waits for whom, and what is broken."""

import os
import struct
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.delivery import duplicates
from pydovecot.delivery.duplicates import FILE_NAME, CannotLock, Duplicates

NOW = 1_800_000_000


class Home:
    """One user's."""

    def __init__(self, path: Path) -> None:
        self.path, self.errors, self.now = path, list[str](), float(NOW)
        self.database = Duplicates(str(path), self.errors.append, clock=lambda: self.now)
        self.file = path / FILE_NAME

    def mark(self, key: bytes, user: str = "alice", until: float = NOW + 60) -> None:
        with self.database.transaction() as transaction:
            transaction.mark(key, user, until)

    def seen(self, key: bytes, user: str = "alice") -> bool:
        with self.database.transaction() as transaction:
            return transaction.seen(key, user)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def record(until: int, key: bytes, user: bytes) -> bytes:
    return struct.pack("=III", until, len(key), len(user)) + key + user


def test_the_file_is_dovecots(home: Home) -> None:
    home.mark(b"k1", "Alice")
    home.mark(b"k2", "bob", NOW + 1e12)
    expected = struct.pack("=I", 2) + record(NOW + 60, b"k1", b"Alice") + record(0xFFFFFFFF, b"k2", b"bob")
    assert home.file.read_bytes() == expected
    assert home.file.stat().st_mode & 0o777 == 0o600
    assert home.seen(b"k1", "aLICE") and home.seen(b"k2", "bob")
    assert not home.seen(b"k1", "bob") and not home.seen(b"k", "alice")
    assert sorted(os.listdir(home.path)) == [FILE_NAME, FILE_NAME + ".locks"]
    assert os.listdir(home.path / (FILE_NAME + ".locks")) == []
    assert home.errors == []


def test_version_1_had_no_header(home: Home) -> None:
    home.file.write_bytes(struct.pack("@lII", NOW + 1, 1, 1) + b"ku")
    assert home.seen(b"k", "u")


def test_what_is_over_is_gone(home: Home) -> None:
    home.mark(b"old", until=NOW - 1)
    home.mark(b"now", until=NOW)
    assert not home.seen(b"old") and home.seen(b"now")
    home.now += 1
    assert not home.seen(b"now")
    home.mark(b"next", until=NOW + 9)
    assert home.file.read_bytes() == struct.pack("=I", 2) + record(NOW + 9, b"next", b"alice")


def test_a_failure_marks_nothing(home: Home) -> None:
    with pytest.raises(RuntimeError), home.database.transaction() as transaction:
        assert not transaction.seen(b"k", "alice")
        transaction.mark(b"k", "alice", NOW + 60)
        assert transaction.seen(b"k", "alice")
        raise RuntimeError
    assert not home.file.exists()
    assert not home.seen(b"k")


def test_marks_of_others_are_kept(home: Home) -> None:
    with home.database.transaction() as one:
        one.mark(b"1", "alice", NOW + 60)
        home.mark(b"2")
        assert one.seen(b"2", "alice")  # without a second look at an unchanged file
    assert home.seen(b"1") and home.seen(b"2")


def test_only_one_is_the_first(home: Home) -> None:
    """Another process's delivery of the same message waits until the first has marked it."""
    read, write = os.pipe()
    with home.database.transaction() as transaction:
        assert not transaction.seen(b"k", "alice")
        child = os.fork()
        if not child:
            os.write(write, b"%d" % home.seen(b"k"))
            os._exit(0)
        os.set_blocking(read, False)
        for _ in range(10):
            time.sleep(0.02)
            with pytest.raises(BlockingIOError):
                os.read(read, 1)
        transaction.mark(b"k", "alice", NOW + 60)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    os.close(read)
    os.close(write)


def test_a_key_that_stays_locked_is_a_failure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "KEY_LOCK_SECS", 0)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with home.database.transaction() as transaction:
            transaction.seen(b"k", "alice")
            os.write(write, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(read, 1)
    try:
        with pytest.raises(CannotLock):
            home.seen(b"k")
        assert not home.seen(b"other")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
    assert home.errors and "duplicate.lock.8ce4b16b22b58894aa86c421e8759df3" in home.errors[0]
    home.errors.clear()
    assert not home.seen(b"k")  # the kernel has dropped the lock of the dead


def test_too_many_keys(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MAX_KEYS_LOCKED", 2)
    with home.database.transaction() as transaction:
        for key in (b"1", b"2", b"1"):
            assert not transaction.seen(key, "alice")
        with pytest.raises(CannotLock):
            transaction.seen(b"3", "alice")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\2\0", "broken mail_duplicate file "),
        (struct.pack("=I", 3), "unknown version of "),
        (struct.pack("=IIII", 2, NOW + 9, 0, 1) + b"u", "broken mail_duplicate file "),
        (struct.pack("=IIII", 2, NOW + 9, 5000, 1) + bytes(5001), "broken mail_duplicate file "),
        (struct.pack("=IIII", 2, NOW + 9, 9, 1) + b"short", "unexpected end of file in "),
    ],
)
def test_a_broken_file_is_begun_anew(home: Home, content: bytes, error: str) -> None:
    home.file.write_bytes(content)
    assert not home.seen(b"k")
    assert home.errors == [f"{error}{home.file}"]
    assert not home.file.exists()
    home.mark(b"k")
    assert home.seen(b"k")


def test_a_database_that_cannot_be_written_is_logged(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "DATABASE_LOCK_SECS", 0)
    lock = home.path / (FILE_NAME + ".lock")
    lock.write_text(f"{os.getpid()}:another.host")
    home.mark(b"k")
    assert home.errors == [f"Creating lock file for {home.file} timed out in 0 secs"]
    lock.unlink()
    with pytest.raises(ValueError, match="too long"):
        home.mark(b"")
    with pytest.raises(ValueError, match="too long"):
        home.mark(b"k" * 4097)


@given(st.binary(max_size=200))
def test_no_file_is_a_crash(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    place = Home(tmp_path_factory.getbasetemp())
    place.file.write_bytes(content)
    place.seen(b"k")


def test_many_threads_of_processes(home: Home) -> None:
    def work(number: int) -> None:
        for at in range(5):
            Home(home.path).mark(b"%d-%d" % (number, at))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(home.seen(b"%d-%d" % (number, at)) for number in range(4) for at in range(5))

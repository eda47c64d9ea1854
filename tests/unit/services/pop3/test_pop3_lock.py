"""The POP3 session lock file, as Dovecot makes it."""

import os
from pathlib import Path

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.model.errors import Code, UserError
from pydovecot.services.pop3 import lock as lock_module
from pydovecot.services.pop3.lock import SessionLock, lock_of
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser

NAME = "dovecot-pop3-session.lock"


def lock_in(folder: Path, sink: ListSink | None = None) -> SessionLock:
    return SessionLock(str(folder), Event(sink or ListSink()))


def test_second_session_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "TIMEOUT_SECS", 0.05)
    first = lock_in(tmp_path)
    first.acquire()
    text = (tmp_path / NAME).read_text()
    assert text == f"{os.getpid()}:{os.uname().nodename}"
    second = lock_in(tmp_path)
    with pytest.raises(UserError, match=r"Mailbox is locked by another POP3 session\.") as info:
        second.acquire()
    assert info.value.code is Code.INUSE
    second.release()
    assert (tmp_path / NAME).exists()
    first.release()
    assert not (tmp_path / NAME).exists()


def test_a_session_that_died_long_ago_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text("1:elsewhere")
    os.utime(path, (1, 1))
    lock = lock_in(tmp_path)
    lock.acquire()
    lock.release()


def test_it_is_touched_while_the_session_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_in(tmp_path)
    lock.acquire()
    path = tmp_path / NAME
    os.utime(path, (1, 1))
    lock.touch()
    assert path.stat().st_mtime == 1  # just made: no need
    monkeypatch.setattr(lock_module, "TOUCH_SECS", 0)
    lock.touch()
    assert path.stat().st_mtime > 1
    path.unlink()
    with pytest.raises(FileNotFoundError):
        lock.touch()
    lock.release()


def test_one_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = ListSink()
    with pytest.raises(UserError, match=r"Failed to create POP3 session lock\.") as info:
        lock_in(tmp_path / "file", sink).acquire()
    assert info.value.code is Code.UNAVAILABLE
    assert len(sink.lines) == 1


@pytest.mark.parametrize(
    ("location", "folder"),
    [("maildir:~/Maildir", "Maildir"), ("maildir:~/Maildir:INDEX=~/index", "index"), ("mbox:~/mail", "mail")],
)
def test_where_it_is(tmp_path: Path, location: str, folder: str) -> None:
    """Beside the indexes, whether the user has mail already or not."""
    user = StorageUser("alice", str(tmp_path), "pop3")
    view = MemoryView({"mail_location": location}, NamespaceSettings(section_name="i", inbox=True))
    lock = lock_of(user, view, Event(ListSink()))
    assert lock is not None
    lock.acquire()
    assert (tmp_path / folder / NAME).exists()
    lock.release()


def test_mail_that_is_not_in_files_has_none(tmp_path: Path) -> None:
    user = StorageUser("alice", str(tmp_path), "pop3")
    assert lock_of(user, MemoryView({"mail_location": "memory:"}), Event(ListSink())) is None

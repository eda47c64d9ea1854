"""The POP3 session lock file, as Dovecot makes it."""

import os
from pathlib import Path

import pytest

from pydovecot.model.errors import Code, UserError
from pydovecot.services.pop3 import lock as lock_module
from pydovecot.services.pop3.lock import SessionLock, lock_of
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser


def test_second_session_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "TIMEOUT_SECS", 0.05)
    first = SessionLock(str(tmp_path))
    first.acquire()
    text = (tmp_path / "dovecot-pop3-session.lock").read_text()
    assert text == f"{os.getpid()}:{os.uname().nodename}"
    second = SessionLock(str(tmp_path))
    with pytest.raises(UserError, match=r"Mailbox is locked by another POP3 session\.") as info:
        second.acquire()
    assert info.value.code is Code.INUSE
    second.release()
    assert (tmp_path / "dovecot-pop3-session.lock").exists()
    first.release()
    assert not (tmp_path / "dovecot-pop3-session.lock").exists()


def test_a_session_that_died_long_ago_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "dovecot-pop3-session.lock"
    path.write_text("1:elsewhere")
    os.utime(path, (1, 1))
    lock = SessionLock(str(tmp_path))
    lock.acquire()
    lock.release()


def test_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "Maildir").mkdir()
    user = StorageUser("alice", str(tmp_path), "pop3")
    view = MemoryView({"mail_location": "maildir:~/Maildir"}, NamespaceSettings(section_name="i", inbox=True))
    lock = lock_of(user, view)
    assert lock is not None
    lock.acquire()
    assert (tmp_path / "Maildir" / "dovecot-pop3-session.lock").exists()
    lock.release()
    assert lock_of(user, MemoryView({"mail_location": "memory:"})) is None

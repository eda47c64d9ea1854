"""REPLACE: a new message for an old one, and never neither of them. RFC 8508 3.4."""

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import Flag, FlagSet
from pydovecot.model.numbers import Seq
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, Save, Store, View
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.contract.storage.helpers import append, seqs
from tests.support.storage_check import check_store

OLD, NEW, OTHER = b"Subject: old\n\nold\n", b"Subject: new\n\nnew\n", b"Subject: other\n\nother\n"


def successor(store: Store, name: str) -> Save:
    """The new message, written and not yet committed."""
    save = store.save(name)
    save.begin(FlagSet(Flag.DRAFT), 1_700_000_000)
    save.write(NEW)
    save.finish()
    return save


def texts(view: View) -> list[bytes]:
    """The messages as stored."""
    return [view.message(Seq(seq)).stored() for seq in range(1, len(view.uids) + 1)]


def texts_of(store: Store, name: str) -> list[bytes]:
    view = store.open(name, readonly=True)
    try:
        return texts(view)
    finally:
        view.close()


def test_within_a_mailbox(store: UserStore) -> None:
    append(store, text=OTHER)
    append(store, text=OLD, system=Flag.SEEN | Flag.FLAGGED, keywords=["k"])
    view, watcher = store.open("INBOX"), store.open("INBOX")
    result = view.replace(Seq(2), successor(store, "INBOX"))
    assert (result.uidvalidity, result.uids) == (view.uidvalidity, [3])
    assert list(view.uids) == [1, 2]  # nothing moves before the sync
    changes = view.sync()
    assert (changes.expunged, changes.exists) == ([2], 2)
    assert texts(view) == [OTHER, NEW]
    columns = (Column.UID, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.RECEIVED)
    assert list(view.rows(seqs(2), columns)) == [(3, Flag.DRAFT, (), 1_700_000_000)]
    changes = watcher.sync()
    assert (changes.expunged, changes.exists) == ([2], 2)
    assert watcher.highest_modseq == view.highest_modseq
    view.close()
    watcher.close()


def test_into_another_mailbox(store: UserStore) -> None:
    store.create("Sent")
    append(store, text=OLD)
    view = store.open("INBOX")
    result = view.replace(Seq(1), successor(store, "Sent"))
    assert result.uidvalidity == store.status("Sent").uidvalidity and result.uids == [1]
    assert view.sync().expunged == [1]
    view.close()
    assert texts_of(store, "INBOX") == []
    assert texts_of(store, "Sent") == [NEW]


@pytest.mark.parametrize("target", ["INBOX", "Sent"])
def test_another_session_was_quicker(store: UserStore, target: str) -> None:
    store.create("Sent")
    append(store, text=OLD)
    view, other = store.open("INBOX"), store.open("INBOX")
    other.expunge_seqs(seqs(1))
    other.close()
    save = successor(store, target)
    with pytest.raises(UserError) as caught:
        view.replace(Seq(1), save)
    assert caught.value.code is Code.EXPUNGEISSUED
    save.rollback()
    assert view.sync().expunged == [1]
    view.close()
    assert texts_of(store, target) == []


def test_a_read_only_view_replaces_nothing(store: UserStore) -> None:
    append(store, text=OLD)
    view = store.open("INBOX", readonly=True)
    save = successor(store, "INBOX")
    with pytest.raises(UserError, match="read-only"):
        view.replace(Seq(1), save)
    save.rollback()
    view.close()
    assert texts_of(store, "INBOX") == [OLD]


def test_many_times(store: UserStore) -> None:
    """As a client that saves its draft every minute: old lines of the uidlist go as well."""
    append(store, text=OTHER)
    append(store, text=OLD)
    view = store.open("INBOX")
    for turn in range(250):
        result = view.replace(Seq(2), successor(store, "INBOX"))
        view.sync()
        assert list(view.uids) == [1, turn + 3] and result.uids == [turn + 3]
    view.close()
    assert texts_of(store, "INBOX") == [OTHER, NEW]


@pytest.mark.parametrize("open_one", ["maildir", "maildir-fs", "maildir-split"], indirect=True)
def test_a_file_that_another_program_removed(open_one: Callable[[], UserStore], tmp_path: Path) -> None:
    store = open_one()
    append(store, text=OLD)
    view = store.open("INBOX")
    for path in tmp_path.rglob("*,S=*"):
        path.unlink()
    save = successor(store, "INBOX")
    with pytest.raises(UserError) as caught:
        view.replace(Seq(1), save)
    assert caught.value.code is Code.EXPUNGEISSUED
    save.rollback()
    view.sync()
    view.close()
    assert texts_of(store, "INBOX") == []


# -- kill -9 at every step


STEPS = ("open", "rename", "unlink", "fsync", "utime", "write", "link")


def crash_store(root: Path, settings: str) -> UserStore:
    location = MemoryView({"mail_location": settings.format(root=root)}, NamespaceSettings(inbox=True))
    return open_store(StorageUser("crash"), location)


def replace_and_die(root: Path, settings: str, target: str, step: int) -> bool:
    """In a child: REPLACE, killed as its `step`-th system call on a file begins. True: it came to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            store = crash_store(root, settings)
            view = store.open("INBOX")
            save = successor(store, target)
            left = step

            def counted(real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            for name in STEPS:
                setattr(os, name, functools.partial(counted, getattr(os, name)))
            view.replace(Seq(1), save)
            os._exit(0)
        finally:
            os._exit(9)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the child failed"
    return True


@pytest.mark.parametrize("target", ["INBOX", "Sent"])
@pytest.mark.parametrize("settings", ["maildir:{root}/Maildir", "maildir:{root}/Maildir:INDEX=MEMORY"])
def test_killed_at_every_step(tmp_path: Path, target: str, settings: str) -> None:
    finished, seen = False, set()
    for step in range(200):
        root = tmp_path / str(step)
        root.mkdir()
        store = crash_store(root, settings)
        store.create("Sent")
        append(store, text=OLD)
        store.close()
        finished = replace_and_die(root, settings, target, step)
        store = crash_store(root, settings)
        old, new = texts_of(store, "INBOX").count(OLD), texts_of(store, target).count(NEW)
        assert old + new, f"both are gone after step {step}"
        assert max(old, new) == 1
        if finished:
            assert (old, new) == (0, 1)
        seen.add((old, new))
        check_store(store, locks=False)  # the dead process leaves its own
        store.close()
        if finished:
            break
    assert finished and step > 5
    assert seen == {(1, 0), (1, 1), (0, 1)}


def test_the_crash_test_finds_the_other_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the old message goes first."""
    from pydovecot.storage.drivers.maildir import replacing

    monkeypatch.setattr(replacing._Old, "check", replacing._Old.remove)
    with pytest.raises(AssertionError, match="both are gone"):
        test_killed_at_every_step(tmp_path, "INBOX", "maildir:{root}/Maildir")


@pytest.mark.parametrize("second", ["maildir:{root}/second", "memory:second"])
def test_into_a_mailbox_of_another_index(tmp_path: Path, second: str) -> None:
    spaces = (
        NamespaceSettings(section_name="inbox", inbox=True, separator="/"),
        NamespaceSettings(
            section_name="second", prefix="Second/", separator="/", location=second.format(root=tmp_path)
        ),
    )
    view_of = MemoryView({"mail_location": f"maildir:{tmp_path}/first"}, *spaces)
    store = open_store(StorageUser("two", str(tmp_path)), view_of)
    store.create("Second/Box")
    append(store, text=OLD)
    view = store.open("INBOX")
    assert view.replace(Seq(1), successor(store, "Second/Box")).uids == [1]
    assert view.sync().expunged == [1]
    append(store, text=OLD)
    view.sync()
    other = store.open("INBOX")
    other.expunge_seqs(seqs(1))
    other.close()
    save = successor(store, "Second/Box")
    with pytest.raises(UserError) as caught:
        view.replace(Seq(1), save)
    save.rollback()
    assert caught.value.code is Code.EXPUNGEISSUED
    view.close()
    assert texts_of(store, "Second/Box") == [NEW]
    store.close()

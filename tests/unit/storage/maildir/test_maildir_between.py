"""What happens between two steps of ours: other sessions and programs that come just then."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pydovecot.index.mailbox import MailboxIndex
from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, MailboxGoneError
from pydovecot.storage.drivers.maildir import linking
from pydovecot.storage.drivers.maildir.place import MaildirPlace
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.contract.storage.helpers import ALL, MESSAGE, append, seqs

OpenStore = Callable[[], UserStore]


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    return tmp_path / "Maildir"


@pytest.fixture
def open_one(maildir: Path) -> Iterator[OpenStore]:
    stores: list[UserStore] = []

    def open_it() -> UserStore:
        settings = MemoryView({"mail_location": f"maildir:{maildir}"}, NamespaceSettings(inbox=True))
        stores.append(open_store(StorageUser("u"), settings))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


def test_mailbox_made_again_by_another_program_has_a_new_uidvalidity(
    maildir: Path, open_one: OpenStore
) -> None:
    """Its uidlist is not lost: the UIDs of the old one must not come again."""
    store = open_one()
    store.create("Box")
    append(store, "Box", count=3, keywords=["Old"])
    view = store.open("Box")
    before, modseq = view.uidvalidity, view.highest_modseq
    shutil.rmtree(maildir / ".Box")
    for name in ("new", "tmp", "cur"):
        (maildir / ".Box" / name).mkdir(parents=True)
    (maildir / ".Box/cur/1700000000.M1P1.other:2,S").write_bytes(MESSAGE)
    again = store.open("Box")
    assert again.uidvalidity > before and list(again.uids) == [1] and again.highest_modseq > modseq
    assert list(again.keywords) == []
    with pytest.raises(MailboxGoneError):
        view.sync()


def test_keywords_of_a_mailbox_made_again_are_written_for_others(maildir: Path, open_one: OpenStore) -> None:
    store = open_one()
    store.create("Box")
    append(store, "Box", keywords=["Zero", "One"])
    append(store, keywords=["One"])
    shutil.rmtree(maildir / ".Box")
    for name in ("new", "tmp", "cur"):
        (maildir / ".Box" / name).mkdir(parents=True)
    store.open("INBOX").copy(seqs(1), "Box")
    assert (maildir / ".Box/dovecot-keywords").read_text() == "0 One\n"
    (name,) = os.listdir(maildir / ".Box/cur")
    assert name.endswith(":2,a")


def test_uidnext_and_messages_of_a_view_are_of_one_moment(
    open_one: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that arrives while the mailbox is opened is told later, with an UID from UIDNEXT on."""
    store, other = open_one(), open_one()
    append(store)
    original = MailboxIndex.load

    def late(index: MailboxIndex) -> object:
        loaded = original(index)
        monkeypatch.undo()
        append(other)
        return loaded

    monkeypatch.setattr(MailboxIndex, "load", late)
    view = store.open("INBOX")
    assert (len(view.uids), view.uidnext) == (1, 2)
    assert view.sync().exists == 2 and view.uids[1] == 2


def test_recent_is_given_once_when_mail_arrives_during_a_sync(
    open_one: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other, third = open_one(), open_one(), open_one()
    view, rival = store.open("INBOX"), other.open("INBOX")
    append(third)
    original = MailboxIndex.delta

    def late(index: MailboxIndex, modseq: int, born: int) -> object:
        monkeypatch.undo()
        append(third)
        return original(index, modseq, born)

    monkeypatch.setattr(MailboxIndex, "delta", late)
    view.sync()
    rival.sync()
    view.sync()
    recent = [[b"\\Recent" in row[0] for row in one.rows(ALL, (Column.FLAGS,))] for one in (view, rival)]  # type: ignore[operator]
    assert [sum(pair) for pair in zip(*recent, strict=True)] == [1, 1]


def test_copy_to_a_mailbox_that_is_deleted_meanwhile(
    open_one: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_one(), open_one()
    append(store)
    store.create("Box")
    view = store.open("INBOX")
    original = linking._letters

    def late(place: MaildirPlace, uids: object, target: MaildirPlace) -> object:
        monkeypatch.undo()
        other.delete("Box")
        return original(place, uids, target)  # type: ignore[arg-type]

    monkeypatch.setattr(linking, "_letters", late)
    with pytest.raises(UserError) as refused:
        view.copy(ALL, "Box")
    assert refused.value.code is Code.NONEXISTENT
    assert len(view.uids) == 1 and not view.sync().expunged


def test_append_to_a_mailbox_that_is_deleted_meanwhile(open_one: OpenStore) -> None:
    store, other = open_one(), open_one()
    store.create("Box")
    save = store.save("Box")
    save.begin(FlagSet(), None)
    save.write(MESSAGE)
    save.finish()
    other.delete("Box")
    with pytest.raises(UserError) as refused:
        save.commit()
    assert refused.value.code is Code.NONEXISTENT


def test_flags_that_were_changed_back_are_told(open_one: OpenStore) -> None:
    """Their modseq is another one, which a client with CONDSTORE must learn."""
    store, other = open_one(), open_one()
    append(store, count=2)
    view, rival = store.open("INBOX"), other.open("INBOX")
    for op in (StoreOp.ADD, StoreOp.REMOVE):
        rival.store(seqs(2), op, FlagSet(Flag.FLAGGED))
    assert view.sync().changed == [2]
    assert not view.sync().changed
    # Changed by another, and changed back by this one.
    rival.store(seqs(1), StoreOp.ADD, FlagSet(Flag.FLAGGED))
    view.store(seqs(1), StoreOp.REMOVE, FlagSet(Flag.FLAGGED))
    assert view.sync().changed == [1]


def test_rename_waits_for_the_uidlist_lock(maildir: Path, open_one: OpenStore) -> None:
    """Else the lock is renamed, too, and whoever holds it cannot remove it."""
    store, other = open_one(), open_one()
    store.create("Box")
    store.create("Box.Low")
    place = other.resolve("Box.Low")[0].folder(("Box", "Low"))  # type: ignore[attr-defined]
    with place.uidlist_lock():
        (maildir / ".Box.Low/dovecot-uidlist.lock").write_text("1:elsewhere")
        store._spaces.entries[0].backend.lock_secs = 0  # type: ignore[attr-defined]
        with pytest.raises(Exception, match="Timed out waiting"):
            store.rename("Box", "New")
    (maildir / ".Box.Low/dovecot-uidlist.lock").unlink()
    store.rename("Box", "New")
    assert store.exists("New.Low") and not (maildir / ".New.Low/dovecot-uidlist.lock").exists()


def test_internal_date_is_that_of_the_file(
    maildir: Path, open_one: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when seconds pass between the writing and the numbering."""
    store = open_one()
    save = store.save("INBOX")
    save.begin(FlagSet(), None)
    save.write(MESSAGE)
    save.finish()
    now = time.time()
    monkeypatch.setattr("pydovecot.storage.drivers.maildir.saving.time.time", lambda: now + 100)
    save.commit()
    rows = store.open("INBOX").rows(ALL, (Column.RECEIVED,))
    (file,) = (maildir / "cur").iterdir()
    assert [row[0] for row in rows] == [int(file.stat().st_mtime)]

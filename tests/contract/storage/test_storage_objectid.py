"""Ids that stay: of mailboxes through renames, of messages and conversations through everything. RFC 8474."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pydovecot.index.schema import FILE_NAME
from pydovecot.model.search import EmailId, Or, ThreadId
from pydovecot.storage.api import Column, Store, View
from pydovecot.storage.store import UserStore
from tests.contract.storage.helpers import ALL, append, seqs

IDS = (Column.EMAIL_ID, Column.THREAD_ID)
FIRST = b"Message-ID: <first@example.org>\n\nhello\n"
REPLY = b"Message-ID: <reply@example.org>\nReferences: <first@example.org>\n\nhi\n"


def ids(view: View) -> list[tuple[object, ...]]:
    """EMAILID and THREADID of all messages."""
    return list(view.rows(ALL, IDS))


def ids_of(store: Store, name: str) -> list[tuple[object, ...]]:
    """The same of a mailbox that is not open."""
    view = store.open(name, readonly=True)
    try:
        return ids(view)
    finally:
        view.close()


def test_copies_and_moved_messages_keep_their_ids(store: UserStore) -> None:
    store.create("Box")
    append(store, text=FIRST)
    append(store, text=REPLY)
    view = store.open("INBOX")
    first, reply = ids(view)
    assert first[0] != reply[0] and first[1] == reply[1]
    view.copy(seqs(1), "Box")
    view.move(seqs(2), "Box")
    view.close()
    assert ids_of(store, "Box") == [first, reply]
    assert ids_of(store, "INBOX") == [first]


def test_ids_that_were_never_asked_for_before_the_copy(store: UserStore) -> None:
    store.create("Box")
    append(store, text=FIRST)
    view = store.open("INBOX")
    view.copy(seqs(1), "Box")
    assert ids_of(store, "Box") == ids(view)
    view.close()


def test_the_same_content_has_the_same_id_however_it_came(store: UserStore) -> None:
    append(store, text=FIRST)
    append(store, text=FIRST.replace(b"\n", b"\r\n"))
    append(store, text=FIRST.replace(b"hello", b"Hello"))
    same, crlf, other = ids_of(store, "INBOX")
    assert same == crlf
    assert same[0] != other[0] and same[1] == other[1]


def test_search_by_ids(store: UserStore) -> None:
    append(store, text=FIRST)
    append(store, text=b"Message-ID: <else@example.org>\n\nother\n")
    append(store, text=REPLY)
    view = store.open("INBOX")
    (email, thread), (other, _), _ = ids(view)
    assert isinstance(email, bytes) and isinstance(thread, bytes) and isinstance(other, bytes)
    assert view.search(EmailId(email)) == [1]
    assert view.search(ThreadId(thread)) == [1, 3]
    assert view.search(Or(EmailId(other), ThreadId(thread))) == [1, 2, 3]
    assert view.search(EmailId(thread)) == []
    view.close()


def test_thread_alone_then_email(store: UserStore) -> None:
    """One is made of the header, the other of the whole message: neither may hide the other's absence."""
    append(store, text=FIRST)
    view = store.open("INBOX")
    thread = list(view.rows(ALL, (Column.THREAD_ID,)))
    email = list(view.rows(ALL, (Column.EMAIL_ID,)))
    view.close()
    assert ids_of(store, "INBOX") == [(*email[0], *thread[0])]


def test_mailbox_ids_are_unique_and_stay(store: UserStore) -> None:
    guid = store.create("Old")
    assert guid and guid == store.status("Old").guid == store.open("Old").guid
    store.rename("Old", "New")
    assert store.status("New").guid == guid
    again = store.create("Old")
    assert len({guid, again, store.status("INBOX").guid}) == 3
    store.delete("New")
    assert store.create("New") not in (guid, again)


def test_a_mailbox_that_moves_with_its_parent_keeps_its_id(store: UserStore) -> None:
    guid = store.create("Up/Low")
    store.rename("Up", "Over")
    assert store.status("Over/Low").guid == guid


@pytest.mark.parametrize("open_one", ["maildir", "maildir-fs", "maildir-split"], indirect=True)
def test_all_ids_survive_the_loss_of_the_index(open_one: Callable[[], UserStore], tmp_path: Path) -> None:
    store = open_one()
    guid = store.create("Box")
    append(store, "Box", text=FIRST)
    append(store, "Box", text=REPLY)
    before = ids_of(store, "Box")
    store.close()
    found = list(tmp_path.rglob(FILE_NAME + "*"))
    assert found
    for path in found:
        path.unlink()
    other = open_one()
    assert other.status("Box").guid == guid
    assert ids_of(other, "Box") == before


@pytest.mark.parametrize("open_one", ["maildir", "maildir-fs"], indirect=True)
@pytest.mark.parametrize("index_lost", [False, True])
def test_a_copied_directory_is_another_mailbox(
    open_one: Callable[[], UserStore], tmp_path: Path, index_lost: bool
) -> None:
    """`cp -a .Old .New`, GUID and all."""
    store = open_one()
    guid = store.create("Old")
    append(store, "Old", text=FIRST)
    root = tmp_path / "Maildir"
    dot = "." if (root / ".Old").exists() else ""
    shutil.copytree(root / f"{dot}Old", root / f"{dot}New")
    if index_lost:
        store.close()
        for path in root.glob(FILE_NAME + "*"):
            path.unlink()
        store = open_one()
        assert store.status("Old").guid == guid
    other = store.status("New").guid
    assert other and other != guid and store.status("Old").guid == guid
    assert ids_of(store, "New") == ids_of(store, "Old")  # the messages are the same
    store.close()
    for path in root.glob(FILE_NAME + "*"):
        path.unlink()
    again = open_one()
    assert (again.status("New").guid, again.status("Old").guid) == (other, guid)


@pytest.mark.parametrize("open_one", ["maildir"], indirect=True)
def test_a_directory_that_another_program_renamed_keeps_its_id(
    open_one: Callable[[], UserStore], tmp_path: Path
) -> None:
    store = open_one()
    guid = store.create("Old")
    (tmp_path / "Maildir" / ".Old").rename(tmp_path / "Maildir" / ".New")
    assert store.status("New").guid == guid

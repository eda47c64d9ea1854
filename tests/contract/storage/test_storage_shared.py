"""One message for several mailboxes: its bytes are given once."""

import os
from pathlib import Path

import pytest

from pydovecot.model.flags import Flag, FlagSet
from pydovecot.model.numbers import Seq
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, SavedContent
from pydovecot.storage.store import UserStore

MESSAGE = b"Subject: to many\r\n\r\nbody\r\n"
PLAIN = FlagSet(Flag(0), frozenset())


def save(store: UserStore, name: str) -> SavedContent:
    made = store.save(name)
    made.begin(PLAIN, None)
    made.write(MESSAGE)
    made.finish()
    contents = made.commit().contents
    if not contents:
        pytest.skip("all messages of this format are in one file")
    return contents[0]


def bodies(store: UserStore, name: str) -> list[tuple[bytes, object]]:
    view = store.open(name)
    try:
        found = []
        for seq in range(1, len(view.uids) + 1):
            message = view.message(Seq(seq))
            found.append((message.crlf(), message.stored()))
            message.close()
        return found
    finally:
        view.close()


def test_shared_content_is_the_same_message(store: UserStore) -> None:
    store.create("Lists")
    content = save(store, "INBOX")
    shared = store.save("Lists")
    assert shared.begin_shared(content, FlagSet(Flag.SEEN, frozenset({"Work"})), None)
    shared.finish()
    result = shared.commit()
    assert len(result.uids) == 1
    assert bodies(store, "Lists") == bodies(store, "INBOX")
    view = store.open("Lists")
    rows = list(view.rows(SeqSet.of([1]), [Column.FLAGS, Column.SIZE]))
    view.close()
    assert rows[0][1] == len(MESSAGE)
    assert b"\\Seen" in bytes(rows[0][0]) and b"Work" in bytes(rows[0][0])  # type: ignore[arg-type]


def test_foreign_content_is_not_shared(store: UserStore) -> None:
    made = store.save("INBOX")
    assert not made.begin_shared(SavedContent(object()), PLAIN, None)
    made.begin(PLAIN, None)
    made.write(MESSAGE)
    made.finish()
    made.commit()
    assert [body for body, _ in bodies(store, "INBOX")] == [MESSAGE]


def test_a_shared_message_can_be_rolled_back(store: UserStore) -> None:
    content = save(store, "INBOX")
    made = store.save("INBOX")
    assert made.begin_shared(content, PLAIN, None)
    made.finish()
    made.rollback()
    assert len(bodies(store, "INBOX")) == 1


def test_a_file_is_written_once(store: UserStore, tmp_path: Path) -> None:
    content = save(store, "INBOX")
    store.create("Lists")
    made = store.save("Lists")
    assert made.begin_shared(content, PLAIN, None)
    made.finish()
    made.commit()
    files = [path for folder in ("cur", "new") for path in tmp_path.rglob(f"{folder}/*") if path.is_file()]
    if not files:
        pytest.skip("no files")
    assert len(files) == 2 and {os.stat(path).st_nlink for path in files} == {2}


def test_a_source_that_is_gone_is_no_error(store: UserStore, tmp_path: Path) -> None:
    content = save(store, "INBOX")
    files = [path for path in tmp_path.rglob("new/*") if path.is_file()]
    if not files:
        pytest.skip("no files")
    files[0].unlink()
    made = store.save("INBOX")
    assert not made.begin_shared(content, PLAIN, None)
    made.rollback()

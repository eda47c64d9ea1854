"""The index database: transactions, versions, broken files, and the history that is dropped."""

import os
from array import array
from pathlib import Path

import apsw
import pytest

from pydovecot.index import mailbox as mailbox_module
from pydovecot.index.database import MEMORY, Database
from pydovecot.index.mailbox import Delta, MailboxIndex, NewMail, apply, merge, positions, ranges, without
from pydovecot.model.errors import InternalError


def mail(uid: int, state: int = 0) -> NewMail:
    return (uid, state, f"{uid}.x:2,", None, None, None, None, None, None)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(str(tmp_path / "index"))


@pytest.fixture
def box(database: Database) -> MailboxIndex:
    return MailboxIndex(database, "box")


def add(box: MailboxIndex, *mails: NewMail) -> None:
    with box.database.write():
        box.begin()
        box.add(mails)


def test_failed_transaction_leaves_nothing(box: MailboxIndex) -> None:
    with pytest.raises(ZeroDivisionError), box.database.write():
        box.begin()
        box.add([mail(1)])
        raise ZeroDivisionError
    assert box.header().messages == 0
    add(box, mail(1))
    assert box.header().messages == 1


def test_counters_and_modseqs(box: MailboxIndex) -> None:
    add(box, mail(1), mail(2, 8), mail(5, 12))
    assert (box.header().messages, box.header().unseen, box.header().deleted, box.header().uidnext) == (
        3,
        1,
        1,
        6,
    )
    first = box.header().modseq
    with box.database.write():
        box.begin()
        box.change([(1, 0, 8, "1.x:2,S"), (2, 8, 4, "2.x:2,T")])
    assert box.header().modseq == first + 1
    assert (box.header().unseen, box.header().deleted) == (1, 2)
    assert box.changed_since(first) == [1, 2]
    with box.database.write():
        box.begin()
        box.expunge([2, 5])
    assert (box.header().messages, box.header().unseen, box.header().deleted) == (1, 0, 0)
    assert box.vanished_since(first) == [(2, 2), (5, 5)]
    assert box.vanished_since(first + 2) == []


def test_delta_and_snapshot(box: MailboxIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "SNAPSHOT_AFTER", 2)
    add(box, *(mail(uid) for uid in range(1, 11)))
    modseq, uids, states = box.load()
    box.save_snapshot(modseq, uids, states)
    with box.database.write():
        box.begin()
        box.change([(3, 0, 8, "3.x:2,S")])
        box.expunge([4])
    add(box, mail(20, 1))
    born = box.header().born
    delta = box.delta(modseq, born)
    assert (delta.states, delta.expunged, delta.complete) == ([(3, 8), (20, 1)], {4}, False)
    assert box.delta(modseq, born + 1).complete
    _, loaded, loaded_states = box.load()
    assert list(loaded) == [1, 2, 3, 5, 6, 7, 8, 9, 10, 20]
    assert list(loaded_states) == [0, 0, 8, 0, 0, 0, 0, 0, 0, 1]


def test_history_is_dropped_after_a_while(box: MailboxIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("LOG_KEEP", 20),
        ("LOG_PRUNE_EVERY", 10),
        ("GONE_LOG_KEEP", 40),
        ("GONE_ROWS_KEEP", 5),
    ):
        monkeypatch.setattr(mailbox_module, name, value)
    add(box, *(mail(uid) for uid in range(1, 101)))
    start = box.header()
    for uid in range(1, 81):
        with box.database.write():
            box.begin()
            box.expunge([uid])
    assert box.delta(start.modseq, start.born).complete
    assert box.vanished_since(start.modseq) is None
    assert box.vanished_since(box.header().modseq - 10) == [(71, 80)]
    rows = box.database.row("SELECT count(*) FROM gone")[0]
    assert rows <= 15
    assert box.database.row("SELECT count(*) FROM log")[0] <= 60


def test_two_connections_see_commits_in_order(tmp_path: Path, box: MailboxIndex) -> None:
    other = MailboxIndex(Database(box.database.path), "box")
    add(box, mail(1))
    assert other.header().messages == 1
    add(other, mail(2))
    assert box.header().modseq == other.header().modseq
    assert [row[0] for row in box.database.rows("SELECT modseq FROM msg ORDER BY id")] == [2, 3]
    other.database.close()


def test_database_of_another_version_is_made_anew(tmp_path: Path, box: MailboxIndex) -> None:
    add(box, mail(1))
    box.database.execute("PRAGMA user_version = 99")
    box.database.close()
    again = MailboxIndex(Database(box.database.path), "box")
    assert again.header().messages == 0
    again.database.close()


@pytest.mark.parametrize("content", [b"x" * 10000, b"SQLite format 3\0" + b"\xff" * 4080, b""])
def test_broken_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "index"
    path.write_bytes(content)
    box = MailboxIndex(Database(str(path)), "box")
    add(box, mail(1))
    assert box.header().messages == 1
    box.database.close()


def test_breaking_while_open_is_one_error(box: MailboxIndex) -> None:
    add(box, *(mail(uid) for uid in range(1, 20_000)))
    box.database.close()
    size = os.path.getsize(box.database.path)
    with open(box.database.path, "r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * (size - 4096))
    for suffix in ("-wal", "-shm"):
        Path(box.database.path + suffix).unlink(missing_ok=True)
    database = Database(box.database.path)
    broken = MailboxIndex(database, "box")
    with pytest.raises(InternalError, match="will be made anew"):
        broken.header()
    assert database.refresh()
    broken.forget()
    assert broken.header().messages == 0
    database.close()


def test_deleted_file_is_noticed(box: MailboxIndex) -> None:
    add(box, mail(1))
    assert not box.database.refresh()
    os.unlink(box.database.path)
    assert box.database.refresh()
    assert box.header().messages == 0


def test_memory_database() -> None:
    box = MailboxIndex(Database(MEMORY), "box")
    add(box, mail(1))
    assert not box.database.refresh()
    assert box.header().messages == 1
    box.database.close()


def test_files_have_the_given_mode(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "new" / "index"), mode=0o640)
    with database.write():
        database.execute("INSERT INTO mailbox (name) VALUES ('x')")
    for suffix in ("", "-wal", "-shm"):
        assert (tmp_path / "new" / f"index{suffix}").stat().st_mode & 0o777 == 0o640
    database.close()


def test_ranges_and_arrays() -> None:
    assert list(ranges([1, 2, 3, 7, 9, 10])) == [(1, 3), (7, 7), (9, 10)]
    assert list(merge([(5, 6), (1, 2), (3, 3), (6, 9)])) == [(1, 3), (5, 9)]
    uids, states = array("I", [2, 4, 6, 8]), array("Q", [0, 1, 2, 3])
    assert positions(uids, [1, 4, 8, 9]) == [1, 3]
    assert positions(uids, [5], exact=False) == [2]
    kept, _ = without(array("I", uids), array("Q", states), [0, 3])
    assert list(kept) == [4, 6]
    found = apply(uids, states, Delta(9, [(6, 7), (10, 1)], {4}))
    assert (list(found[0]), list(found[1]), found[2]) == ([2, 6, 8, 10], [0, 7, 3, 1], [1])
    assert apsw.apsw_version()

"""What SORT and THREAD keep in the index: for which messages it holds, and when it goes."""

from pathlib import Path

import pytest

from pydovecot.index.database import Database
from pydovecot.index.mailbox import MailboxIndex
from pydovecot.storage.indexed.shelf import IndexShelf
from pydovecot.storage.ordering.shelf import Kept


@pytest.fixture
def box(tmp_path: Path) -> MailboxIndex:
    return MailboxIndex(Database(str(tmp_path / "index")), "box")


def test_kept_for_the_same_messages_only(box: MailboxIndex) -> None:
    shelf = IndexShelf(box)
    kept = Kept(b"uids", b"values")
    assert shelf.current("date", 3, 9) is None and shelf.latest("date") is None
    shelf.keep("date", 3, 9, kept, changed=99)
    assert shelf.current("date", 3, 9) == b"values"
    for other in (("date", 2, 9), ("date", 3, 8), ("size", 3, 9)):
        assert shelf.current(*other) is None
    assert shelf.latest("date") == kept
    assert IndexShelf(MailboxIndex(box.database, "other")).latest("date") is None


def test_the_last_one_stays(box: MailboxIndex) -> None:
    shelf = IndexShelf(box)
    shelf.keep("date", 3, 9, Kept(b"a", b"b"), changed=99)
    shelf.keep("date", 4, 10, Kept(b"c", b"d"), changed=99)
    assert shelf.current("date", 3, 9) is None
    assert shelf.latest("date") == Kept(b"c", b"d")
    assert box.database.row("SELECT count(*) FROM kept") == (1,)


def test_a_cleared_mailbox_keeps_nothing(box: MailboxIndex) -> None:
    shelf = IndexShelf(box)
    shelf.keep("date", 3, 9, Kept(b"a", b"b"), changed=99)
    with box.database.write():
        box.begin()
        box.clear()
    assert shelf.latest("date") is None


def test_few_changes_are_kept_in_memory(box: MailboxIndex) -> None:
    shelf = IndexShelf(box)
    shelf.keep("date", 20, 20, Kept(b"a", b"b"), changed=20)
    for last in range(21, 37):
        kept = Kept(b"%d" % last, b"v%d" % last)
        shelf.keep("date", last, last, kept, changed=1)
        assert shelf.current("date", last, last) == kept.values
        assert shelf.latest("date") == kept
        other = IndexShelf(box).latest("date")
        assert other == (kept if last == 36 else Kept(b"a", b"b"))
    assert shelf.current("date", 20, 20) is None

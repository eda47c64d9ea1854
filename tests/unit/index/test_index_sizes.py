"""The sum of sizes that is kept, against adding them all up."""

import random

import pytest

from pydovecot.index.database import MEMORY, Database
from pydovecot.index.mailbox import FEW, MailboxIndex, NewMail


@pytest.fixture
def index() -> MailboxIndex:
    return MailboxIndex(Database(MEMORY, mode=0o600, gid=-1), "INBOX")


def mail(uid: int, size: int | None) -> NewMail:
    return uid, 0, f"m{uid}", 0, 0, size, size, None, None


def add(index: MailboxIndex, *mails: NewMail) -> None:
    with index.database.write():
        index.begin()
        index.add(mails)


def expunge(index: MailboxIndex, *uids: int) -> None:
    with index.database.write():
        index.begin()
        index.expunge(sorted(uids))


def test_unknown_sizes_are_no_sum(index: MailboxIndex) -> None:
    assert index.total_size() == 0
    add(index, mail(1, 10), mail(2, None))
    assert index.total_size() is None
    expunge(index, 2)
    assert index.total_size() == 10


def test_a_size_that_was_wrong(index: MailboxIndex) -> None:
    add(index, *[mail(uid, 10) for uid in range(1, 2 * FEW)])
    before = index.total_size()
    with index.database.write():
        index.database.execute("UPDATE msg SET size = 15 WHERE id = ?", (index.key(3),))
        index.forget_sizes()
    assert before is not None and index.total_size() == before + 5


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_and_goes(index: MailboxIndex, seed: int) -> None:
    source = random.Random(seed)
    sizes: dict[int, int] = {}
    uidnext = 1
    for _ in range(40):
        if sizes and source.random() < 0.4:
            gone = source.sample(sorted(sizes), source.randrange(1, min(len(sizes), 5) + 1))
            expunge(index, *gone)
            for uid in gone:
                del sizes[uid]
        else:
            count = source.choice((1, 3, FEW + 1, 3 * FEW))
            new = {uidnext + at: source.randrange(1, 10000) for at in range(count)}
            uidnext += count
            add(index, *[mail(uid, size) for uid, size in new.items()])
            sizes |= new
        if source.random() < 0.7:
            assert index.total_size() == sum(sizes.values())
    assert index.total_size() == sum(sizes.values())


def test_the_last_ones_gone_and_as_many_come(index: MailboxIndex) -> None:
    """The number is the same as when the sum was kept, the messages are others."""
    add(index, *[mail(uid, 10) for uid in range(1, 2 * FEW)])
    assert index.total_size() == 10 * (2 * FEW - 1)
    expunge(index, 1)
    add(index, mail(2 * FEW, 999))
    assert index.total_size() == 10 * (2 * FEW - 2) + 999
    with index.database.write():
        index.clear()
    assert index.total_size() == 0

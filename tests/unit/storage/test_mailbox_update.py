"""What an administrator changes of a mailbox is what other sessions see; a place can be opened by itself."""

from pathlib import Path

import pytest

from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import NO_FLAGS, Flag, FlagSet, StoreOp
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import MailboxGoneError
from pydovecot.storage.drivers.registry import open_location
from pydovecot.storage.store import UserStore
from pydovecot.storage.updating import MailboxUpdate
from pydovecot.storage.user import StorageUser

GUID = "0123456789abcdef0123456789abcdef"


def opened(where: str) -> UserStore:
    return open_location(StorageUser("alice"), MemoryView(), where)


@pytest.fixture
def store(tmp_path: Path) -> UserStore:
    made = opened(f"maildir:{tmp_path}")
    save = made.save("INBOX")
    for number in range(3):
        save.begin(FlagSet(NO_FLAGS, frozenset()), None)
        save.write(b"Subject: %d\n\nx\n" % number)
        save.finish()
    save.commit()
    return made


def test_another_uidvalidity_is_another_mailbox(store: UserStore) -> None:
    view = store.open("INBOX")
    before = store.status("INBOX")
    store.update("INBOX", MailboxUpdate(uidvalidity=before.uidvalidity + 5, guid=GUID))
    with pytest.raises(MailboxGoneError):
        view.verify()
    view.close()
    after = store.status("INBOX")
    assert (after.uidvalidity, after.guid, after.messages) == (before.uidvalidity + 5, GUID, 3)
    view = store.open("INBOX")
    assert list(view.uids) == [1, 2, 3]
    view.close()


def test_limits_are_only_raised(store: UserStore) -> None:
    before = store.status("INBOX")
    store.update("INBOX", MailboxUpdate(min_uidnext=100, min_modseq=before.highest_modseq + 1000))
    after = store.status("INBOX")
    assert (after.uidnext, after.highest_modseq) == (100, before.highest_modseq + 1000)
    assert after.uidvalidity == before.uidvalidity
    store.update("INBOX", MailboxUpdate(min_uidnext=2, min_modseq=1))
    assert store.status("INBOX") == after
    view = store.open("INBOX")
    done = view.store(SeqSet.of([1]), StoreOp.ADD, FlagSet(Flag.SEEN, frozenset()))
    assert done.modseq > after.highest_modseq
    view.close()


def test_only_formats_that_can(tmp_path: Path) -> None:
    store = opened("memory:")
    with pytest.raises(UserError) as failure:
        store.update("INBOX", MailboxUpdate(uidvalidity=5))
    assert failure.value.code is Code.CANNOT
    with pytest.raises(UserError) as failure:
        opened(f"maildir:{tmp_path}").update("nope", MailboxUpdate(uidvalidity=5))
    assert failure.value.code is Code.NONEXISTENT

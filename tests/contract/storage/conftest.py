"""Stores of every driver, checked for consistency when the test is over."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import MailboxSettings, NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.support.storage_check import check_store

OpenStore = Callable[[], UserStore]

LOCATIONS = {
    "memory": "memory:contract",
    "maildir": "maildir:{root}/Maildir",
    "maildir-fs": "maildir:{root}/Maildir:LAYOUT=fs",
    "mbox": "mbox:{root}/mail:INBOX={root}/spool",
    "maildir-split": "maildir:{root}/Maildir:INDEX={root}/index:CONTROL={root}/control",
}
INBOX = NamespaceSettings(
    section_name="inbox",
    inbox=True,
    separator="/",
    mailbox=(
        MailboxSettings(section_name="Trash", auto="subscribe", special_use=("\\Trash",)),
        MailboxSettings(section_name="Sent", special_use=("\\Sent",)),
    ),
)


@pytest.fixture(params=LOCATIONS)
def open_one(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens stores of one user, as separate sessions would; all are checked and closed afterwards."""
    forget_all()
    stores: list[UserStore] = []
    view = MemoryView({"mail_location": LOCATIONS[request.param].format(root=tmp_path)}, INBOX)

    def open_it() -> UserStore:
        stores.append(open_store(StorageUser("alice", str(tmp_path)), view))
        return stores[-1]

    yield open_it
    checker = open_it()
    check_store(checker)
    for store in stores:
        store.close()


@pytest.fixture
def store(open_one: OpenStore) -> UserStore:
    """One store."""
    return open_one()

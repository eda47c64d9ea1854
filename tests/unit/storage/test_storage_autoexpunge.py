"""autoexpunge at logout."""

import time
from pathlib import Path

import pytest

from pydovecot.settings.memory import MemoryView
from pydovecot.storage import autoexpunge
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import MailboxSettings, NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.contract.storage.helpers import append


def opened(location: str, **settings: int) -> UserStore:
    trash = MailboxSettings(section_name="Trash", auto="create", **settings)
    view = MemoryView({"mail_location": location}, NamespaceSettings(inbox=True, mailbox=(trash,)))
    return open_store(StorageUser("u"), view)


@pytest.mark.parametrize("driver", ["memory", "maildir"])
def test_old_messages_go_at_logout(tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_all()
    location = f"{driver}:{tmp_path}/mail"
    store = opened(location, autoexpunge=3600)
    append(store, "Trash", count=3)
    append(store, "INBOX")
    store.close()
    assert opened(location).status("Trash").messages == 3
    later = time.time() + 4000
    monkeypatch.setattr(autoexpunge.time, "time", lambda: later)
    opened(location, autoexpunge=3600).close()
    assert opened(location).status("Trash").messages == 0
    assert opened(location).status("INBOX").messages == 1


def test_messages_above_the_number_go_oldest_first(tmp_path: Path) -> None:
    location = f"maildir:{tmp_path}/mail"
    store = opened(location, autoexpunge_max_mails=2)
    append(store, "Trash", count=5)
    store.close()
    store = opened(location)
    assert list(store.open("Trash").uids) == [4, 5]
    store.close()

"""A full disk: what was not acknowledged is not there, what was there is whole, and there is a way out."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.model.errors import DiskFullError
from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a file system"),
]

ALL = SeqSet(((1, 1_000_000),))
DISK_BYTES = 1 << 20
LINE = b"a line of sixty-four octets, which makes messages easy to count.\r\n"


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system for the spool."""
    folder = Path(tempfile.mkdtemp(prefix="pdsmall"))
    options = f"size={DISK_BYTES},mode=0777"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        folder.rmdir()
        pytest.skip("a file system cannot be mounted here: " + done.stderr.decode().strip())
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)
    folder.rmdir()


def opened(root: Path, disk: Path, index: Path) -> UserStore:
    location = f"mbox:{root}/mail:INBOX={disk}/spool:INDEX={index}:CONTROL={index}"
    values = {"mail_location": location, "mbox_lazy_writes": "no"}
    view = MemoryView(values, NamespaceSettings(inbox=True))
    return open_store(StorageUser("alice", str(root)), view)


def save(store: UserStore, number: int, lines: int) -> None:
    made = store.save("INBOX")
    try:
        made.begin(FlagSet(), None)
        made.write(b"Subject: %d\r\n\r\n" % number + LINE * lines)
        made.finish()
        made.commit()
    except DiskFullError:
        made.rollback()
        raise


def test_full(tmp_path: Path, disk: Path) -> None:
    index = tmp_path / "index"
    store = opened(tmp_path, disk, index)
    number = 0
    with pytest.raises(DiskFullError):
        for number in range(1, 10_000):
            save(store, number, 100)
    view = store.open("INBOX")
    assert len(view.uids) == number - 1 > 20
    with pytest.raises(DiskFullError):
        save(store, number, 5_000)
    # Room that is there already can be used; what needs more fails and changes nothing.
    before = [view.message(seq).crlf() for seq in range(1, len(view.uids) + 1)]  # type: ignore[arg-type]
    assert before == [b"Subject: %d\r\n\r\n" % one + LINE * 100 for one in range(1, number)]
    words = frozenset("k" * 45 + str(one) for one in range(20))
    with pytest.raises(DiskFullError):
        for _ in range(50):
            view.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN, words))
            words = frozenset(f"m{word}" for word in list(words)[:3])
    view.store(SeqSet.of([1]), StoreOp.ADD, FlagSet(Flag.SEEN))
    again = opened(tmp_path, disk, index).open("INBOX")
    assert [again.message(seq).crlf() for seq in range(1, len(again.uids) + 1)] == before  # type: ignore[arg-type]
    again.expunge_seqs(SeqSet.of(range(1, 11)))
    again.sync()
    assert [again.message(seq).crlf() for seq in range(1, len(again.uids) + 1)] == before[10:]  # type: ignore[arg-type]
    save(opened(tmp_path, disk, index), 0, 100)

"""A process that is killed at any system call that changes something: all of its step is done, or nothing.

The child ends in the middle of the call, half of the pages written; then another program appends (or not),
and the mailbox is opened again.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, View
from pydovecot.storage.drivers.mbox.journal import PAGE
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

ALL = SeqSet(((1, 1_000_000),))
CALLS = ("pwrite", "ftruncate", "posix_fallocate", "rename", "unlink")
MOST_CALLS = 40
FOREIGN = b"From other@example  Tue Nov 24 06:04:15 2026\nSubject: foreign\n\nfrom outside\n\n"
LONG_KEYWORD = "k" * 60

State = list[tuple[int, int, frozenset[str], bytes]]  # UID, flags, keywords, content
Step = Callable[[UserStore, View], None]


HABITS = {"mbox_lazy_writes": "no"}


def settings(root: Path) -> MemoryView:
    location = f"mbox:{root}/mail:INBOX={root}/spool"
    values = {"mail_location": location, "mail_fsync": "never", **HABITS}
    return MemoryView(values, NamespaceSettings(inbox=True))


def opened(root: Path) -> UserStore:
    return open_store(StorageUser("alice", str(root)), settings(root))


def state(root: Path) -> State:
    store = opened(root)
    view = store.open("INBOX", readonly=True)
    found = [
        (uid, flags, frozenset(words), view.message(seq).crlf())
        for uid, flags, words, seq in view.rows(
            ALL, (Column.UID, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.SEQ)
        )
    ]
    view.close()
    store.close()
    return found  # type: ignore[return-value]


def fill(root: Path) -> None:
    """Messages of some pages, one of another program's in front."""
    (root / "spool").write_bytes(FOREIGN.replace(b"foreign", b"first"))
    store = opened(root)
    store.open("INBOX").close()
    for number in range(6):
        save(store, number)
    store.close()


def save(store: UserStore, number: int) -> None:
    made = store.save("INBOX")
    made.begin(FlagSet(Flag(0), frozenset(("Old",))), None)
    made.write(b"Subject: %d\r\n\r\n" % number + b"text of message %d\r\n" % number * (300 * (number % 3)))
    made.finish()
    made.commit()


def append(store: UserStore, view: View) -> None:
    save(store, 7)


def keyword(store: UserStore, view: View) -> None:
    words = frozenset(f"{LONG_KEYWORD}{number}" for number in range(4))
    view.store(SeqSet.of([2, 3, 5]), StoreOp.ADD, FlagSet(Flag.FLAGGED, words))


def keyword_of_all(store: UserStore, view: View) -> None:
    words = frozenset(f"{LONG_KEYWORD}{number}" for number in range(4))
    view.store(ALL, StoreOp.ADD, FlagSet(Flag.FLAGGED, words))


def expunge_first(store: UserStore, view: View) -> None:
    view.expunge_seqs(SeqSet.of([1, 4]))


def expunge_last(store: UserStore, view: View) -> None:
    view.expunge_seqs(SeqSet.of([6, 7]))


def half(call: str, *args: object) -> None:
    """What a killed process may have done of a call: the kernel looks for signals between two pages."""
    if call == "pwrite":
        fd, data, offset = args
        assert isinstance(data, bytes) and isinstance(offset, int) and isinstance(fd, int)
        cut = (offset + len(data) // 2) // PAGE * PAGE - offset
        os_pwrite(fd, data[: max(0, cut)], offset)


os_pwrite = os.pwrite


def killed(root: Path, step: Step, at: int) -> bool:
    """Run `step` in a child that ends within its call number `at`. False: it came to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            store = opened(root)
            view = store.open("INBOX")
            count = 0

            def wrapped(name: str, real: Callable[..., object]) -> Callable[..., object]:
                def call(*args: object, **more: object) -> object:
                    nonlocal count
                    if name != "unlink" or "journal" in str(args[0]):
                        count += 1
                        if count == at:
                            half(name, *args)
                            os._exit(1)
                    return real(*args, **more)

                return call

            for name in CALLS:
                setattr(os, name, wrapped(name, getattr(os, name)))
            step(store, view)
            view.close()  # what was written lazily is written now
            os._exit(0)
        except BaseException:  # noqa: BLE001
            os._exit(2)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 1)
    return os.waitstatus_to_exitcode(status) == 1


def test_a_file_that_was_rewritten_since_is_left_as_it_is(tmp_path: Path) -> None:
    """What was to be written does not fit any more: it is kept aside, and told."""
    fill(tmp_path)
    assert killed(tmp_path, expunge_first, 2)  # within the first block that goes into the file
    (journal_path,) = (tmp_path / "mail/.imap").glob("pydovecot.journal.*")
    data = b"".join(FOREIGN.replace(b"foreign", b"%d" % one) for one in range(700))
    with (tmp_path / "spool").open("r+b") as spool:
        spool.write(data)
        spool.truncate()
    told: list[str] = []
    store = open_store(StorageUser("alice", str(tmp_path), log_error=told.append), settings(tmp_path))
    view = store.open("INBOX")
    assert len(view.uids) == 700 and len(told) == 1 and "rewritten by another program" in told[0]
    view.close()
    store.close()
    assert not journal_path.exists() and Path(f"{journal_path}.lost").exists()
    assert len(state(tmp_path)) == 700


@pytest.mark.parametrize("foreign", [False, True], ids=["alone", "foreign"])
@pytest.mark.parametrize("step", [keyword, keyword_of_all, expunge_first])
def test_all_or_nothing_lazily(
    tmp_path: Path, step: Step, foreign: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HABITS, "mbox_lazy_writes", "yes")
    test_all_or_nothing(tmp_path, step, foreign)


@pytest.mark.parametrize("foreign", [False, True], ids=["alone", "foreign"])
@pytest.mark.parametrize("step", [append, keyword, keyword_of_all, expunge_first, expunge_last])
def test_all_or_nothing(tmp_path: Path, step: Step, foreign: bool) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    fill(whole)
    before = state(whole)
    assert not killed(whole, step, MOST_CALLS + 1)
    after = state(whole)
    assert before != after
    for at in range(1, MOST_CALLS):
        root = tmp_path / str(at)
        root.mkdir()
        fill(root)
        died = killed(root, step, at)
        if foreign:
            with (root / "spool").open("ab") as spool:
                spool.write(FOREIGN)
        found = state(root)
        if foreign:
            assert found[-1][3] == b"Subject: foreign\r\n\r\nfrom outside\r\n", f"call {at}"
            found.pop()
        contents = [row[3] for row in found]
        assert contents in ([row[3] for row in before], [row[3] for row in after]), f"call {at}"
        if step in (append, expunge_first, expunge_last):
            assert found in (before, after), f"call {at}"
        for old, new, now in zip(before, after, found, strict=False):
            assert now in (old, new) or step in (expunge_first,), f"call {at}"
        if not died:
            return
    raise AssertionError("more calls than thought")

"""When the file is written and how much of it is read: mbox_lazy_writes, mbox_dirty_syncs and their like."""

import os
import re
import select
from pathlib import Path

import pytest

from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, ExpungedError, View
from pydovecot.storage.drivers.mbox import reading
from pydovecot.storage.drivers.mbox.guid import guid_of
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

ALL = SeqSet(((1, 1_000_000),))
LINE = b"From someone@example Tue Nov 24 06:04:15 2026\n"
BASE = b"X-IMAPbase: 1111111111 0000000003\n"


def mail(subject: str, fields: bytes = b"", body: bytes = b"body\n") -> bytes:
    return LINE + b"Subject: %s\n" % subject.encode() + fields + b"\n" + body + b"\n"


THREE = (
    mail("one", BASE + b"X-UID: 1\nStatus: O\n")
    + mail("two", b"X-UID: 2\nStatus: O\nX-Keywords:          \n")
    + mail("three", b"X-UID: 3\nStatus: O\n")
)


class Box:
    """An INBOX of three messages, all seen by somebody."""

    def __init__(self, root: Path, **values: str) -> None:
        self.root, self.spool, self.values = root, root / "spool", values
        self.spool.write_bytes(THREE)

    def store(self) -> UserStore:
        location = f"mbox:{self.root}/mail:INBOX={self.spool}"
        values = {"mail_location": location, "mail_fsync": "never", **self.values}
        view = MemoryView(values, NamespaceSettings(inbox=True))
        return open_store(StorageUser("alice", str(self.root)), view)

    def open(self) -> View:
        return self.store().open("INBOX")

    @property
    def data(self) -> bytes:
        return self.spool.read_bytes()

    def deliver(self, subject: str, fields: bytes = b"") -> None:
        with self.spool.open("ab") as spool:
            spool.write(mail(subject, fields))

    def seen_by_another(self, number: int = 2) -> None:
        """In place, as mutt does when there is room."""
        old = b"X-UID: %d\nStatus: O\nX-Keywords:  " % number
        assert old in self.data
        with self.spool.open("r+b") as spool:
            spool.write(self.data.replace(old, b"X-UID: %d\nStatus: RO\nX-Keywords: " % number))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def flags(view: View) -> list[int]:
    view.sync()
    return [system for (system,) in view.rows(ALL, (Column.SYSTEM_FLAGS,))]  # type: ignore[misc]


def flag(view: View, number: int, *words: str) -> None:
    view.store(SeqSet.of([number]), StoreOp.ADD, FlagSet(Flag.FLAGGED, frozenset(words)))


# -- mbox_lazy_writes ---------------------------------------------------------------------------------------


def test_flags_are_written_when_the_mailbox_is_closed(box: Box) -> None:
    view = box.open()
    flag(view, 2, "Work")
    assert box.data == THREE
    view.close()
    assert b"X-UID: 2\nStatus: O\nX-Keywords: Work" in box.data and b"X-Status: F\n" in box.data
    assert b"X-IMAPbase: 1111111111 0000000003 Work\n" in box.data


def test_flags_are_written_at_check_and_before_expunge(box: Box) -> None:
    view = box.open()
    flag(view, 2)
    view.checkpoint()
    assert box.data.count(b"X-Status: F") == 1
    flag(view, 3)
    view.expunge_seqs(SeqSet.of([1]))
    assert box.data.count(b"X-Status: F") == 2 and b"Subject: one" not in box.data


def test_flags_are_written_at_once_if_so_configured(tmp_path: Path) -> None:
    box = Box(tmp_path, mbox_lazy_writes="no")
    flag(box.open(), 2)
    assert b"X-Status: F" in box.data


def test_other_sessions_know_at_once_and_are_woken(box: Box) -> None:
    one, two = box.open(), box.open()
    fd = two.watch()
    assert fd is not None
    flag(one, 2)
    assert select.select([fd], [], [], 10)[0]
    assert two.drain_watch()
    assert flags(two) == [0, Flag.FLAGGED, 0]
    one.close()
    assert b"X-Status: F" in box.data
    two.sync()
    two.close()


def test_what_a_killed_session_left_is_written_by_the_next(box: Box) -> None:
    pid = os.fork()
    if pid == 0:
        flag(box.open(), 2, "Work")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert box.data == THREE
    store = box.store()
    assert store.status("INBOX").messages == 3
    assert b"X-Status: F" in box.data and b"Work" in box.data


def test_new_mail_gets_its_uid_at_once(box: Box) -> None:
    """Without it two messages that have no date and no Message-ID could be taken for each other."""
    view = box.open()
    flag(view, 1)
    box.deliver("four")
    assert flags(view) == [Flag.FLAGGED, 0, 0, 0] and view.uids[3] == 4
    assert b"X-UID: 4" in box.data and box.data.count(b"Status: O") == 3 and b"X-Status" not in box.data
    box.deliver("five")
    at = box.data.index(LINE + b"Subject: four")
    box.spool.write_bytes(box.data[:at] + box.data[box.data.index(LINE + b"Subject: five") :])
    box.deliver("six")
    view.sync()
    assert list(view.uids) == [1, 2, 3, 5, 6]
    view.close()
    assert re.search(rb"Subject: six\nX-UID: 6 *\nStatus: O\n", box.data)
    assert b"X-IMAPbase: 1111111111 0000000006" in box.data and box.data.count(b"X-Status: F") == 1


def test_flags_that_another_program_gives_to_new_mail_count(box: Box) -> None:
    view = box.open()
    box.deliver("four")
    view.sync()
    box.spool.write_bytes(box.data.replace(b"Subject: four\n", b"Subject: four\nX-Status: F\n"))
    box.deliver("five")
    assert flags(view) == [0, 0, 0, Flag.FLAGGED, 0]
    view.close()
    assert b"Subject: four\nX-Status: F\n" in box.data


def test_both_have_changed_a_message(box: Box) -> None:
    """What was not written yet wins; what another program says of other messages counts."""
    view = box.open()
    flag(view, 3)
    box.seen_by_another(2)
    assert flags(view) == [0, Flag.SEEN, Flag.FLAGGED]
    flag(view, 2)
    view.store(SeqSet.of([2]), StoreOp.REMOVE, FlagSet(Flag.SEEN))
    box.deliver("four")
    assert flags(view)[:3] == [0, Flag.FLAGGED, Flag.FLAGGED]
    view.close()
    assert b"X-UID: 2\nStatus: O\n" in box.data


def test_a_mailbox_seen_for_the_first_time_gets_its_uids_at_once(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.spool.write_bytes(mail("one") + mail("two"))
    view = box.open()
    assert box.data.count(b"X-UID: ") == 2 and b"Status" not in box.data
    view.close()
    assert box.data.count(b"Status: O\n") == 2


# -- mbox_dirty_syncs and mbox_very_dirty_syncs -------------------------------------------------------------


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where each reading began."""
    found: list[int] = []
    real = reading.Pass.run

    def run(self: reading.Pass) -> None:
        found.append(self._part.shift)
        real(self)

    monkeypatch.setattr(reading.Pass, "run", run)
    return found


def test_only_the_end_of_a_file_that_has_grown_is_read(box: Box, scans: list[int]) -> None:
    view = box.open()
    assert scans == [0]
    box.deliver("four")
    assert len(flags(view)) == 4
    assert scans == [0, THREE.index(LINE + b"Subject: three")]
    save = box.store().save("INBOX")
    save.begin(FlagSet(), None)
    save.write(b"Subject: five\r\n\r\nx\r\n")
    save.finish()
    assert list(save.commit().uids) == [5]
    assert 0 not in scans[1:] and len(flags(view)) == 5
    view.close()
    box.open()
    assert scans[-1] == 0  # SELECT reads all


def test_flags_of_others_come_with_the_next_look_at_all(box: Box) -> None:
    view = box.open()
    box.seen_by_another()
    box.deliver("four")
    assert flags(view) == [0, 0, 0, 0]
    view.checkpoint()
    assert flags(view) == [0, Flag.SEEN, 0, 0]


@pytest.mark.parametrize(
    ("values", "then", "opened"),
    [
        ({"mbox_dirty_syncs": "no"}, Flag.SEEN, Flag.SEEN),
        ({}, 0, Flag.SEEN),
        ({"mbox_very_dirty_syncs": "yes"}, 0, 0),
        ({"mbox_dirty_syncs": "no", "mbox_very_dirty_syncs": "yes"}, 0, 0),
    ],
)
def test_how_dirty(tmp_path: Path, values: dict[str, str], then: int, opened: int) -> None:
    box = Box(tmp_path, **values)
    view = box.open()
    box.seen_by_another()
    box.deliver("four")
    assert flags(view)[1] == then
    assert flags(box.open())[1] == opened


@pytest.mark.parametrize("values", [{}, {"mbox_very_dirty_syncs": "yes"}])
def test_what_has_moved_is_read_whole(tmp_path: Path, values: dict[str, str]) -> None:
    """Another program has removed a message and appended others: nothing is where it was."""
    box = Box(tmp_path, **values)
    view = box.open()
    two = box.data.index(LINE + b"Subject: two")
    box.spool.write_bytes(box.data[two:].replace(b"X-UID: 2", BASE[:-1] + b"\nX-UID: 2"))
    box.deliver("four", b"X-Long: %s\n" % (b"y" * 500))
    view.sync()
    assert list(view.uids) == [2, 3, 4]
    assert [view.message(seq).header()[:14] for seq in (1, 2, 3)] == [  # type: ignore[arg-type]
        b"Subject: two\r\n", b"Subject: three", b"Subject: four\r",
    ]  # fmt: skip


def test_a_message_that_is_not_where_it_was_is_found_again(box: Box) -> None:
    """Two messages of one length have changed places behind the back of a session that read only the end."""
    one, two = mail("AAA", b"X-UID: 2\nStatus: O\n"), mail("BBB", b"X-UID: 3\nStatus: O\n")
    last = mail("last", b"X-UID: 4\nStatus: O\n")
    first = mail("one", BASE.replace(b"3\n", b"4\n") + b"X-UID: 1\nStatus: O\n")
    box.spool.write_bytes(first + one + two + last)
    view = box.open()
    box.spool.write_bytes(box.data.replace(one + two, two + one))
    box.deliver("five")
    view.sync()
    # UIDs that go down are given anew; what is told is never another message's content.
    for number in (2, 3):
        try:
            found = view.message(number).header()[9:12]  # type: ignore[arg-type]
        except ExpungedError:
            continue
        assert (view.uids[number - 1], found) in ((2, b"AAA"), (3, b"BBB"))
    view.sync()
    subjects = [view.message(seq).header()[9:12] for seq in range(1, len(view.uids) + 1)]  # type: ignore[arg-type]
    assert subjects == [b"one", b"BBB", b"AAA", b"las", b"fiv"]
    assert list(view.uids) == sorted(set(view.uids))
    assert dict(zip(view.uids, subjects, strict=True)).get(2) != b"BBB"


def test_content_that_another_program_changed_is_looked_at_again(box: Box) -> None:
    view = box.open()
    assert [size for (size,) in view.rows(ALL, (Column.SIZE,))] == [22, 22, 24]
    assert box.store().status("INBOX", size=True).size == 68
    box.spool.write_bytes(box.data.replace(b"body\n", b"changed\n", 1))
    view.checkpoint()
    view.sync()
    assert [size for (size,) in view.rows(ALL, (Column.SIZE,))] == [25, 22, 24]
    assert box.store().status("INBOX", size=True).size == 71


# -- mbox_min_index_size ------------------------------------------------------------------------------------


def test_a_small_mailbox_has_no_index(tmp_path: Path) -> None:
    box = Box(tmp_path, mbox_min_index_size="10k")
    view = box.open()
    assert not view.keeps_modseqs
    flag(view, 2, "Work")
    guid = view.guid
    view.close()
    assert not list(tmp_path.glob("mail/.imap/pydovecot.index*"))
    again = box.open()
    assert list(again.uids) == [1, 2, 3] and flags(again)[1] == Flag.FLAGGED and again.guid == guid
    store = box.store()
    store.create("other")
    assert store.status("other").messages == 0
    store.rename("other", "third")
    store.delete("third")
    assert not list(tmp_path.glob("mail/.imap/pydovecot.index*"))


def test_an_index_that_is_there_is_read(tmp_path: Path) -> None:
    box = Box(tmp_path)
    view = box.open()
    guid, modseq = view.guid, view.highest_modseq
    view.close()
    index = tmp_path / "mail/.imap/pydovecot.index"
    before = index.read_bytes()
    small = Box(tmp_path, mbox_min_index_size="10k")
    view = small.open()
    assert (view.guid, list(view.uids)) == (guid, [1, 2, 3]) and view.highest_modseq >= modseq
    view.close()
    assert index.read_bytes() == before
    small.values["mbox_min_index_size"] = "10"
    assert small.open().keeps_modseqs


# -- mbox_md5 -----------------------------------------------------------------------------------------------


def test_header_md5(tmp_path: Path) -> None:
    box = Box(tmp_path, mbox_md5="all", pop3_uidl_format="%m")
    view = box.open()
    (row, *_) = view.rows(ALL, (Column.HEADER_MD5, Column.GUID))
    assert row == ("f97c5d29941bfb1b2fdab0874906ab82",) * 2  # MD5 of "one"
    save = box.store().save("INBOX")
    for _ in range(2):
        save.begin(FlagSet(), None)
        save.write(b"Subject: same\r\nX-Delivery-ID: from outside\r\n\r\nx\r\n")
        save.finish()
    save.commit()
    view.sync()
    sums = [value for (value,) in view.rows(ALL, (Column.HEADER_MD5,))]
    assert len(set(sums)) == 5
    assert box.data.count(b"X-Delivery-ID: ") == 2 and b"from outside" not in box.data


def test_which_fields_count() -> None:
    header = b"Subject: x\nReceived: a\n\tb\nReceived: c\nDate: d\nX-UID: 7\nno field\nDelivered-To: e\n\n"
    few, every = guid_of(header), guid_of(header, every=True)
    assert few == guid_of(header.replace(b"Subject: x", b"Subject: y").replace(b"Received: c\n", b""))
    assert every == guid_of(header.replace(b"X-UID: 7", b"X-UID: 8"), every=True)
    assert every != guid_of(header.replace(b"no field", b"no field at all"), every=True)

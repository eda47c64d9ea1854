"""What a mailbox in mbox format does about fields from outside, other programs, files it may only read."""

import os
import select
import shutil
from pathlib import Path

import pytest

from pydovecot.model.errors import InternalError, UserError
from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, View
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.location import detect
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.support.dovecot_imap import as_ordinary_user, user_directory

ALL = SeqSet(((1, 1_000_000),))
LINE = b"From someone@example Tue Nov 24 06:04:15 2026\n"


def mail(subject: str, fields: bytes = b"") -> bytes:
    return LINE + b"Subject: %s\n" % subject.encode() + fields + b"\nbody\n\n"


class Box:
    """An INBOX of `data`."""

    def __init__(self, root: Path, data: bytes = b"") -> None:
        self.root, self.spool = root, root / "spool"
        self.spool.write_bytes(data)

    def store(self) -> UserStore:
        location = f"mbox:{self.root}/mail:INBOX={self.spool}"
        values = {"mail_location": location, "mail_fsync": "never", "mbox_lazy_writes": "no"}
        view = MemoryView(values, NamespaceSettings(inbox=True))
        return open_store(StorageUser("alice", str(self.root)), view)

    def open(self, *, readonly: bool = False) -> View:
        return self.store().open("INBOX", readonly=readonly)

    def change(self, old: bytes, new: bytes) -> None:
        data = self.spool.read_bytes()
        assert old in data
        self.spool.write_bytes(data.replace(old, new, 1))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def rows(view: View) -> list[tuple[int, str, int, tuple[str, ...]]]:
    """UID, subject, flags, keywords."""
    found = []
    columns = (Column.UID, Column.HEADER, Column.SYSTEM_FLAGS, Column.KEYWORDS)
    for uid, header, system, keywords in view.rows(ALL, columns):
        assert isinstance(header, bytes)
        found.append((uid, header.split(b"\r\n")[0].decode().removeprefix("Subject: "), system, keywords))
    return found  # type: ignore[return-value]


def test_fields_from_outside_are_not_believed(box: Box) -> None:
    """Status is, as in Dovecot: nobody else is hurt by it. A UID or a keyword that was never given is not."""
    box.spool.write_bytes(
        mail("one", b"X-UID: 4000000000\nStatus: RO\n")
        + mail("two", b"X-IMAPbase: 1 4000000000\nX-Keywords: Evil\n")
    )
    view = box.open()
    assert rows(view) == [(1, "one", Flag.SEEN, ()), (2, "two", 0, ())]
    assert view.uidnext == 3 and list(view.keywords) == []
    data = box.spool.read_bytes()
    assert b"Evil" not in data and b"4000000000" not in data and data.count(b"X-IMAPbase") == 1


def test_a_pseudo_message_is_none_and_keeps_its_place(box: Box) -> None:
    pseudo = (
        LINE + b"Subject: internal data\nX-IMAP: 1795500255 0000000041 Work\nStatus: RO\n\ndo not delete\n\n"
    )
    box.spool.write_bytes(pseudo + mail("one", b"X-UID: 41\nX-Keywords: Work\n") + mail("two"))
    view = box.open()
    assert view.uidvalidity == 1795500255
    assert rows(view) == [(41, "one", 0, ("Work",)), (42, "two", 0, ())]
    view.expunge_seqs(SeqSet.of([1]))
    view.sync()
    view.store(ALL, StoreOp.ADD, FlagSet(Flag(0), frozenset(("New",))))
    data = box.spool.read_bytes()
    assert data.startswith(LINE + b"Subject: internal data\nX-IMAP: 1795500255 0000000042 Work New")
    assert b"X-IMAPbase" not in data
    os.unlink(box.root / "mail/.imap/pydovecot.index")
    assert rows(box.open()) == [(42, "two", 0, ("New",))]


def test_uids_outlive_the_index_and_programs_that_drop_fields(box: Box) -> None:
    box.spool.write_bytes(
        b"".join(mail(str(number), b"Message-ID: <%d@x>\n" % number) for number in range(5))
    )
    view = box.open()
    view.expunge_seqs(SeqSet.of([2]))
    before = rows(box.open())
    os.unlink(box.root / "mail/.imap/pydovecot.index")
    assert rows(box.open()) == before
    box.change(b"X-UID: 4 ", b"X-Lost: 4")
    assert rows(box.open()) == before
    # A message that another program had in memory and writes back is a new one: its UID was expunged.
    box.spool.write_bytes(box.spool.read_bytes() + mail("back", b"X-UID: 2\n"))
    assert rows(box.open()) == [*before, (6, "back", 0, ())]


def test_another_uidvalidity_is_another_mailbox(box: Box) -> None:
    box.spool.write_bytes(mail("one"))
    validity = box.open().uidvalidity
    box.change(b"X-IMAPbase: %d" % validity, b"X-IMAPbase: 1234567890")
    again = box.open()
    assert again.uidvalidity == 1234567890 and rows(again) == [(1, "one", 0, ())]


def test_recent_is_told_once_and_status_says_so(box: Box) -> None:
    box.spool.write_bytes(mail("one") + mail("two", b"Status: O\n"))
    looked = box.open(readonly=True)
    assert looked.recent == 0  # what comes before a message that somebody has seen is seen
    assert b"Status: O\n" in box.spool.read_bytes() and box.spool.read_bytes().count(b"Status: O") == 1
    box.spool.write_bytes(box.spool.read_bytes() + mail("three"))
    first = box.open()
    assert first.recent == 1 and box.spool.read_bytes().count(b"Status: O") == 3
    assert box.open().recent == 0


def test_a_change_that_keeps_size_and_time_is_seen(box: Box) -> None:
    """mutt sets the time back."""
    box.spool.write_bytes(mail("one", b"X-Status: A\nX-UID: 1\n"))
    view = box.open()
    for old, new, flag in ((b"A", b"F", Flag.FLAGGED), (b"F", b"T", Flag.DRAFT)):
        found = box.spool.stat()
        with box.spool.open("r+b") as spool:
            spool.seek(box.spool.read_bytes().index(b"X-Status: " + old))
            spool.write(b"X-Status: " + new)
        os.utime(box.spool, ns=(found.st_atime_ns, found.st_mtime_ns))
        view.sync()
        assert rows(view) == [(1, "one", flag, ())]


def test_a_file_that_is_no_mbox_is_left_alone(box: Box) -> None:
    box.spool.write_bytes(b"\x00binary\n")
    with pytest.raises(UserError, match="isn't a valid mbox file"):
        box.open()
    save = box.store()
    with pytest.raises(UserError):
        save.save("INBOX")
    assert box.spool.read_bytes() == b"\x00binary\n"


def test_crlf_stays_crlf(box: Box) -> None:
    box.spool.write_bytes(mail("one").replace(b"\n", b"\r\n") + mail("two").replace(b"\n", b"\r\n"))
    view = box.open()
    view.store(ALL, StoreOp.ADD, FlagSet(Flag.FLAGGED, frozenset(("Work",))))
    data = box.spool.read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n")
    assert [row[2:] for row in rows(box.open())] == [(Flag.FLAGGED, ("Work",))] * 2
    assert view.message(1).crlf() == b"Subject: one\r\n\r\nbody\r\n"  # type: ignore[arg-type]


def test_a_file_that_may_only_be_read() -> None:
    root = user_directory()

    def work() -> None:
        box = Box(root, mail("one", b"Message-ID: <1@x>\n") + mail("two", b"Message-ID: <2@x>\n"))
        box.spool.chmod(0o400)
        view = box.open()
        assert view.readonly and rows(view) == [(1, "one", 0, ()), (2, "two", 0, ())]
        with pytest.raises(UserError):
            view.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN))
        # Nothing can be written, so the index alone knows which UID is whose.
        box.spool.chmod(0o600)
        box.spool.write_bytes(mail("two", b"Message-ID: <2@x>\n") + mail("three", b"Message-ID: <3@x>\n"))
        box.spool.chmod(0o400)
        assert rows(box.open()) == [(2, "two", 0, ()), (3, "three", 0, ())]

    try:
        as_ordinary_user(work)
    finally:
        shutil.rmtree(root)


def test_a_session_is_woken_by_mail_and_by_flags_but_not_by_itself(box: Box) -> None:
    box.spool.write_bytes(mail("one"))
    view = box.open()
    fd = view.watch()
    assert fd is not None
    view.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN))
    view.sync()
    assert not view.drain_watch()
    with box.spool.open("ab") as spool:
        spool.write(mail("two"))
    assert select.select([fd], [], [], 5)[0]
    assert view.drain_watch() and view.sync().exists == 2
    # Another program puts a new file in its place.
    copy = box.root / "copy"
    copy.write_bytes(box.spool.read_bytes() + mail("three"))
    os.rename(copy, box.spool)
    assert select.select([fd], [], [], 5)[0]
    assert view.drain_watch() and view.sync().exists == 3
    view.drain_watch()
    with box.spool.open("ab") as spool:
        spool.write(mail("four"))
    assert select.select([fd], [], [], 5)[0]
    assert view.drain_watch() and view.sync().exists == 4
    view.close()


def test_names_that_others_would_take_for_something_else(box: Box) -> None:
    store = box.store()
    for name in ("a.lock", ".imap", ".subscriptions", "x/y.lock"):
        with pytest.raises(UserError, match="reserved name"):
            store.create(name)
    store.create("a")
    with pytest.raises(UserError, match="doesn't allow inferior mailboxes"):
        store.create("a/b")
    (box.root / "mail/a.lock").touch()
    assert [entry.name for entry in store.list(["*"])] == ["a", "INBOX"]


def test_detection(tmp_path: Path) -> None:
    spool = tmp_path / "var"
    spool.mkdir()
    with pytest.raises(InternalError):
        detect(str(tmp_path), "alice", [str(spool)])
    (tmp_path / "Mail").mkdir()
    (tmp_path / "Mail/mbox").touch()
    found = detect(str(tmp_path), "alice", [str(spool)])
    assert (found.driver, found.root, found.key("INBOX")) == ("mbox", f"{tmp_path}/Mail", "")
    (spool / "alice").touch()
    (tmp_path / "mail/.imap").mkdir(parents=True)
    found = detect(str(tmp_path), "alice", [str(tmp_path / "none"), str(spool)])
    assert (found.driver, found.root, found.key("INBOX")) == ("mbox", f"{tmp_path}/mail", f"{spool}/alice")
    (tmp_path / "Maildir/cur").mkdir(parents=True)
    assert detect(str(tmp_path), "alice", [str(spool)]).driver == "maildir"


def names(store: UserStore) -> list[tuple[str, bool]]:
    return [(entry.name, entry.selectable) for entry in store.list(["*"])]


def at(root: Path, form: str) -> UserStore:
    location = f"mbox:{root}/mail:INBOX={root}/in/box{form}"
    view = MemoryView({"mail_location": location, "mail_fsync": "never"}, NamespaceSettings(inbox=True))
    return open_store(StorageUser("alice", str(root)), view)


def test_mailboxes_below_mailboxes(tmp_path: Path) -> None:
    """DIRNAME: each is a file in a directory of its own."""
    store = at(tmp_path, ":DIRNAME=mail")
    for name in ("a", "a/b", "a.b", "x.lock", "c/d"):
        store.create(name)
    assert (tmp_path / "mail/a/mail").is_file() and (tmp_path / "mail/a/b/mail").is_file()
    with pytest.raises(UserError, match="reserved name"):
        store.create("a/mail")
    save = store.save("a/b")
    save.begin(FlagSet(), None)
    save.write(b"a: b\r\n\r\nx\r\n")
    save.finish()
    save.commit()
    store.rename("a", "e/f")
    assert store.status("e/f/b").messages == 1
    assert [pair for pair in names(store) if pair[0][0] in "ec"] == [
        ("c", False), ("c/d", True), ("e", False), ("e/f", True), ("e/f/b", True),
    ]  # fmt: skip
    store.delete("e/f")
    assert ("e/f", False) in names(store) and ("e/f/b", True) in names(store)
    store.delete("e/f/b")
    assert not (tmp_path / "mail/e/f/b").exists()


def test_no_names_without_a_mailbox(tmp_path: Path) -> None:
    store = at(tmp_path, ":NO-NOSELECT")
    store.create("a/")
    assert (tmp_path / "mail/a").is_file()
    store.create("b/c/d")
    store.delete("b/c/d")
    assert [name for name, _ in names(store)] == ["a", "INBOX"] and not (tmp_path / "mail/b").exists()


def test_a_directory_is_no_mailbox(tmp_path: Path) -> None:
    store = at(tmp_path, "")
    store.create("a/b")
    for attempt in (store.open, store.status, store.save):
        with pytest.raises(UserError, match=r"^Mailbox isn't selectable$"):
            attempt("a")
    (entry,) = [entry for entry in store.list(["a"])]
    assert entry.node and not entry.selectable


def test_the_directory_of_an_inbox_is_made(tmp_path: Path) -> None:
    store = at(tmp_path, "")
    assert store.status("INBOX").messages == 0
    assert (tmp_path / "in/box").is_file()

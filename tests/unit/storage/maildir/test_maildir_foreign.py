"""What other programs do to a Maildir: deliver, rename, delete, copy files, lose or break ours."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, ExpungedError, MailboxGoneError
from pydovecot.storage.drivers.maildir import folder as folder_module
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.contract.storage.helpers import ALL, append, flags, seqs, system
from tests.support.storage_check import check_store

OpenStore = Callable[[], UserStore]
TEXT = b"Subject: foreign\n\nbody\n"


def in_order(maildir: Path) -> list[str]:
    """Files of cur as they were made: as texts, M99999P comes after M100000P."""
    numbers = re.compile(r"\d+")
    return sorted(os.listdir(maildir / "cur"), key=lambda name: list(map(int, numbers.findall(name)[:2])))


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    root = tmp_path / "Maildir"
    for name in ("cur", "new", "tmp"):
        (root / name).mkdir(parents=True)
    return root


@pytest.fixture
def open_one(maildir: Path) -> Iterator[OpenStore]:
    stores: list[UserStore] = []

    def open_it() -> UserStore:
        settings = MemoryView({"mail_location": f"maildir:{maildir}"}, NamespaceSettings(inbox=True))
        stores.append(open_store(StorageUser("u"), settings))
        return stores[-1]

    yield open_it
    check_store(open_it())
    for store in stores:
        store.close()


@pytest.fixture
def store(open_one: OpenStore) -> UserStore:
    return open_one()


def deliver(maildir: Path, name: str, folder: str = "new", text: bytes = TEXT) -> Path:
    path = maildir / folder / name
    path.write_bytes(text)
    return path


def uidlist(maildir: Path) -> list[str]:
    return (maildir / "dovecot-uidlist").read_text().splitlines()[1:]


def test_new_mail_is_numbered_by_arrival_and_moved_to_cur(maildir: Path, store: UserStore) -> None:
    deliver(maildir, "1700000002.M5P1.host")
    deliver(maildir, "1700000001.M20P1.host,S=23,W=26")
    deliver(maildir, "1700000001.M3P1.host")
    assert store.status("INBOX").recent == 3
    assert len(os.listdir(maildir / "new")) == 3
    assert uidlist(maildir) == [
        "1 :1700000001.M3P1.host",
        "2 :1700000001.M20P1.host,S=23,W=26",
        "3 :1700000002.M5P1.host",
    ]
    view = store.open("INBOX")
    assert view.recent == 3
    assert sorted(os.listdir(maildir / "cur"))[0] == "1700000001.M20P1.host,S=23,W=26:2,"
    assert os.listdir(maildir / "new") == []
    assert [row[0] for row in view.rows(ALL, (Column.SIZE,))] == [26, 26, 26]


def test_examine_and_pop3_leave_mail_in_new(maildir: Path, store: UserStore) -> None:
    deliver(maildir, "1.a")
    assert store.open("INBOX", readonly=True).recent == 1
    assert store.open("INBOX", keep_recent=True).recent == 1
    assert os.listdir(maildir / "new") == ["1.a"]
    view = store.open("INBOX", keep_recent=True)
    view.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN))
    assert os.listdir(maildir / "cur") == ["1.a:2,S"]
    assert view.message(1).stored() == TEXT


def test_recent_is_what_nobody_has_numbered(maildir: Path, store: UserStore) -> None:
    deliver(maildir, "1.a:2,FS", "cur")
    deliver(maildir, "2.b", "cur")
    (maildir / "dovecot-uidlist").write_text("3 V5 N9 G" + "b" * 32 + "\n4 :1.a\n")
    view = store.open("INBOX")
    assert (view.recent, flags(view)) == (1, [b"\\Flagged \\Seen", b"\\Recent"])
    assert (maildir / "cur" / "2.b").exists()


@pytest.mark.parametrize("rewrite", [False, True])
def test_new_uid_in_the_uidlist_is_followed(maildir: Path, store: UserStore, rewrite: bool) -> None:
    append(store, count=3, system=Flag.SEEN)
    view = store.open("INBOX")
    path = maildir / "dovecot-uidlist"
    lines = path.read_text().splitlines(keepends=True)
    again = "9 " + lines[2].partition(" ")[2]
    if rewrite:
        path.unlink()
        path.write_text(lines[0] + lines[1] + lines[3] + again)
    else:
        path.write_text("".join([*lines[:2], lines[3], again]))
    changes = view.sync()
    assert (list(changes.expunged_uids), changes.exists) == ([2], 3)
    assert system(view) == {1: Flag.SEEN, 3: Flag.SEEN, 9: Flag.SEEN}
    assert append(store) == [10]


def test_renames_of_others_show_at_the_next_sync(maildir: Path, store: UserStore) -> None:
    append(store, count=3, keywords=["k"])
    view = store.open("INBOX")
    files = in_order(maildir)
    (maildir / "cur" / files[1]).rename(maildir / "cur" / files[1].replace(":2,a", ":2,FPSa"))
    assert list(view.sync().changed) == [2]
    assert flags(view)[1] == b"\\Flagged \\Seen \\Recent k"
    view.store(ALL, StoreOp.ADD, FlagSet(Flag.ANSWERED))
    # P (passed) is nobody's flag here: it stays.
    assert in_order(maildir)[1].endswith(":2,FPRSa")


def test_rename_between_listing_and_ours(maildir: Path, store: UserStore) -> None:
    append(store, system=Flag.SEEN)
    view = store.open("INBOX")
    (path,) = (maildir / "cur").iterdir()
    path.rename(path.with_name(path.name.replace(":2,S", ":2,FS")))
    result = view.store(ALL, StoreOp.ADD, FlagSet(Flag.DRAFT))
    assert result.changed == seqs(1)
    assert system(view) == {1: Flag.FLAGGED | Flag.SEEN | Flag.DRAFT}
    assert os.listdir(maildir / "cur")[0].endswith(":2,DFS")


def test_delete_by_others(maildir: Path, store: UserStore) -> None:
    append(store, count=3)
    view = store.open("INBOX")
    (maildir / "cur" / in_order(maildir)[1]).unlink()
    with pytest.raises(ExpungedError):
        view.message(2)
    assert view.store(ALL, StoreOp.ADD, FlagSet(Flag.SEEN)).gone
    assert list(view.sync().expunged) == [2]
    assert system(view) == {1: Flag.SEEN, 3: Flag.SEEN}


def test_message_renamed_while_it_is_read(maildir: Path, store: UserStore) -> None:
    append(store)
    view = store.open("INBOX")
    (path,) = (maildir / "cur").iterdir()
    path.rename(path.with_name(path.name + "T"))
    assert view.message(1).stored().startswith(b"From: a@example.org\n")
    with pytest.raises(ExpungedError):
        (path.with_name(path.name + "T")).unlink()
        view.message(1)


def test_undeleted_meanwhile_is_not_expunged(maildir: Path, store: UserStore) -> None:
    append(store, system=Flag.DELETED)
    view = store.open("INBOX")
    (path,) = (maildir / "cur").iterdir()
    path.rename(path.with_name(path.name.replace("T", "S")))
    view.expunge()
    changes = view.sync()
    assert (list(changes.expunged), list(changes.changed)) == ([], [1])
    assert system(view) == {1: Flag.SEEN}


def test_two_files_of_one_base_become_two_messages(maildir: Path, store: UserStore) -> None:
    deliver(maildir, "1.a:2,S", "cur")
    store.open("INBOX").close()
    deliver(maildir, "1.a", "new", b"Subject: another\n\n")
    view = store.open("INBOX")
    assert list(view.uids) == [1, 2]
    assert {view.message(1).stored(), view.message(2).stored()} == {TEXT, b"Subject: another\n\n"}


def test_hard_link_of_a_message_is_the_same_message(maildir: Path, store: UserStore) -> None:
    path = deliver(maildir, "1.a:2,", "cur")
    view = store.open("INBOX")
    os.link(path, maildir / "new" / "1.a")
    assert view.sync().exists is None
    (maildir / "new" / "1.a").unlink()
    view.sync()
    assert list(view.uids) == [1]


def test_message_that_comes_back_gets_a_new_uid(maildir: Path, tmp_path: Path, store: UserStore) -> None:
    append(store, count=2)
    view = store.open("INBOX")
    path = maildir / "cur" / in_order(maildir)[0]
    path.rename(tmp_path / path.name)
    assert list(view.sync().expunged) == [1]
    (tmp_path / path.name).rename(path)
    assert view.sync().exists == 2
    assert list(view.uids) == [2, 3]


@pytest.mark.parametrize(
    "name",
    ["x", "1.a,S=,W=:2,S", "1.a,S=99999999999999999999", "1:1,abc", "1.ü:2,S", "a b:2,", "1.caf\udce9:2,"],
)
def test_odd_names(maildir: Path, store: UserStore, name: str) -> None:
    deliver(maildir, name, "cur")
    view = store.open("INBOX")
    view.store(ALL, StoreOp.ADD, FlagSet(Flag.FLAGGED))
    view.sync()
    assert system(view)[1] & Flag.FLAGGED
    assert view.message(1).stored() == TEXT
    assert list(view.rows(ALL, (Column.SIZE,))) in ([(26,)], [(99999999999999999999,)])


def test_hidden_files_and_names_with_newlines_are_no_messages(maildir: Path, store: UserStore) -> None:
    deliver(maildir, ".lock", "cur")
    deliver(maildir, "a\nb", "new")
    view = store.open("INBOX")
    assert len(view.uids) == 0
    (maildir / "cur" / ".lock").unlink()
    (maildir / "new" / "a\nb").unlink()
    view.sync()


def test_wrong_size_in_the_name_is_corrected_by_reading(maildir: Path, store: UserStore) -> None:
    deliver(maildir, "1.a,S=5,W=7:2,", "cur")
    view = store.open("INBOX")
    assert list(view.rows(ALL, (Column.SIZE, Column.PHYSICAL_SIZE))) == [(7, 5)]
    view.message(1)
    assert list(view.rows(ALL, (Column.SIZE, Column.PHYSICAL_SIZE))) == [(26, 23)]


@pytest.mark.parametrize(
    "lost", ["index", "uidlist", "both index files", "broken index", "broken uidlist tail"]
)
def test_lost_or_broken_files_change_no_uid(maildir: Path, open_one: OpenStore, lost: str) -> None:
    store = open_one()
    append(store, count=5, system=Flag.SEEN, keywords=["k"])
    view = store.open("INBOX")
    view.expunge_seqs(seqs(2))
    view.sync()
    before = (list(view.uids), flags(view), view.uidvalidity, view.uidnext)
    view.close()
    store.close()
    index = maildir / "pydovecot.index"
    if lost == "uidlist":
        (maildir / "dovecot-uidlist").unlink()
    elif lost == "broken index":
        index.write_bytes(b"no database" * 1000)
    elif lost == "broken uidlist tail":
        with open(maildir / "dovecot-uidlist", "ab") as stream:
            stream.write(b"7 :half a li")
    else:
        for path in maildir.glob("pydovecot.index*"):
            path.unlink()
    view = open_one().open("INBOX")
    assert (list(view.uids), [f.replace(b" \\Recent", b"") for f in flags(view)]) == (
        before[0],
        [f.replace(b" \\Recent", b"") for f in before[1]],
    )
    assert (view.uidvalidity, view.uidnext) == before[2:]


def test_index_deleted_under_an_open_view(maildir: Path, store: UserStore) -> None:
    append(store, count=3)
    view = store.open("INBOX")
    for path in maildir.glob("pydovecot.index*"):
        path.unlink()
    append(store)
    changes = view.sync()
    assert changes.exists == 4
    assert list(view.uids) == [1, 2, 3, 4]


def test_rebuilt_index_has_a_higher_modseq(maildir: Path, open_one: OpenStore) -> None:
    store = open_one()
    append(store, count=3)
    view = store.open("INBOX")
    for flag in (Flag.SEEN, Flag.FLAGGED):
        view.store(ALL, StoreOp.ADD, FlagSet(flag))
    known = view.sync().highest_modseq
    store.close()
    for path in maildir.glob("pydovecot.index*"):
        path.unlink()
    view = open_one().open("INBOX")
    assert view.highest_modseq > known
    assert len(view.changed_since(known)) == 3
    assert list(view.vanished_since(known)) == []


def test_new_uidvalidity_ends_the_view(maildir: Path, store: UserStore) -> None:
    append(store, count=2)
    view = store.open("INBOX")
    lines = (maildir / "dovecot-uidlist").read_text().splitlines()
    lines[0] = "3 V99 N9 G" + "a" * 32
    lines[1] = "7 :" + lines[1].partition(":")[2]
    lines[2] = "8 :" + lines[2].partition(":")[2]
    (maildir / "dovecot-uidlist").write_text("\n".join(lines) + "\n")
    with pytest.raises(MailboxGoneError):
        view.sync()
    again = store.open("INBOX")
    assert (again.uidvalidity, list(again.uids), again.guid) == (99, [7, 8], "a" * 32)


def test_courier_uidlist_is_taken_over(maildir: Path, store: UserStore) -> None:
    deliver(maildir, "1.a:2,S", "cur")
    deliver(maildir, "2.b:2,", "cur")
    (maildir / "dovecot-uidlist").write_text("1 1234567 10\n3 1.a\n7 2.b\n")
    view = store.open("INBOX")
    assert (view.uidvalidity, list(view.uids), view.uidnext) == (1234567, [3, 7], 10)
    assert (maildir / "dovecot-uidlist").read_text().startswith("3 V1234567 N10 G")


def test_uidlist_extensions(maildir: Path, store: UserStore) -> None:
    deliver(maildir, "1.a:2,S", "cur")
    deliver(maildir, "2.b:2,", "cur")
    (maildir / "dovecot-uidlist").write_text(
        "3 V5 N9 G" + "b" * 32 + "\n4 W77 Gguid-of-a Puidl-of-a :1.a\n5 O3 :2.b\n"
    )
    view = store.open("INBOX")
    assert list(view.rows(ALL, (Column.UID, Column.SIZE, Column.GUID, Column.POP3_UIDL))) == [
        (4, 77, "guid-of-a", "uidl-of-a"),
        (5, 26, "2.b", ""),
    ]
    view.save_pop3_uidl([(view.uids[1], "new")])
    assert uidlist(maildir) == ["4 W77 Gguid-of-a Puidl-of-a :1.a", "5 O3 Pnew :2.b"]


def test_keywords_file_of_others(maildir: Path, store: UserStore) -> None:
    deliver(maildir, "1.a:2,Sac", "cur")
    deliver(maildir, "2.b:2,z", "cur")
    (maildir / "dovecot-keywords").write_text("0 Junk\n2 Work\nnonsense\n99 no\n")
    view = store.open("INBOX")
    assert flags(view) == [b"\\Seen \\Recent Junk Work", b"\\Recent"]
    view.store(ALL, StoreOp.ADD, FlagSet(Flag(0), frozenset(["fresh"])))
    assert flags(view) == [b"\\Seen \\Recent Junk Work fresh", b"\\Recent fresh"]
    assert (maildir / "dovecot-keywords").read_text() == "0 Junk\n2 Work\n3 fresh\n"
    assert sorted(os.listdir(maildir / "cur")) == ["1.a:2,Sacd", "2.b:2,dz"]


def test_more_keywords_than_letters_live_in_the_index(maildir: Path, open_one: OpenStore) -> None:
    store = open_one()
    append(store)
    view = store.open("INBOX")
    names = [f"k{n:02}" for n in range(40)]
    view.store(ALL, StoreOp.ADD, FlagSet(Flag(0), frozenset(names)))
    assert set(next(iter(view.rows(ALL, (Column.KEYWORDS,))))[0]) == set(names)  # type: ignore[arg-type]
    (path,) = (maildir / "cur").iterdir()
    assert path.name.endswith(":2,abcdefghijklmnopqrstuvwxyz")
    path.rename(path.with_name(path.name.replace(":2,a", ":2,S")))
    again = open_one().open("INBOX")
    ((system_flags, keywords),) = again.rows(ALL, (Column.SYSTEM_FLAGS, Column.KEYWORDS))
    assert system_flags == Flag.SEEN
    assert set(keywords) == set(names) - {"k00"}  # type: ignore[call-overload]


def test_unchanged_maildir_is_not_read_again(
    maildir: Path, open_one: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        deliver(maildir, f"{number}.a,S=23,W=26:2,S", "cur")
    past = time.time() - 100
    os.utime(maildir / "cur", (past, past))
    os.utime(maildir / "new", (past, past))
    open_one().open("INBOX").close()

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the directory is read")

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    view = open_one().open("INBOX", keep_recent=True)
    assert len(list(view.rows(ALL, (Column.FLAGS, Column.SIZE)))) == 20
    view.sync()


def test_listing_reads_no_message(maildir: Path, store: UserStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        deliver(maildir, f"{number}.a,S=23,W=26:2,S", "cur")

    def refuse(path: str) -> bytes:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(folder_module, "_read_all", refuse)
    monkeypatch.setattr(folder_module, "_read_header", refuse)
    view = store.open("INBOX")
    columns = (Column.UID, Column.FLAGS, Column.SIZE, Column.RECEIVED, Column.MODSEQ, Column.GUID)
    assert len(list(view.rows(ALL, columns))) == 50
    assert store.status("INBOX", size=True).size == 50 * 26


def test_missing_subdirectories_are_made(maildir: Path, store: UserStore) -> None:
    shutil.rmtree(maildir / "tmp")
    shutil.rmtree(maildir / "new")
    append(store)
    assert len(store.open("INBOX").uids) == 1


def test_leftovers_in_tmp_are_removed_after_36_hours(maildir: Path, store: UserStore) -> None:
    old, young = maildir / "tmp" / "old", maildir / "tmp" / "young"
    for path, age in ((old, 40 * 3600), (young, 3600)):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age, time.time() - age))
    past = time.time() - 30 * 86400
    os.utime(maildir / "tmp", (past, past))
    store.open("INBOX").close()
    assert young.exists()


def test_maildirsize_is_kept_up_to_date(maildir: Path, store: UserStore) -> None:
    (maildir / "maildirsize").write_text("1000S\n0 0\n")
    append(store, count=2, text=b"a: b\r\n\r\n")
    store.open("INBOX").expunge_seqs(seqs(1))
    assert (maildir / "maildirsize").read_text() == "1000S\n0 0\n12 2\n-6 -1\n"


def test_old_uidlist_lines_go_when_most_messages_are_gone(maildir: Path, store: UserStore) -> None:
    append(store, count=300, text=b"x: y\r\n\r\n")
    view = store.open("INBOX")
    assert len(uidlist(maildir)) == 300
    view.expunge_seqs(seqs(*range(1, 201)))
    assert uidlist(maildir)[0].startswith("201 :")
    assert len(uidlist(maildir)) == 100
    assert (maildir / "dovecot-uidlist").read_text().split()[2] == "N301"


def test_modes_follow_the_root(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o750)
    settings = MemoryView({"mail_location": f"maildir:{root}"}, NamespaceSettings(inbox=True))
    store = open_store(StorageUser("u"), settings)
    store.create("Box")
    append(store, "Box")
    assert (root / ".Box").stat().st_mode & 0o777 == 0o750
    for name in ("dovecot-uidlist", "maildirfolder"):
        assert (root / ".Box" / name).stat().st_mode & 0o777 == 0o640
    (message,) = (root / ".Box" / "new").iterdir()
    assert message.stat().st_mode & 0o777 == 0o640
    assert (root / "pydovecot.index").stat().st_mode & 0o777 == 0o640
    store.close()

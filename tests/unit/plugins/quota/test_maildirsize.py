"""maildirsize as a file, and the backend that lives by it."""

import os
import time
from pathlib import Path

import pytest

from pydovecot.model.errors import UserError
from pydovecot.model.flags import NO_FLAGS, Flag, FlagSet, StoreOp
from pydovecot.model.seqset import SeqSet
from pydovecot.plugins.quota import maildirsize
from pydovecot.plugins.quota.maildirsize import Content, format_whole, parse, parse_limits
from pydovecot.plugins.quota.rules import Limits
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

PLAIN = FlagSet(NO_FLAGS, frozenset())
ALL = SeqSet(((1, 0xFFFFFFFF),))


@pytest.mark.parametrize(
    ("text", "limits", "good"),
    [
        ("1000S,10C", Limits(1000, 10), True),
        ("10C", Limits(0, 10), True),
        ("0S", Limits(), True),
        ("1000S,5X", Limits(1000), False),
        ("1000", Limits(), False),
        ("99999999999999999999S", Limits((1 << 63) - 1), True),
    ],
)
def test_limits(text: str, limits: Limits, good: bool) -> None:
    assert parse_limits(text) == (limits, good)


@pytest.mark.parametrize(
    ("data", "used"),
    [
        (b"1000S\n100 1\n50 1\n-100 -1\n", Limits(50, 1)),
        (b"1000S\n100 1\n50 1\n-100", Limits(150, 2)),  # a line that is being written does not count
        (b"1000S\n", Limits()),
        (b"1000S\n100 1\n-200 -1\n", None),
        (b"1000S\n100 1\nx\n", None),
        (b"1000S\n" + b"1 1\n" * 2000, None),  # too long: count again
    ],
)
def test_parse(data: bytes, used: Limits | None) -> None:
    content = parse(data, 0.0)
    assert content is not None
    assert (content.limits, content.used) == (Limits(1000), used)


@pytest.mark.parametrize("data", [b"", b"1000S", b"10\x0000S\n1 1\n"])
def test_no_content_at_all(data: bytes) -> None:
    assert parse(data, 0.0) is None


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        (Limits(1000, 5), b"1000S,5C"),
        (Limits(0, 5), b"5C"),
        (Limits(1000), b"1000S"),
        (Limits(), b"0S"),
    ],
)
def test_format(limits: Limits, line: bytes) -> None:
    assert format_whole(limits, Limits(7, 3)) == line + b"\n7 3\n"


def test_beyond_the_limit_is_believed_only_soon_after_counting() -> None:
    limits, now = Limits(100), 10000.0
    assert not maildirsize.is_stale(Content(limits, Limits(100, 1), 5, 0.0), limits, now)
    assert not maildirsize.is_stale(Content(limits, Limits(101, 1), 1, now - 800), limits, now)
    assert maildirsize.is_stale(Content(limits, Limits(101, 1), 1, now - 1000), limits, now)
    assert maildirsize.is_stale(Content(limits, Limits(101, 1), 2, now), limits, now)


def store(root: Path, **plugin: str) -> UserStore:
    settings = {"quota": "maildir:User quota", "quota_rule": "*:bytes=1000", **plugin}
    view = MemoryView(
        {"mail_location": f"maildir:{root}", "mail_plugins": "quota"},
        NamespaceSettings(section_name="inbox", inbox=True),
        plugin=settings,
    )
    return open_store(StorageUser("alice", str(root.parent)), view)


def deliver(mails: UserStore, octets: int, name: str = "INBOX") -> None:
    save = mails.save(name)
    try:
        save.begin(PLAIN, None)
        save.write(b"x" * octets)
        save.finish()
        save.commit()
    except BaseException:
        save.rollback()
        raise


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "Maildir"


def lines(root: Path) -> list[str]:
    return (root / "maildirsize").read_text().splitlines()


def test_every_change_is_a_line(root: Path) -> None:
    mails = store(root)
    mails.create("Trash")
    deliver(mails, 400)
    deliver(mails, 100)
    view = mails.open("INBOX")
    view.copy(SeqSet.of([2]), "Trash")
    view.move(SeqSet.of([2]), "Trash")  # nothing becomes more or less
    view.store(SeqSet.of([1]), StoreOp.ADD, FlagSet(Flag.DELETED, frozenset()))
    view.expunge()
    view.close()
    assert lines(root) == ["1000S", "0 0", "400 1", "100 1", "100 1", "-400 -1"]
    assert (root / "maildirsize").stat().st_mode & 0o777 == 0o600
    mails.delete("Trash")
    assert lines(root)[-1] == "-200 -2"
    mails.close()


def test_a_replaced_message_and_its_successor_are_one_line(root: Path) -> None:
    mails = store(root)
    deliver(mails, 400)
    view = mails.open("INBOX")
    save = mails.save("INBOX")
    save.begin(PLAIN, None)
    save.write(b"y" * 300)
    save.finish()
    view.replace(1, save)  # type: ignore[arg-type]
    view.close()
    assert lines(root) == ["1000S", "0 0", "400 1", "-100 0"]
    mails.close()


def test_who_is_refused_leaves_nothing(root: Path) -> None:
    mails = store(root)
    deliver(mails, 900)
    with pytest.raises(UserError, match="Quota exceeded"):
        deliver(mails, 101)
    assert not list((root / "tmp").iterdir())
    assert len(list((root / "new").iterdir())) == 1
    assert lines(root) == ["1000S", "0 0", "900 1"]
    mails.close()


def test_the_file_is_made_anew_when_the_limit_is_another(root: Path) -> None:
    mails = store(root)
    deliver(mails, 400)
    deliver(mails, 400)
    mails.close()
    mails = store(root, quota_rule="*:bytes=2000:messages=10")
    deliver(mails, 10)
    assert lines(root) == ["2000S,10C", "800 2", "10 1"]
    mails.close()


def test_limits_of_the_file_go_before_a_question_mark(root: Path) -> None:
    root.mkdir()
    (root / "maildirsize").write_text("500S\n0 0\n")
    mails = store(root, quota_rule="?:bytes=2000")
    deliver(mails, 400)
    with pytest.raises(UserError, match="Quota exceeded"):
        deliver(mails, 101)
    assert lines(root) == ["500S", "0 0", "400 1"]
    mails.close()


def test_wrong_numbers_beyond_the_limit_are_counted_again(root: Path) -> None:
    mails = store(root)
    deliver(mails, 100)
    path = root / "maildirsize"
    with path.open("a") as file:
        file.write("5000 1\n")
    deliver(mails, 100)
    assert lines(root) == ["1000S", "100 1", "100 1"]
    path.write_text("1000S\n5000 1\n")
    with pytest.raises(UserError):  # somebody has just counted that
        deliver(mails, 100)
    os.utime(path, (time.time() - 1000,) * 2)
    deliver(mails, 100)
    assert lines(root) == ["1000S", "200 2", "100 1"]
    mails.close()


def test_what_is_ignored_is_not_counted(root: Path) -> None:
    mails = store(root, quota_rule2="Free:ignore")
    mails.create("Free")
    deliver(mails, 5000, "Free")
    deliver(mails, 100)
    assert lines(root) == ["1000S", "0 0", "100 1"]
    view = mails.open("INBOX")
    view.move(ALL, "Free")
    view.close()
    assert lines(root) == ["1000S", "0 0", "100 1", "-100 -1"]
    mails.close()


def test_without_the_plugin_there_is_no_file(root: Path) -> None:
    view = MemoryView({"mail_location": f"maildir:{root}"}, NamespaceSettings(section_name="x", inbox=True))
    mails = open_store(StorageUser("alice", str(root.parent)), view)
    deliver(mails, 5000)
    mails.close()
    assert not (root / "maildirsize").exists()

"""The subscriptions file in both versions."""

from pathlib import Path

import pytest

from pydovecot.storage.list.subscriptions import Subscriptions


def test_new_file_is_version_2(tmp_path: Path) -> None:
    names = Subscriptions(str(tmp_path / "subscriptions"), ".")
    assert names.names() == []
    assert names.set("a.b", True) and names.set("ä", True) and not names.set("ä", True)
    assert (tmp_path / "subscriptions").read_bytes() == b"V\t2\n\na\tb\n&AOQ-\n"
    assert names.set("a.b", False) and not names.set("a.b", False)
    assert names.names() == ["ä"]


def test_version_1_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "subscriptions"
    path.write_bytes(b"foo.bar\n\nTrash\nTrash\n&AOQ-\n")
    names = Subscriptions(str(path), ".")
    assert names.names() == ["foo.bar", "Trash", "ä"]
    names.set("x", True)
    assert path.read_bytes() == b"foo.bar\nTrash\n&AOQ-\nx\n"


def test_changes_of_others_are_seen(tmp_path: Path) -> None:
    one, two = (Subscriptions(str(tmp_path / "subscriptions"), "/") for _ in range(2))
    one.set("a", True)
    assert two.names() == ["a"]
    two.set("b/c", True)
    assert one.names() == ["a", "b/c"]
    assert one.set("a", False)
    assert two.names() == ["b/c"]


@pytest.mark.parametrize("data", [b"V\t2", b"V\t2\n\n&bad\n\xff\n\ta\n", b"\0\1\n", b"V\t3\nx"])
def test_broken_files_are_survived(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "subscriptions").write_bytes(data)
    names = Subscriptions(str(tmp_path / "subscriptions"), ".")
    assert isinstance(list(names.names()), list)
    assert names.set("new", True)
    assert "new" in names.names()

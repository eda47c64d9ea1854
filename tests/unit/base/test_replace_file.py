"""Files change all at once or not at all."""

from pathlib import Path

import pytest

from pydovecot.base.rawname import raw, shown, shown_all
from pydovecot.base.replace_file import replace_file


def test_new_content_with_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replace_file(str(path), mode=0o640, fsync=True) as out:
        out.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replace_file(str(path)) as out:
        out.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_names_that_are_no_utf8_are_text_and_back() -> None:
    name = b"caf\xe9-\xc3\xbc".decode("utf-8", "surrogateescape")
    assert shown(name).encode() == "caf\uf7e9-ü".encode()
    assert raw(shown(name)) == name
    assert shown_all(["a", name]) == ["a", shown(name)]
    plain = ["a", "b"]
    assert shown_all(plain) is plain

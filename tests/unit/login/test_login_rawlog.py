"""Lines of the raw log, however they come in."""

import re
from pathlib import Path

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.login.rawlog import RawLog


@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        ([b"a\r\n"], "| a\r\n"),
        ([b"a", b"b\n"], "| ab\n"),
        ([b"a\nb\n", b"c"], "| a\n| b\n| c\n"),
        ([b"a\nb", b"c\nd\n"], "| a\n| bc\n| d\n"),
        ([b"a", b"b", b"\n", b"\n"], "| ab\n| \n"),
        ([b"a", b"b"], "| ab\n"),
    ],
)
def test_lines(tmp_path: Path, pieces: list[bytes], want: str) -> None:
    log = RawLog(str(tmp_path), Event(ListSink()))
    assert log
    for piece in pieces:
        log.went(piece)
    log.close()
    log.went(b"later")
    (out,) = tmp_path.glob("*.out")
    text = out.read_bytes().decode()
    assert re.sub(r"^\d+\.\d{6} ", "| ", text, flags=re.MULTILINE) == want


def test_no_directory_no_log(tmp_path: Path) -> None:
    sink = ListSink()
    for directory in ("", str(tmp_path / "none")):
        log = RawLog(directory, Event(sink))
        assert not log
        log.came(b"x")
        log.close()
    assert not sink.lines and not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_made_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda _form: "no/such")
    sink = ListSink()
    log = RawLog(str(tmp_path), Event(sink))
    assert not log
    assert len(sink.lines) == 1
    assert re.search(r"no/such\.\d+\.\d+\.in\) failed: No such file or directory", str(sink.lines))

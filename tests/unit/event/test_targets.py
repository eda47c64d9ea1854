"""Where log lines end."""

import os
import re
import socket
from pathlib import Path

import pytest

from pydovecot.event import targets
from pydovecot.event.event import Level
from pydovecot.event.targets import LogTarget, SyslogTarget, close_targets, open_targets
from pydovecot.event.wire import Record


def line(level: Level, text: str) -> Record:
    return Record(level, 1, "imap(alice)<1><s>: ", text)


def test_levels_share_or_part_files(tmp_path: Path) -> None:
    paths = {"log_path": str(tmp_path / "all"), "debug_log_path": str(tmp_path / "debug")}
    opened = open_targets(LogTarget(**paths, log_timestamp="T "))
    for level in Level:
        opened[level].write(line(level, level.name))
    close_targets(opened)
    text = (tmp_path / "all").read_text()
    assert [row.split("<s>: ")[1] for row in text.splitlines()] == [
        "Info: INFO", "Warning: WARNING", "Error: ERROR", "Fatal: FATAL", "Panic: PANIC",
    ]  # fmt: skip
    assert (tmp_path / "debug").read_text() == "T imap(alice)<1><s>: Debug: DEBUG\n"
    assert (tmp_path / "all").stat().st_mode & 0o777 == 0o600


def test_reopen_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    opened = open_targets(LogTarget(log_path=str(folder / "log"), log_timestamp=""))
    folder.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        opened[Level.INFO].reopen()
    opened[Level.INFO].write(line(Level.INFO, "still"))
    close_targets(opened)
    assert (tmp_path / "moved/log").read_text() == "imap(alice)<1><s>: Info: still\n"


def test_a_full_disk_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    opened = open_targets(LogTarget(log_path="/dev/full", log_timestamp=""))
    opened[Level.ERROR].write(line(Level.ERROR, "lost?"))
    close_targets(opened)
    assert capfd.readouterr().err == "imap(alice)<1><s>: Error: lost?\n"


def test_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    opened = open_targets(LogTarget(log_path="/dev/stderr", log_timestamp="[%Y] "))
    opened[Level.INFO].write(line(Level.INFO, "x"))
    close_targets(opened)
    assert re.fullmatch(r"\[\d{4}\] imap\(alice\)<1><s>: Info: x\n", capfd.readouterr().err)


def test_syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "devlog")
    monkeypatch.setattr(targets, "SYSLOG_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        target = SyslogTarget("dovecot", "local3")
        target.write(line(Level.INFO, "hello"))
        target.write(line(Level.ERROR, "oops"))
        first, second = daemon.recv(1000).decode(), daemon.recv(1000).decode()
    pid = os.getpid()
    assert re.fullmatch(rf"<158>\w+ +\d+ [\d:]+ dovecot\[{pid}\]: imap\(alice\)<1><s>: hello", first)
    assert re.fullmatch(rf"<155>\w+ +\d+ [\d:]+ dovecot\[{pid}\]: imap\(alice\)<1><s>: Error: oops", second)
    os.unlink(path)
    target.write(line(Level.INFO, "the daemon is gone"))
    assert "the daemon is gone" in capfd.readouterr().err
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        target.write(line(Level.INFO, "it is back"))
        assert b"it is back" in daemon.recv(1000)
    target.close()

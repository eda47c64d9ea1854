"""The command itself: options, daemon mode, reload, stop, exit statuses as Dovecot's binary."""

import imaplib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot import __version__
from tests.support.echo_master import wait_until
from tests.support.serverconf import ServerDir, render

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[2]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pydovecot.cli.pydovecot", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def place() -> Iterator[ServerDir]:
    made = ServerDir.make()
    (made.root / "dovecot.conf").write_text(render(made, "mail_location = memory:\n"))
    yield made
    if (made.run / "master.pid").exists():
        command("-c", str(made.root / "dovecot.conf"), "stop")
    made.close()


def test_answers() -> None:
    assert command("--version").stdout == f"pydovecot {__version__}\n"
    assert command("--help").stdout.startswith("Usage: pydovecot [-F] [-c <config file>]")
    assert command("--build-options").stdout.startswith("Build options: python=3.")
    assert command("--hostdomain").stdout.strip()


def test_mistakes() -> None:
    unknown = command("-Z")
    assert (unknown.returncode, "Usage: pydovecot" in unknown.stderr) == (89, True)
    word = command("frobnicate")
    assert (word.returncode, "usage: doveadm" in word.stderr) == (64, True)
    missing = command("-F", "-c", "/no/such/file")
    assert missing.returncode == 89
    assert "/no/such/file" in missing.stderr
    assert "No such file or directory" in missing.stderr


def test_bad_configuration(place: ServerDir) -> None:
    conf = place.root / "bad.conf"
    conf.write_text("foo = bar\nmail_location maildir\nprotocols = imap\n")
    for words in ((), ("-F",), ("reload",), ("stop",), ("-n",)):
        done = command("-c", str(conf), *words)
        assert done.returncode == 89, words
        assert f"{conf} line 1: Unknown setting: foo" in done.stderr
        assert f"{conf} line 2" in done.stderr


def test_doveconf_options(place: ServerDir) -> None:
    conf = str(place.root / "dovecot.conf")
    assert f"base_dir = {place.run}\n" in command("-n", "-c", conf).stdout
    everything = command("-a", "-c", conf).stdout
    assert "auth_cache_size = 0\n" in everything
    assert len(everything.splitlines()) > 500


def test_not_running(place: ServerDir) -> None:
    for word in ("stop", "reload"):
        done = command("-c", str(place.root / "dovecot.conf"), word)
        assert done.returncode == 75
        assert done.stderr == f"Fatal: Dovecot is not running (read from {place.run}/master.pid)\n"


def test_daemon(place: ServerDir) -> None:
    conf = str(place.root / "dovecot.conf")
    started = command("-c", conf)
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    wait_until(lambda: (place.run / "master.pid").exists(), "the daemon")
    pid = int((place.run / "master.pid").read_text())
    assert os.getsid(pid) == pid
    with imaplib.IMAP4("127.0.0.1", place.imap, timeout=60) as client:
        client.login("alice", "wonder")
        again = command("-c", conf)
        assert again.returncode == 89
        assert again.stderr.startswith(f"Fatal: Dovecot is already running with PID {pid} (read from")
        assert command("-c", conf, "reload").returncode == 0
        wait_until(lambda: "SIGHUP received" in place.log_text(), "the reload")
        assert client.noop()[0] == "OK"
    assert command("-c", conf, "stop").returncode == 0
    assert not Path(f"/proc/{pid}").exists()
    assert not (place.run / "master.pid").exists()


def test_stop_without_the_certificate(place: ServerDir) -> None:
    conf = place.root / "dovecot.conf"
    text = conf.read_text()
    used = re.search(r"ssl_cert = <(\S+)", text)
    assert used is not None
    own = place.root / "own.pem"
    shutil.copy(used[1], own)
    conf.write_text(text.replace(f"ssl_cert = <{used[1]}", f"ssl_cert = <{own}"))
    assert command("-c", str(conf)).returncode == 0
    wait_until(lambda: (place.run / "master.pid").exists(), "the daemon")
    own.unlink()
    reload = command("-c", str(conf), "reload")
    assert reload.returncode == 89
    assert f"ssl_cert: Can't open file {own}" in reload.stderr
    assert command("-c", str(conf), "stop").returncode == 0
    assert not (place.run / "master.pid").exists()

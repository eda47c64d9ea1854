"""Debian's doveadm talks to our sockets as it does to Dovecot's: master, anvil, log, auth."""

import contextlib
import imaplib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import SBIN, dovecot_missing
from tests.support.echo_master import wait_until

pytestmark = [
    pytest.mark.compat,
    pytest.mark.process,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "-"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("mail_location = memory:\n") as running:
        yield running


def doveadm(cluster: Cluster, *args: str) -> list[list[str]]:
    """Lines of its answer, as words."""
    program = shutil.which("doveadm", path=SBIN)
    assert program
    command = [program, "-c", str(cluster.conf), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


@pytest.fixture
def alice(cluster: Cluster) -> Iterator[imaplib.IMAP4]:
    client = imaplib.IMAP4("127.0.0.1", cluster.imap, timeout=60)
    client.login("alice", "wonder")
    yield client
    with contextlib.suppress(OSError):
        client.shutdown()


def test_process_and_service_status(cluster: Cluster, alice: imaplib.IMAP4) -> None:
    rows = {row[0]: row[1:] for row in doveadm(cluster, "process", "status")}
    assert {"log", "config", "anvil", "auth", "imap"} <= set(rows)
    assert int(rows["imap"][0]) in cluster.pids("imap")
    assert rows["imap"][1:3] == ["0", "1"]
    status = dict((row[0].rstrip(":"), row[1]) for row in doveadm(cluster, "service", "status", "imap"))
    assert status["process_count"] == "1"
    assert status["process_limit"] == "1024"
    assert status["client_limit"] == "1"
    assert status["listening"] == "y"


def test_who(cluster: Cluster, alice: imaplib.IMAP4) -> None:
    def sessions() -> list[list[str]]:
        return [row for row in doveadm(cluster, "who")[1:] if row[0] == "alice"]

    wait_until(sessions, "anvil to know")
    (pid,) = cluster.pids("imap")
    assert sessions() == [["alice", "1", "imap", f"({pid})", "(127.0.0.1)"]]
    alice.logout()
    wait_until(lambda: not sessions(), "anvil to forget")


def test_penalty_after_wrong_passwords(cluster: Cluster) -> None:
    with imaplib.IMAP4("127.0.0.1", cluster.imap, timeout=60) as client, pytest.raises(imaplib.IMAP4.error):
        client.login("alice", "wrong")
    wait_until(lambda: "127.0.0.1" in [row[0] for row in doveadm(cluster, "penalty")], "the penalty")


def test_auth(cluster: Cluster) -> None:
    assert doveadm(cluster, "auth", "test", "alice", "wonder")[0][-2:] == ["auth", "succeeded"]
    assert ["uid", str(cluster.place.mail_uid)] in doveadm(cluster, "user", "alice")


def test_log(cluster: Cluster) -> None:
    doveadm(cluster, "log", "test")
    cluster.wait_log("This is Dovecot's error log")
    before = cluster.place.log.stat().st_ino
    cluster.place.log.rename(cluster.place.root / "log.old")
    doveadm(cluster, "log", "reopen")
    doveadm(cluster, "log", "errors")
    wait_until(lambda: cluster.place.log.exists(), "the new log")
    assert cluster.place.log.stat().st_ino != before


def test_reload_and_stop(cluster: Cluster) -> None:
    logs = cluster.pids("log")
    doveadm(cluster, "reload")
    wait_until(lambda: set(cluster.pids("log")) - set(logs), "a new generation")
    doveadm(cluster, "service", "stop", "pop3")
    status = dict((row[0].rstrip(":"), row[1]) for row in doveadm(cluster, "service", "status", "pop3"))
    assert status["doveadm_stop"] == "y"
    doveadm(cluster, "stop")
    assert not (cluster.place.run / "master.pid").exists()

"""IMAP sessions in the running process tree: titles, notification, disconnects, the end of the server."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster import REPOSITORY, Cluster
from tests.support.serverconf import PASSWORD

pytestmark = pytest.mark.process


class Client:
    """One plaintext session."""

    def __init__(self, port: int, user: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._buffer = b""
        self.until(b"ready.\r\n")
        self.ask(b"l LOGIN %b %b\r\n" % (user.encode(), PASSWORD.encode()), b"l OK")

    def until(self, end: bytes) -> bytes:
        """Everything up to the line that has `end` in it."""
        while (at := self._buffer.find(end)) < 0 or (stop := self._buffer.find(b"\n", at)) < 0:
            data = self.sock.recv(65536)
            assert data, f"closed after {self._buffer!r}"
            self._buffer += data
        said, self._buffer = self._buffer[: stop + 1], self._buffer[stop + 1 :]
        return said

    def ask(self, text: bytes, end: bytes) -> bytes:
        self.sock.sendall(text)
        return self.until(end)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("verbose_proctitle = yes\n") as running:
        yield running


def eventually(check: Callable[[], object], secs: float = 60) -> None:
    deadline = time.monotonic() + secs
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_titles_show_what_a_session_does(cluster: Cluster) -> None:
    client = Client(cluster.imap, "title-user")
    eventually(lambda: "pydovecot/imap [title-user 127.0.0.1]" in cluster.titles().values())
    client.ask(b"a SELECT INBOX\r\n", b"a OK")
    client.ask(b"b IDLE\r\n", b"+ idling")
    eventually(lambda: "pydovecot/imap [title-user 127.0.0.1 IDLE]" in cluster.titles().values())
    client.ask(b"DONE\r\n", b"b OK")
    eventually(lambda: "pydovecot/imap [title-user 127.0.0.1]" in cluster.titles().values())
    client.sock.close()


def test_idle_hears_of_another_session_and_of_a_delivery(cluster: Cluster) -> None:
    one, two = Client(cluster.imap, "idle-user"), Client(cluster.imap, "idle-user")
    one.ask(b"a SELECT INBOX\r\n", b"a OK")
    one.ask(b"b IDLE\r\n", b"+ idling")
    two.ask(b"c APPEND INBOX {5+}\r\nhello\r\n", b"c OK")
    assert b"* 1 EXISTS" in one.until(b"RECENT")
    maildir = cluster.place.maildir("idle-user")
    new = maildir / "tmp" / "1.2.host"
    new.write_bytes(b"Subject: x\n\nbody\n")
    cluster.place.give_to_mail_user(new)
    started = time.monotonic()
    new.rename(maildir / "new" / "1.2.host")
    assert b"* 2 EXISTS" in one.until(b"EXISTS")
    assert time.monotonic() - started < 25  # 50 ms on an idle machine; polling would be as slow as 30 s
    for client in (one, two):
        client.sock.close()


def test_a_client_that_leaves_in_append_leaves_nothing(cluster: Cluster) -> None:
    client = Client(cluster.imap, "append-user")
    client.sock.sendall(b"a APPEND INBOX {100000+}\r\n" + b"x" * 50000)
    time.sleep(0.3)
    client.sock.close()
    eventually(
        lambda: re.search(
            r"imap\(append-user\).*Disconnected: Connection closed .*APPEND", cluster.place.log_text()
        )
    )
    maildir = cluster.place.maildir("append-user")
    assert [path for part in ("cur", "new", "tmp") for path in (maildir / part).iterdir()] == []


def test_the_closing_line_counts(cluster: Cluster) -> None:
    client = Client(cluster.imap, "count-user")
    client.ask(b"a APPEND INBOX {5+}\r\nhello\r\nb SELECT INBOX\r\n", b"b OK")
    client.ask(b"c FETCH 1 BODY[]\r\nd STORE 1 +FLAGS (\\Deleted)\r\ne CLOSE\r\n", b"e OK")
    client.ask(b"f LOGOUT\r\n", b"f OK")
    client.sock.close()
    line = (
        r"imap\(count-user\)<\d+><[^>]+>: Info: Disconnected: Logged out in=\d+ out=\d+ deleted=1 expunged=1 "
    )
    eventually(
        lambda: re.search(
            line + "trashed=0 hdr_count=0 hdr_bytes=0 body_count=1 body_bytes=5", cluster.place.log_text()
        )
    )


def test_a_stopping_server_says_bye() -> None:
    with Cluster() as cluster:
        client = Client(cluster.imap, "bye-user")
        client.ask(b"a SELECT INBOX\r\nb IDLE\r\n", b"+ idling")
        cluster.stop()
        assert client.until(b"BYE") == b"* BYE Server shutting down.\r\n"
        client.sock.close()


def test_on_stdin_and_stdout(cluster: Cluster) -> None:
    """`libexec/imap` without a master: the debugger's front door."""
    cluster.place.home("joe").mkdir()
    cluster.place.give_to_mail_user(cluster.place.home("joe"))
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "libexec" / "imap"), "-c", str(cluster.conf), "-u", "joe"],
        input=b"a SELECT INBOX\r\nb APPEND INBOX {5}\r\nhello\r\nc LOGOUT\r\n",
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(b"* PREAUTH [CAPABILITY IMAP4rev1 ")
    assert b"] Logged in as joe\r\n" in done.stdout
    assert b"+ OK\r\n* 1 EXISTS\r\n" in done.stdout
    assert re.search(rb"c OK Logout completed \(0\.\d+ \+ 0\.\d+ secs\)\.\r\n\Z", done.stdout)
    assert b"Disconnected: Logged out in=" in done.stderr

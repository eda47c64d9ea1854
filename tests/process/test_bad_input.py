"""Bad input on every port and UNIX socket: what Dovecot answers, one line in the log, bounded memory."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.measure import pss_kib, settle
from tests.support.abuse import QUIET_SECS, Outcome, abuse, noise
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance
from tests.support.fixtures import Servers
from tests.support.server_under_test import server_under_test

pytestmark = pytest.mark.process

# Without the penalty of an address, which would add seconds to each failed login after the first.
CONF = """\
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""
LONG = b"A" * 100_000

# name: port, pieces (each sent after the answer to the one before)
CASES: dict[str, tuple[str, list[bytes]]] = {
    "imap: endless line": ("imap", [LONG]),
    "imap: long line": ("imap", [b"a NOOP " + LONG + b"\r\n"]),
    "imap: long argument": ("imap", [b"a LOGIN " + b"A" * 70_000 + b" x\r\n"]),
    "imap: huge literal": ("imap", [b"a LOGIN {999999999}\r\n"]),
    "imap: huge literal+": ("imap", [b"a LOGIN {999999999+}\r\n"]),
    "imap: literal above all numbers": ("imap", [b"a LOGIN {99999999999999999999999}\r\n"]),
    "imap: wrong password in literals": ("imap", [b"a LOGIN {4}\r\n", b"nobo {5}\r\n", b"wrong\r\n"]),
    "imap: wrong password": ("imap", [b"a LOGIN joe bad\r\n"]),
    "imap: noise": ("imap", [noise(1, 65_536)]),
    "imap: short noise": ("imap", [noise(2, 200) + b"\r\n"]),
    "imap: nul": ("imap", [b"a\0b LOGIN\r\n", b"a NO\0OP\r\n", b"\0\0\0\r\n"]),
    "imap: empty lines": ("imap", [b"\r\n\r\n\r\n\r\n\r\n"]),
    "imap: unknown commands": ("imap", [b"a FOO\r\n", b"b FETCH 1\r\n", b"c X\r\n"]),
    "imap: bad base64": ("imap", [b"a AUTHENTICATE PLAIN\r\n", b"!!!!\r\n"]),
    "imap: unknown mechanism": ("imap", [b"a AUTHENTICATE FOO\r\n"]),
    "imap: cancelled": ("imap", [b"a AUTHENTICATE PLAIN\r\n", b"*\r\n"]),
    "imap: long response": ("imap", [b"a AUTHENTICATE PLAIN\r\n", b"A" * 20_000 + b"\r\n"]),
    "imap: long initial response": ("imap", [b"a AUTHENTICATE PLAIN " + b"A" * 20_000 + b"\r\n"]),
    "pop3: endless line": ("pop3", [LONG]),
    "pop3: long line": ("pop3", [b"USER " + b"A" * 5_000 + b"\r\n"]),
    "pop3: noise": ("pop3", [noise(1, 65_536)]),
    "pop3: nul": ("pop3", [b"US\0ER joe\r\n", b"USER jo\0e\r\n", b"PASS x\r\n"]),
    "pop3: wrong password": ("pop3", [b"USER joe\r\n", b"PASS bad\r\n"]),
    "pop3: unknown commands": ("pop3", [b"FOO\r\n"] * 4),
    "pop3: no user": ("pop3", [b"PASS x\r\n"]),
    "pop3: empty user": ("pop3", [b"USER\r\n", b"PASS\r\n"]),
    "pop3: bad digest": ("pop3", [b"APOP joe\r\n", b"APOP joe zz\r\n", b"APOP joe " + b"0" * 32 + b"\r\n"]),
    "pop3: bad base64": ("pop3", [b"AUTH PLAIN\r\n", b"!!!\r\n"]),
    "imaps: noise": ("imaps", [noise(1, 5_000)]),
    "pop3s: noise": ("pop3s", [noise(1, 5_000)]),
    "imaps: plain text": ("imaps", [b"a LOGIN joe wonder\r\n"]),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster | DovecotInstance]:
    running = server_under_test(CONF)
    yield running
    running.close()


def play(server: Cluster | DovecotInstance, name: str, quiet: float = QUIET_SECS) -> Outcome:
    port, pieces = CASES[name]
    return abuse(getattr(server, port), *pieces, greeting=not port.endswith("s"), quiet=quiet)


def session_lines(server: Cluster | DovecotInstance, already: int, port: str) -> list[str]:
    """Log lines since `already` characters; waits for the one that tells of the end."""
    service = port.rstrip("s") + "-login"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = server.place.log_text()[already:].splitlines()
        if any(f" {service}: " in line for line in lines):
            time.sleep(0.05)
            break
        time.sleep(0.02)
    return [line for line in server.place.log_text()[already:].splitlines() if f" {service}: " in line]


@pytest.mark.parametrize("name", CASES)
def test_an_end_and_one_line_in_the_log(server: Cluster | DovecotInstance, name: str) -> None:
    already = len(server.place.log_text())
    outcome = play(server, name)
    assert outcome.answer or outcome.closed, "neither an answer nor an end"
    lines = session_lines(server, already, CASES[name][0])
    assert len(lines) == 1 and re.search(r"-login: Info: Disconnected: .*rip=127\.0\.0\.1", lines[0]), lines


@pytest.mark.compat
@pytest.mark.parametrize("name", CASES)
def test_the_same_as_dovecot(server: Cluster | DovecotInstance, servers: Servers, name: str) -> None:
    dovecot = servers.get("dovecot", CONF)
    assert isinstance(dovecot, DovecotInstance)
    # Whether a server has said all is seen by its silence: a difference must stay when that is longer.
    for quiet in (QUIET_SECS, 1.0, 5.0):
        mine, theirs = play(server, name, quiet), play(dovecot, name, quiet)
        if mine == theirs:
            return
    assert mine == theirs


def unix_sockets(server: Cluster | DovecotInstance) -> list[Path]:
    found = [path for path in server.place.run.rglob("*") if path.is_socket()]
    assert len(found) > 5
    return sorted(found)


def test_noise_on_every_unix_socket(server: Cluster | DovecotInstance) -> None:
    for path in unix_sockets(server):
        already = len(server.place.log_text())
        for piece in (noise(3, 20_000), b"\n" * 2000, b"VERSION\tx\ty\n" * 50, b"\t" * 9000 + b"\n", b""):
            try:
                abuse(path, piece, greeting=False, patience=0.1)
            except ConnectionRefusedError:
                continue
        lines = server.place.log_text()[already:].splitlines()
        # A few connections, a few lines: noise must not fill the disk.
        assert len(lines) <= 15, (path, lines[:20])
    assert play(server, "imap: unknown mechanism").answer.startswith(b"a NO")


def test_memory_is_bounded(server: Cluster | DovecotInstance) -> None:
    """Clients that send for ever are cut off, not collected."""
    root = server.master_pid
    play(server, "imap: noise")
    settle(root)
    before = pss_kib(root)
    for port in (server.imap, server.pop3, server.imaps, server.pop3s):
        for _ in range(5):
            abuse(port, b"A" * 4_000_000, greeting=port in (server.imap, server.pop3))
    literals = b"a LOGIN {60000+}\r\n" + b"A" * 60_000 + b" {60000+}\r\n" + b"B" * 60_000 + b"\r\n"
    for _ in range(5):
        abuse(server.imap, literals)
    settle(root)
    assert pss_kib(root) - before < 20_000

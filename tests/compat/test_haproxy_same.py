"""Listeners with haproxy = yes: every kind of header has the effect it has on Dovecot, in the log as well."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.haproxy import BROKEN, HEADERS
from tests.support.ports import free_ports

pytestmark = [
    pytest.mark.compat,
    pytest.mark.process,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "-"),
]
WAIT_SECS = 60.0
CONF = """
haproxy_trusted_networks = 10.0.0.0/8, 127.0.0.0/8
disable_plaintext_auth = yes
auth_mechanisms = plain external
auth_ssl_username_from_cert = yes
login_greeting = ready
login_log_format_elements = u=<%%u> m=%%m rip=%%r:%%b lip=%%l:%%a %%c rrip=<%%{real_rip}> n=<%%{local_name}>
protocol imap {
  mail_max_userip_connections = 0
}
local_name mail.example.org {
  login_greeting = ready by name
}
service imap-login {
  inet_listener proxied {
    address = 127.0.0.1
    port = %d
    haproxy = yes
  }
}
"""
Server = Cluster | DovecotInstance


@pytest.fixture(scope="module")
def pair() -> Iterator[list[tuple[Server, int]]]:
    """Both servers and their proxied ports."""
    ports = free_ports(2)
    running: list[tuple[Server, int]] = []
    try:
        running.append((DovecotInstance(CONF % ports[0]).start(), ports[0]))
        running.append((Cluster(CONF % ports[1]).start(), ports[1]))
        yield running
    finally:
        for server, _port in running:
            server.close()


def talk(server: Server, port: int, header: bytes) -> tuple[str, list[str]]:
    """What is answered to header, login and logout, and the lines of the login process's log."""
    start = len(server.place.log_text())
    with socket.create_connection(("127.0.0.1", port), WAIT_SECS) as sock:
        own = sock.getsockname()[1]
        sock.sendall(header)
        answer = b""
        with suppress(ConnectionResetError):  # the broken header itself may be unread
            while data := sock.recv(65536):
                answer += data
                if answer.endswith((b"ready\r\n", b"ready by name\r\n")):
                    sock.sendall(b"a LOGIN alice wonder\r\nb LOGOUT\r\n")
    end = time.monotonic() + WAIT_SECS
    # Who is refused at once has one line only; anybody else one of how it went in the end.
    last = r": (Disconnected|Login): " if b"ready" in answer else ": "
    while not re.search(last, "\n".join(lines := _lines(server.place.log_text()[start:], own, port))):
        assert time.monotonic() < end, answer
        time.sleep(0.02)
    # What a user may use differs, and is compared elsewhere; so are the words of waiting and parting.
    said = re.sub(rb"(?m)^\* OK Waiting.*\n|^\* BYE.*\n|^b OK.*\n|(?<=^a OK )\[.*\]", b"", answer).decode()
    return said, lines


def _lines(log: str, own: int, port: int) -> list[str]:
    found = re.findall(r"imap-login: (.*?)(?:, session=.*)?$", log, re.MULTILINE)
    return [
        re.sub(r"in \d+ secs", "", line).replace(f":{own}", ":OWN").replace(f":{port}", ":PORT")
        for line in found
    ]


@pytest.mark.parametrize("name", HEADERS)
def test_believed(pair: list[tuple[Server, int]], name: str) -> None:
    theirs, ours = (talk(server, port, HEADERS[name]) for server, port in pair)
    assert ours == theirs
    assert "ready" in ours[0]


@pytest.mark.parametrize("name", BROKEN)
def test_refused(pair: list[tuple[Server, int]], name: str) -> None:
    theirs, ours = (talk(server, port, BROKEN[name]) for server, port in pair)
    assert ours == theirs
    assert ours[0] == ""

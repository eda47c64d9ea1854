"""Listeners with haproxy = yes: who may speak, how long, in how many pieces; LMTP; stunnel before it."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.cluster import Cluster
from tests.support.haproxy import HEADERS, LINE
from tests.support.ports import free_ports

pytestmark = pytest.mark.process
WAIT_SECS = 60.0
CONF = """
protocols = imap pop3 lmtp
haproxy_trusted_networks = %s
haproxy_timeout = %s
disable_plaintext_auth = no
login_log_format_elements = user=<%%u> rip=%%r:%%b
service imap-login {
  inet_listener proxied {
    address = 127.0.0.1
    port = %d
    haproxy = yes
  }
}
service lmtp {
  inet_listener proxied {
    address = 127.0.0.1
    port = %d
    haproxy = yes
  }
}
"""


class Proxied:
    """A server with a proxied port of imap-login and one of lmtp."""

    def __init__(self, trusted: str = "127.0.0.1", timeout: str = "20 s") -> None:
        self.imap, self.lmtp = free_ports(2)
        self.server = Cluster(CONF % (trusted, timeout, self.imap, self.lmtp)).start()

    def log_line(self, pattern: str) -> str:
        """The first line of the log that matches, waited for."""
        end = time.monotonic() + WAIT_SECS
        while (found := re.search(pattern, log := self.server.place.log_text())) is None:
            assert time.monotonic() < end, log
            time.sleep(0.02)
        return found[0]


@pytest.fixture(scope="module")
def proxied() -> Iterator[Proxied]:
    made = Proxied()
    yield made
    made.server.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), WAIT_SECS)


@pytest.mark.parametrize("name", ["line", "binary, TLS"])
def test_header_in_pieces_with_the_client_behind_it(proxied: Proxied, name: str) -> None:
    header = HEADERS[name]
    with connect(proxied.imap) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(header), 3):
            sock.sendall(header[at : at + 3])
            time.sleep(0.002)
        sock.sendall(b"a LOGIN alice wonder\r\nb LOGOUT\r\n")
        answer = b""
        while data := sock.recv(4096):
            answer += data
    assert re.search(rb"^b OK", answer, re.MULTILINE), answer


def test_lmtp(proxied: Proxied) -> None:
    with connect(proxied.lmtp) as sock, sock.makefile("rb") as replies:
        sock.sendall(LINE + b"LHLO mx\r\nQUIT\r\n")
        assert replies.readline().startswith(b"220 ")
        assert b"221" in replies.read()
    assert proxied.log_line(r"lmtp\(\d+\): Info: Connect from 192\.0\.2\.5")


def test_client_goes_away_before_its_header(proxied: Proxied) -> None:
    connect(proxied.imap).close()
    proxied.log_line(r"Info: haproxy: Client disconnected \(rip=127\.0\.0\.1\): Connection reset by peer")


def test_stranger_and_silence() -> None:
    made = Proxied("192.0.2.0/24")
    try:
        for port in (made.imap, made.lmtp):
            with connect(port) as sock:
                assert sock.recv(100) == b""
        made.log_line(r"imap-login: Warning: haproxy: Client not trusted \(rip=127\.0\.0\.1\)")
        made.log_line(r"lmtp: Warning: haproxy: Client not trusted \(rip=127\.0\.0\.1\)")
    finally:
        made.server.close()


def test_proxy_that_says_nothing() -> None:
    made = Proxied(timeout="1 s")
    try:
        for port in (made.imap, made.lmtp):
            with connect(port) as sock:
                sock.sendall(b"PROX")
                assert sock.recv(100) == b""
        made.log_line(r"imap-login: Error: haproxy: Client timed out \(rip=127\.0\.0\.1\)")
        made.log_line(r"lmtp: Error: haproxy: Client timed out \(rip=127\.0\.0\.1\)")
    finally:
        made.server.close()


def test_stunnel(proxied: Proxied, tmp_path: Path) -> None:
    """SSL by stunnel in front of it: the log has the client's own address, not that of stunnel."""
    program = shutil.which("stunnel4", path="/usr/bin:/bin:/usr/sbin") or shutil.which("stunnel")
    if program is None:
        pytest.skip("stunnel4 is not installed")
    cert = shared_certificate()
    (port,) = free_ports(1)
    conf = tmp_path / "stunnel.conf"
    conf.write_text(
        f"foreground = yes\npid =\ncert = {cert.cert}\nkey = {cert.key}\n"
        f"[imaps]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{proxied.imap}\nprotocol = proxy\n"
    )
    with subprocess.Popen(
        [program, str(conf)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as stunnel:
        try:
            context = ssl.create_default_context(cafile=str(cert.cert))
            context.check_hostname = False
            with wait_for(port) as plain:
                own = plain.getsockname()[1]
                with context.wrap_socket(plain) as sock:
                    assert b"OK" in sock.recv(4096)
                    sock.sendall(b"a LOGIN alice wonder\r\n")
                    while b"a OK" not in sock.recv(4096):
                        pass
        finally:
            stunnel.terminate()
    proxied.log_line(rf"imap-login: Info: Login: user=<alice>, rip=127\.0\.0\.1:{own}\b")


def wait_for(port: int) -> socket.socket:
    end = time.monotonic() + WAIT_SECS
    while True:
        try:
            return connect(port)
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.05)

"""Logging in to the real process tree: what the log says, limits, TLS over a reload, processes that die."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cert import make_certificate
from tests.support.cluster import Cluster
from tests.support.login_process import read_line
from tests.support.serverconf import NO_PENALTY, ServerDir

pytestmark = pytest.mark.process

MEMORY = "mail_location = memory:\n"
ONE_LOGIN_PROCESS = "service imap-login {\n  service_count = 0\n  process_min_avail = 1\n}\n"
FILTER = Path("/etc/fail2ban/filter.d/dovecot.conf")


def connect(port: int, *, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def login(sock: Any, user: str = "alice", password: str = "wonder") -> bytes:
    """Take the greeting, send LOGIN, return the answer."""
    assert read_line(sock).startswith(b"* OK ")
    sock.sendall(f"a LOGIN {user} {password}\r\n".encode())
    return read_line(sock)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(MEMORY + NO_PENALTY + ONE_LOGIN_PROCESS + "verbose_proctitle = yes\n") as running:
        yield running


def test_fail2ban_finds_the_failed_logins_and_no_others(cluster: Cluster, tmp_path: Path) -> None:
    program = shutil.which("fail2ban-regex", path="/usr/bin:/bin")
    if program is None or not FILTER.exists():
        pytest.skip("fail2ban is not installed")
    start = len(cluster.place.log_text())
    with connect(cluster.imap, source="127.0.0.2") as sock:
        assert b"AUTHENTICATIONFAILED" in login(sock, password="bad")
        sock.sendall(b"b LOGOUT\r\n")
        assert read_line(sock)
    with connect(cluster.pop3, source="127.0.0.3") as sock:
        read_line(sock)
        sock.sendall(b"USER alice\r\nPASS bad\r\n")
        read_line(sock)
        read_line(sock)
    with connect(cluster.imap, source="127.0.0.4") as sock:
        assert b"Logged in" in login(sock)
    wait_for(lambda: cluster.place.log_text()[start:].count("auth failed") == 2)
    cluster.wait_log("rip=127.0.0.4")
    lines = cluster.place.log_text()[start:].splitlines()
    syslog = [f"{line[:16]}host dovecot: {line[16:].replace(': Info:', ':', 1)}" for line in lines]
    for form in (lines, syslog):
        log = tmp_path / "mail.log"
        log.write_text("".join(f"{line}\n" for line in form))
        done = subprocess.run(
            [program, "--print-all-matched", str(log), str(FILTER)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        matched = done.stdout.partition("Matched line(s):")[2].partition("Missed line(s):")[0]
        assert "rip=127.0.0.2" in matched, done.stdout
        assert "rip=127.0.0.3" in matched
        assert "rip=127.0.0.4" not in matched


def test_worker_that_is_killed_takes_only_its_own_client_along(cluster: Cluster) -> None:
    with (
        connect(cluster.imaps) as plain,
        trusting().wrap_socket(plain) as victim,
        connect(cluster.imaps) as other,
        trusting().wrap_socket(other) as survivor,
    ):
        login(victim, "victim")
        login(survivor, "survivor")
        worker = next(
            pid for pid in cluster.pids("imap") if b"victim" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(worker, signal.SIGKILL)
        assert victim.recv(10) == b""
        survivor.sendall(b"b NOOP\r\n")
        assert read_line(survivor).startswith(b"b OK ")
    cluster.wait_log("killed with signal 9")


def test_titles_count_connections(cluster: Cluster) -> None:
    with (
        connect(cluster.imap) as first,
        connect(cluster.imaps) as plain,
        trusting().wrap_socket(plain) as second,
    ):
        read_line(first)
        login(second)

        def titles() -> bytes:
            return b"\n".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in cluster.pids("imap-login"))

        wait_for(lambda: b"[2 connections (1 TLS)]" in titles() or b"[127.0.0.1 TLS]" in titles())


def test_tls_facts_reach_the_log_and_the_worker(cluster: Cluster) -> None:
    with connect(cluster.imap, source="127.0.0.5") as plain:
        read_line(plain)
        plain.sendall(b"a STARTTLS\r\n")
        assert read_line(plain).startswith(b"a OK ")
        with trusting().wrap_socket(plain) as sock:
            sock.sendall(b"b LOGIN tlsuser wonder\r\n")
            assert read_line(sock).startswith(b"b OK [CAPABILITY ")
    cluster.wait_log("Login: user=<tlsuser>, method=PLAIN, rip=127.0.0.5, lip=127.0.0.1, mpid=")
    line = next(line for line in cluster.place.log_text().splitlines() if "Login: user=<tlsuser>" in line)
    assert ", TLS, session=<" in line
    session = line.rpartition("session=")[2]
    cluster.wait_log(f"{session}: Info: Disconnected: ")  # imap(tlsuser)<pid><session>


def test_sessions_of_one_user_from_one_address_are_limited() -> None:
    with Cluster(MEMORY + NO_PENALTY + "mail_max_userip_connections = 2\n") as cluster:
        with connect(cluster.imap) as one, connect(cluster.imap) as two:
            assert b"Logged in" in login(one)
            assert b"Logged in" in login(two)
            with connect(cluster.imap) as three:
                text = (
                    b"a NO [LIMIT] Maximum number of connections from user+IP exceeded "
                    b"(mail_max_userip_connections=2)\r\n"
                )
                assert login(three) == text
                assert three.recv(10) == b""
            with connect(cluster.imap) as other:
                assert b"Logged in" in login(other, "bob")
            with connect(cluster.imap, source="127.0.0.2") as elsewhere:
                assert b"Logged in" in login(elsewhere)
            one.sendall(b"b LOGOUT\r\n")
            while one.recv(100):
                pass

        def again() -> bool:
            with connect(cluster.imap) as sock:
                return b"Logged in" in login(sock)

        wait_for(again)  # anvil hears of the end a moment later


def test_reload_shows_the_new_certificate_and_keeps_sessions(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    tmp_path.chmod(0o755)
    old, new = (make_certificate(tmp_path / name, f"{name}.example.com") for name in ("old", "new"))
    served = tmp_path / "served"
    served.mkdir()

    def install(files: Any) -> None:
        shutil.copy(files.cert, served / "cert.pem")
        shutil.copy(files.key, served / "key.pem")

    def subject(port: int) -> str:
        from cryptography import x509

        with connect(port) as plain, trusting().wrap_socket(plain) as sock:
            der = sock.getpeercert(binary_form=True)
            assert der is not None
            return x509.load_der_x509_certificate(der).subject.rfc4514_string()

    install(old)
    conf = f"ssl_cert = <{served}/cert.pem\nssl_key = <{served}/key.pem\n"
    with (
        Cluster(MEMORY + ONE_LOGIN_PROCESS + conf) as cluster,
        connect(cluster.imaps) as plain,
        trusting().wrap_socket(plain) as sock,
    ):
        login(sock)
        assert subject(cluster.imaps) == "CN=old.example.com"
        install(new)
        cluster.reload()
        wait_for(lambda: subject(cluster.imaps) == "CN=new.example.com")
        sock.sendall(b"b NOOP\r\n")
        assert read_line(sock).startswith((b"b OK ", b"* BYE Server shutting down."))


def test_a_process_for_each_client_by_default() -> None:
    with Cluster(MEMORY) as cluster:
        with (
            connect(cluster.imaps) as first,
            connect(cluster.imaps) as second,
            trusting().wrap_socket(first) as one,
            trusting().wrap_socket(second) as two,
        ):
            login(one)
            login(two)
            assert len(cluster.pids("imap-login")) >= 2  # they carry the bytes
        wait_for(lambda: len(cluster.pids("imap-login")) == 0)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users: needs root")
def test_every_user_is_served_as_itself_and_root_never() -> None:
    place = ServerDir.make()
    passwd = place.root / "passwd"
    passwd.write_text(
        "alice:{PLAIN}wonder:45101:45101::/nonexistent::\n"
        "bob:{PLAIN}wonder:45102:45102::/nonexistent::\n"
        "low:{PLAIN}wonder:45000:45101::/nonexistent::\n"
        "rooty:{PLAIN}wonder:0:0::/nonexistent::\n"
    )
    databases = "".join(
        f"{kind} {{\n  driver = passwd-file\n  args = {passwd}\n}}\n" for kind in ("passdb", "userdb")
    )
    conf = (
        MEMORY
        + NO_PENALTY
        + databases
        + "first_valid_uid = 45100\nverbose_proctitle = yes\nmail_uid =\nmail_gid =\n"
    )
    with Cluster(conf, static_users=False, place=place) as cluster:
        with connect(cluster.imap) as one, connect(cluster.imap) as two:
            assert b"Logged in" in login(one, "alice")
            assert b"Logged in" in login(two, "bob")
            owners = {}
            for pid in cluster.pids("imap"):
                title = Path(f"/proc/{pid}/cmdline").read_bytes()
                status = Path(f"/proc/{pid}/status").read_text()
                uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
                owners[b"alice" if b"alice" in title else b"bob"] = set(uids)
            assert owners == {b"alice": {"45101"}, b"bob": {"45102"}}
        with connect(cluster.imap) as sock:
            assert login(sock, "low") == b"a OK Logged in, but initialization failed.\r\n"
            assert read_line(sock).startswith(b"* BYE Internal error occurred.")
        cluster.wait_log(
            "Mail access for users with UID 45000 not permitted (see first_valid_uid in config file"
        )
        with connect(cluster.imap) as sock:
            assert not login(sock, "rooty").startswith(b"a OK [")

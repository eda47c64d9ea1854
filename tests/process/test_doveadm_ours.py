"""The commands that only we have, on a running server; and what is off unless it is configured."""

import imaplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.doveadmserver import AdminServer
from tests.support.echo_master import wait_until
from tests.support.serverconf import ServerDir
from tests.support.twodoveadms import ours, users_conf

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    place = ServerDir.make()
    with Cluster(users_conf(place), static_users=False, place=place) as running:
        yield running


def fail(cluster: Cluster, user: str) -> None:
    with imaplib.IMAP4("127.0.0.1", cluster.imap, timeout=20) as client, pytest.raises(imaplib.IMAP4.error):
        client.login(user, "wrong")


def test_explain(cluster: Cluster) -> None:
    fail(cluster, "alice")
    done = ours(cluster.conf, "auth", "explain", "-p", "bad", "alice", "127.0.0.1")
    text = done.out.decode()
    assert done.status == 77
    assert "127.0.0.1 has failed logins: its logins wait" in text
    assert "Password mismatch" in text
    assert "wonder" not in text
    assert ours(cluster.conf, "auth", "explain", "alice").status == 0
    assert ours(cluster.conf, "auth", "explain", "nobody").status == 67
    assert ours(cluster.conf, "auth", "explain").status == 64


def test_tail_tells_a_session(cluster: Cluster) -> None:
    program = [sys.executable, "-m", "pydovecot.cli.doveadm", "-c", str(cluster.conf), "tail", "-n", "0"]
    out = cluster.place.root / "told"
    with out.open("wb") as file, subprocess.Popen(program, stdout=file) as tail:
        try:
            def ended() -> bool:
                with imaplib.IMAP4("127.0.0.1", cluster.imap, timeout=20) as client:
                    client.login("bob", "wonder")
                lines = out.read_text().splitlines()
                # Two processes log begin and end: under load the end may come first, and has no number then.
                begin = "imap from 127.0.0.1 begins (PLAIN, no TLS)"
                begins = {line.rpartition("#")[2] for line in lines if begin in line}
                return any("ends after" in line and line.rpartition("#")[2] in begins for line in lines)

            wait_until(ended, "a session's begin and end")
        finally:
            tail.terminate()
    assert all(" bob " in line for line in out.read_text().splitlines())


def test_tail_of_what_was(cluster: Cluster) -> None:
    fail(cluster, "carol@example.org")
    cluster.wait_log("user=<carol@example.org>")
    done = ours(cluster.conf, "tail", "-1", "carol*")
    assert b"refused: auth failed, 1 attempts" in done.out
    assert b" bob " not in done.out
    assert ours(cluster.conf, "tail", "-1", "-l", "/nonexistent").status == 75


def test_top_into_a_pipe(cluster: Cluster) -> None:
    client = imaplib.IMAP4("127.0.0.1", cluster.imap, timeout=20)
    try:
        client.login("bobby", "wonder")
        wait_until(lambda: b"bobby" in ours(cluster.conf, "who").out, "anvil to know")
        text = ours(cluster.conf, "top").out.decode()
        (pid,) = cluster.pids("imap")
    finally:
        client.shutdown()
    assert "processes, " in text.splitlines()[0]
    services = {line.split()[0] for line in text.splitlines()[2:]}
    assert {"master", "anvil", "auth", "log", "config", "imap"} <= services
    row = next(line for line in text.splitlines() if "bobby@127.0.0.1" in line).split()
    assert (row[0], int(row[1])) == ("imap", pid)


def test_only_root_s_socket_unless_configured(cluster: Cluster) -> None:
    assert (cluster.place.run / "doveadm-server").stat().st_mode & 0o777 == 0o600
    inet = Path(f"/proc/{cluster.master_pid}/net/tcp").read_text()
    rows = [line.split() for line in inet.splitlines()[1:]]
    listening = {row[1].partition(":")[2] for row in rows if row[3] == "0A"}
    assert f"{cluster.imap:04X}" in listening
    assert f"{24245:04X}" not in listening


def test_no_secret_no_login() -> None:
    """Listeners alone let nobody in."""
    server = AdminServer.make(Cluster, "doveadm_password =\ndoveadm_api_key =\n")
    with server.running:
        said = server.talk(b"VERSION\tdoveadm-server\t1\t0\n", b"PLAIN\tAGRvdmVhZG0A\n")
        assert said == b"-\n-\n"
        for way in ("api", "sekret", ""):
            status, _reason, headers, _body = server.request("GET", "/doveadm/v1", None, way)
            assert (status, "WWW-Authenticate" in headers) == (401, False)
        server.running.wait_log("doveadm_password not set, remote authentication disabled")


def test_slow_and_broken_clients_hurt_nobody() -> None:
    server = AdminServer.make(Cluster)
    with server.running:
        idle = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(3)]
        half = socket.create_connection(("127.0.0.1", server.http), 20)
        half.sendall(b"POST /doveadm/v1 HTTP/1.1\r\nContent-Length: 99999999999\r\n")
        assert server.run(["who", {}, "t"]) == b'[["doveadmResponse",[],"t"]]'
        for length, status in (("99999999999", b"413"), ("x", b"411"), ("-1", b"411")):
            with socket.create_connection(("127.0.0.1", server.http), 20) as sock:
                head = f"POST /doveadm/v1 HTTP/1.1\r\nContent-Length: {length}\r\n"
                key = "Authorization: X-Dovecot-API YXBpa2V5\r\n\r\n"
                sock.sendall((head + key).encode())
                assert sock.recv(65536).split()[1] == status
        for sock in (*idle, half):
            sock.close()
        with pytest.raises(ConnectionResetError):  # it has not read all of it
            server.talk(b"A" * 1_000_000 + b"\n")
        assert server.run(["who", {}, "t"]) == b'[["doveadmResponse",[],"t"]]'

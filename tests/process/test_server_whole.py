"""The whole server: any child may die, a reload disturbs nobody, noise on every socket, an ordinary user."""

import contextlib
import imaplib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.echo_master import wait_until
from tests.support.ordinary import python_for_everyone

pytestmark = pytest.mark.process

EXTRA = "verbose_proctitle = yes\nmail_location = memory:\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(EXTRA) as running:
        yield running


class Clients(contextlib.ExitStack):
    """Logged in clients that are closed at the end of a test, in whatever state."""

    def login(self, cluster: Cluster, user: str = "alice", *, tls: bool = False) -> imaplib.IMAP4:
        if tls:
            client: imaplib.IMAP4 = imaplib.IMAP4_SSL("127.0.0.1", cluster.imaps, timeout=60)
        else:
            client = imaplib.IMAP4("127.0.0.1", cluster.imap, timeout=60)
        self.callback(_close, client)
        client.login(user, "wonder")
        return client


def _close(client: imaplib.IMAP4) -> None:
    with contextlib.suppress(OSError):
        client.shutdown()


@pytest.fixture
def clients() -> Iterator[Clients]:
    with Clients() as made:
        yield made


def works(client: imaplib.IMAP4) -> bool:
    return client.noop()[0] == "OK"


@pytest.mark.parametrize("service", ["log", "config", "anvil", "auth", "imap"])
def test_kill_any_child(cluster: Cluster, clients: Clients, service: str) -> None:
    plain, secure = clients.login(cluster, "alice"), clients.login(cluster, "bob", tls=True)
    victim = clients.login(cluster, "victim") if service == "imap" else None
    before = cluster.place.log_text().count("killed with signal 9")
    pid = cluster.pids(service)[-1]
    os.kill(pid, signal.SIGKILL)
    cluster.wait_log(f"service({service}): child {pid} killed with signal 9")
    assert works(plain)
    assert works(secure)
    third = clients.login(cluster, "carol")
    assert works(third)
    if victim is not None:
        with contextlib.suppress(imaplib.IMAP4.abort):
            victim.noop()
        assert "imap(victim)<" in cluster.place.log_text().split("killed with")[-2].splitlines()[-1]
    for client in (plain, secure, third):
        client.logout()
    assert pid not in cluster.pids(service)
    assert cluster.place.log_text().count("killed with signal 9") == before + 1


def test_kill_a_login_process_that_carries_tls(cluster: Cluster, clients: Clients) -> None:
    """Its own client is lost, nobody else's."""
    plain, secure = clients.login(cluster, "alice"), clients.login(cluster, "bob", tls=True)
    logins = cluster.pids("imap-login")
    assert logins
    for pid in logins:
        os.kill(pid, signal.SIGKILL)
        cluster.wait_log(f"service(imap-login): child {pid} killed with signal 9")
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        secure.noop()
    assert works(plain)
    assert works(clients.login(cluster, "carol", tls=True))


def test_reload_disturbs_nobody(cluster: Cluster, clients: Clients) -> None:
    several = [clients.login(cluster, f"user{n}", tls=n % 2 == 1) for n in range(4)]
    logs = cluster.pids("log")
    cluster.write_conf(EXTRA + "login_greeting = Changed.\n")
    cluster.reload()
    wait_until(lambda: set(cluster.pids("log")) - set(logs), "the new generation")
    with socket.create_connection(("127.0.0.1", cluster.imap), 60) as sock:
        assert b"Changed." in sock.recv(1000)
    assert all(works(client) for client in several)
    cluster.write_conf(EXTRA + "no_such_setting = 1\n")
    cluster.reload()
    cluster.wait_log(f"{cluster.conf} line ")
    cluster.wait_log("Unknown setting: no_such_setting")
    assert all(works(client) for client in several)
    assert works(clients.login(cluster, "late"))
    cluster.write_conf(EXTRA)
    cluster.reload()


def test_process_titles(cluster: Cluster, clients: Clients) -> None:
    clients.login(cluster, "titled", tls=True)

    def shown(start: str) -> bool:
        return any(title.startswith(start) for title in cluster.titles().values())

    for start in ("pydovecot/imap [titled 127.0.0.1", "pydovecot/imap-login ["):
        wait_until(lambda start=start: shown(start), f"{start} among {cluster.titles()}")


NOISE = [b"\0" * 500, b"\xff\xfe\t\n" * 100, b"A" * 50_000, b"\n" * 20, os.urandom(4000)]


def test_noise_on_every_socket(cluster: Cluster, clients: Clients) -> None:
    """Answered or closed, one line each at most, nobody dies, memory stays."""
    paths = [path for path in cluster.place.run.rglob("*") if path.is_socket()]
    assert len(paths) >= 14
    before = cluster.place.log_text().count("\n")
    kills = cluster.place.log_text().count("killed with signal")
    for path in paths:
        for noise in NOISE:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(0.15)
                with contextlib.suppress(OSError):
                    sock.connect(str(path))
                    sock.sendall(noise)
                    while sock.recv(65536):
                        pass
    ports = [cluster.imap, cluster.imaps, cluster.pop3, cluster.pop3s]
    for port in ports:
        for noise in NOISE:
            with socket.create_connection(("127.0.0.1", port), 60) as sock:
                sock.settimeout(0.3)
                with contextlib.suppress(OSError):
                    sock.sendall(noise)
                    while sock.recv(65536):
                        pass
    time.sleep(0.3)
    lines = cluster.place.log_text().splitlines()[before:]
    assert len(lines) <= (len(paths) + len(ports)) * len(NOISE), "\n".join(lines)
    bad = [line for line in lines if "Traceback" in line or ".py:" in line or "returned error" in line]
    assert bad == []
    assert cluster.place.log_text().count("killed with signal") == kills
    client = clients.login(cluster, "after")
    assert works(client)
    client.logout()


def test_stop_says_bye(cluster: Cluster, clients: Clients) -> None:
    """Last of this file: it stops the shared server and starts it again."""
    plain, secure = clients.login(cluster, "alice"), clients.login(cluster, "bob", tls=True)
    children = [pid for name in ("imap", "imap-login", "log", "anvil", "auth") for pid in cluster.pids(name)]
    cluster.stop()
    for client in (plain, secure):
        line = client.readline()
        assert line.startswith(b"* BYE "), line
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not (cluster.place.run / "master.pid").exists()
    cluster.start()
    assert works(clients.login(cluster))


@pytest.mark.skipif(os.geteuid() != 0, reason="the tests run as an ordinary user anyway")
def test_ordinary_user(clients: Clients) -> None:
    try:
        python_for_everyone()
    except RuntimeError as exc:
        pytest.skip(str(exc))
    with Cluster(EXTRA, ordinary_user=True) as cluster:
        assert works(clients.login(cluster, tls=True))
        log = cluster.place.log_text()
        assert log.count("not by root; switched off: chroot, separate users") + log.count(
            "not by root; switched off: chroot; separate users"
        ) == 1
        for pid in cluster.pids("imap-login") + cluster.pids("imap") + cluster.pids("auth"):
            assert os.stat(f"/proc/{pid}").st_uid != 0

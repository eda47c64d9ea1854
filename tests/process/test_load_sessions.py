"""Many sessions at once: 400 idle ones while two clients work, and twenty clients that log in all the time.

PYDOVECOT_LOAD_SECS is how long they do (6 in ordinary runs; 60 is what the project promises).
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.bench.client import Imap, Pop3
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance
from tests.support.mailgen import generate
from tests.support.server_under_test import server_under_test
from tests.support.serverconf import PASSWORD

pytestmark = [pytest.mark.process, pytest.mark.slow]

SECONDS = float(os.environ.get("PYDOVECOT_LOAD_SECS", "6"))
IDLE_EACH = 200
PARALLEL = 20

# One login process for many clients: by default each TLS client keeps a process, a hundred at most.
CONF = """\
service imap-login {
  service_count = 0
  process_min_avail = 2
}
service imap {
  process_limit = 1000
}
"""

Server = Cluster | DovecotInstance


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = server_under_test(CONF)
    yield running
    running.close()


def errors_logged(server: Server) -> list[str]:
    words = (": Error: ", ": Fatal: ", ": Panic: ")
    return [line for line in server.place.log_text().splitlines() if any(word in line for word in words)]


def in_parallel(works: list[Callable[[], None]]) -> list[BaseException]:
    """Run all in threads; what went wrong."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as exc:  # noqa: BLE001 - collected for the test
            failures.append(exc)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 120)
    return failures


def idle_client(port: int, user: str, tls: bool) -> Imap:
    client = Imap(port, user, PASSWORD, tls)
    client.ask("SELECT INBOX")
    client.sock.sendall(b"i IDLE\r\n")
    client.until((b"\r\n+",))
    return client


def work(server: Server, user: str, port: int, tls: bool) -> None:
    """File, read and delete for a while."""
    end = time.monotonic() + SECONDS
    client = Imap(port, user, PASSWORD, tls)
    client.ask("SELECT INBOX")
    bodies = list(generate(3, 10))
    rounds = 0
    while time.monotonic() < end:
        for body in bodies:
            client.append("INBOX", body)
        client.ask("FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)")
        answer = client.ask("FETCH 1:* BODY[]")
        assert answer.count(b"BODY[]") == len(bodies)
        client.ask(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
        client.ask("EXPUNGE")
        rounds += 1
    assert rounds >= 1
    client.logout()


def test_idle_sessions_and_two_that_work(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        idle: list[Imap] = []
        for number in range(IDLE_EACH):
            for port, tls in ((server.imap, False), (server.imaps, True)):
                client = idle_client(port, f"idle{number % 20}", tls)
                stack.callback(client.close)
                idle.append(client)
        failures = in_parallel(
            [
                lambda: work(server, "worker1", server.imap, False),
                lambda: work(server, "worker2", server.imaps, True),
            ]
        )
        assert failures == []
        for client in idle:
            client.sock.sendall(b"DONE\r\n")
            client.until((b"\r\ni OK",))
    assert errors_logged(server) == []


def test_an_idle_session_hears_of_new_mail_at_once_under_load(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [idle_client(server.imap, "listener", False) for _ in range(20)]
        for client in clients:
            stack.callback(client.close)
        sender = Imap(server.imap, "listener", PASSWORD)
        stack.callback(sender.close)
        sender.append("INBOX", b"Subject: news\r\n\r\nnews\r\n")
        start = time.monotonic()
        for client in clients:
            client.until((b"\r\n* 1 RECENT", b"\r\n* 0 RECENT", b"\r\n* 1 EXISTS"))
        assert time.monotonic() - start < 25  # polling would be as slow as 30 s


def test_twenty_clients_that_log_in_all_the_time(server: Server) -> None:
    end = time.monotonic() + SECONDS
    count = [0] * PARALLEL

    def log_in(number: int) -> None:
        kind = number % 4
        while time.monotonic() < end:
            user = f"login{number}"
            if kind == 3:
                client: Imap | Pop3 = Pop3(server.pop3, user, PASSWORD)
                client.ask("STAT")
                client.ask("QUIT")
                client.close()
            else:
                imap = Imap(server.imaps if kind == 1 else server.imap, user, PASSWORD, kind == 1)
                imap.ask("SELECT INBOX")
                imap.logout()
            count[number] += 1

    failures = in_parallel([lambda n=n: log_in(n) for n in range(PARALLEL)])  # type: ignore[misc]
    assert failures == []
    assert min(count) >= 1
    assert errors_logged(server) == []

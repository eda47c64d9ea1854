"""POP3 sessions empty a mailbox while mail arrives and flags change: nothing is lost or taken twice."""

import hashlib
import poplib
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.bench.client import Imap, Refused
from tests.support.mailgen import Generator
from tests.support.server_under_test import server_under_test
from tests.support.serverconf import PASSWORD

pytestmark = pytest.mark.process
SECONDS = 4.0
LONGEST_LINE = 1 << 20  # poplib's own limit is below what mail has


def digest(message: bytes) -> str:
    return hashlib.sha256(message).hexdigest()


class Traffic:
    """What was filed, what was taken, what went wrong."""

    def __init__(self, imap: int, pop3: int) -> None:
        self.imap, self.pop3 = imap, pop3
        self.filed: list[str] = []
        self.taken: list[str] = []
        self.failures: list[BaseException] = []
        self.end = time.monotonic() + SECONDS

    def thread(self, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except Exception as exc:  # noqa: BLE001 - collected for the test
                self.failures.append(exc)

        return threading.Thread(target=guarded)

    def file_mail(self, seed: int) -> None:
        generator = Generator(seed)
        client = Imap(self.imap, "busy", PASSWORD)
        while time.monotonic() < self.end:
            body = generator.message()
            client.append("INBOX", body)
            self.filed.append(digest(body))
        client.logout()

    def change_flags(self) -> None:
        client = Imap(self.imap, "busy", PASSWORD)
        client.ask("SELECT INBOX")
        while time.monotonic() < self.end:
            client.ask("NOOP")
            try:
                client.ask(r"STORE 1:* +FLAGS (\Flagged)")
            except Refused as exc:
                # The mailbox is empty, or the messages are gone already: both are to be expected here.
                assert "messageset" in str(exc) or "no longer exist" in str(exc), exc
        client.logout()

    def take_all(self) -> None:
        client = poplib.POP3("127.0.0.1", self.pop3, timeout=60)
        client.user("busy")
        client.pass_(PASSWORD)
        for number in range(1, client.stat()[0] + 1):
            self.taken.append(digest(b"\r\n".join(client.retr(number)[1]) + b"\r\n"))
            client.dele(number)
        client.quit()


def test_every_message_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poplib, "_MAXLINE", LONGEST_LINE)
    server = server_under_test()
    try:
        traffic = Traffic(server.imap, server.pop3)
        threads = [traffic.thread(lambda seed=seed: traffic.file_mail(seed)) for seed in range(3)]  # type: ignore[misc]
        threads.append(traffic.thread(traffic.change_flags))
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            traffic.take_all()
        traffic.take_all()
        assert traffic.failures == []
        assert len(traffic.filed) > 20
        assert Counter(traffic.taken) == Counter(traffic.filed)
        assert ": Error: " not in server.place.log_text()
    finally:
        server.close()

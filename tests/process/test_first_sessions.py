"""Several first sessions of one user at once make the home, the mailbox and the index, and none fails."""

import threading

import pytest

from tests.bench.client import Imap
from tests.support.server_under_test import server_under_test
from tests.support.serverconf import PASSWORD

pytestmark = pytest.mark.process
USERS = 40
SESSIONS = 5
MESSAGE = b"Subject: first\r\n\r\ntext\r\n"


def test_nobody_is_refused() -> None:
    server = server_under_test()
    failures: list[str] = []
    try:
        for number in range(USERS):
            clients = [Imap(server.imap, f"new{number}", PASSWORD) for _ in range(SESSIONS)]
            together = threading.Barrier(SESSIONS)

            def begin(client: Imap, select: bool, together: threading.Barrier = together) -> None:
                together.wait()
                try:
                    if select:
                        client.ask("SELECT INBOX")
                    else:
                        client.append("INBOX", MESSAGE)
                except Exception as exc:  # noqa: BLE001 - told at the end
                    failures.append(str(exc))

            threads = [threading.Thread(target=begin, args=(one, at == 0)) for at, one in enumerate(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for client in clients:
                client.logout()
        assert failures == []
    finally:
        server.close()

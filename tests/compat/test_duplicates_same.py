"""The duplicate database of Dovecot's Sieve is read by ours, and what ours writes by Dovecot's."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.delivery.duplicates import FILE_NAME, Duplicates
from tests.process.test_lmtp import Server
from tests.support.dovecot import dovecot_missing

SIEVE = Path("/usr/lib/dovecot/modules/lib90_sieve_plugin.so")
SCRIPT = """\
require ["duplicate", "fileinto", "mailbox"];
if duplicate :seconds 600 { fileinto :create "Again"; }
"""
pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
    pytest.mark.skipif(not SIEVE.exists(), reason="Dovecot's Sieve (dovecot-sieve) is not installed"),
]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("dovecot", "protocol lmtp {\n  mail_plugins = sieve\n}\n")
    home = made.place.home("alice")
    home.mkdir(mode=0o700)
    (home / ".dovecot.sieve").write_text(SCRIPT)
    made.place.give_to_mail_user(home)
    yield made
    made.running.close()


def deliver(server: Server, message_id: str) -> None:
    client = server.unix()
    client.say("LHLO h")
    message = f"Subject: t\r\nMessage-ID: <{message_id}>\r\n\r\nx\r\n".encode()
    assert client.deliver("alice", message=message)[0].startswith("250 ")
    client.close()


def test_both_ways(server: Server) -> None:
    deliver(server, "one@x")
    deliver(server, "two@x")
    deliver(server, "one@x")
    assert (len(server.files("alice")), len(server.files("alice", ".Again"))) == (2, 1)
    home = server.place.home("alice")
    errors: list[str] = []
    database = Duplicates(str(home), errors.append)
    entries = database.read()[0]
    assert len(entries) == 2
    for (_, user), (until, _) in entries.items():
        assert user == b"alice" and 0 < until - time.time() <= 600
    # Ours knows what Dovecot has seen, and adds something: Dovecot still knows all.
    with database.transaction() as transaction:
        assert all(transaction.seen(key, "alice") for key, _ in entries)
        transaction.mark(b"ours", "alice", time.time() + 60)
    os.chown(home / FILE_NAME, server.place.mail_uid, server.place.mail_gid)
    deliver(server, "two@x")
    assert (len(server.files("alice")), len(server.files("alice", ".Again"))) == (2, 2)
    deliver(server, "three@x")
    after = database.read()[0]
    assert entries.keys() | {(b"ours", b"alice")} < after.keys() and len(after) == 4
    # And what ours has taken out Dovecot does not know any more.
    (home / FILE_NAME).unlink()
    with database.transaction() as transaction:
        transaction.mark(b"ours", "alice", time.time() + 60)
    os.chown(home / FILE_NAME, server.place.mail_uid, server.place.mail_gid)
    deliver(server, "two@x")
    assert (len(server.files("alice")), len(server.files("alice", ".Again"))) == (4, 2)
    assert errors == []
    assert "mail_duplicate" not in server.place.log_text()

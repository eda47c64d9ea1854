"""maildirsize after the same commands, ours and Dovecot's: the same bytes; each goes on for the other."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.serverconf import PASSWORD

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "Dovecot is there"),
]
CONF = """
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = maildir:User quota
  quota_rule = *:bytes=1000:messages=50
  quota_rule2 = Trash:bytes=+50%%
  quota_rule3 = Free:ignore
}
"""
Program = Cluster | DovecotInstance


class Client:
    """IMAP, as far as it is needed here."""

    def __init__(self, port: int, user: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self._sock.makefile("rb")
        self._file.readline()
        self.say(f"LOGIN {user} {PASSWORD}".encode())

    def say(self, text: bytes) -> bytes:
        """The first word of the tagged answer."""
        self._sock.sendall(b"t " + text + b"\r\n")
        while not (line := self._file.readline()).startswith(b"t "):
            assert line
        return line.split()[1]

    def append(self, box: str, octets: int) -> bytes:
        message = b"Subject: x\r\n\r\n" + b"y" * (octets - 16) + b"\r\n"
        return self.say(b"APPEND %b {%d+}\r\n%b" % (box.encode(), len(message), message))

    def close(self) -> None:
        self._file.close()
        self._sock.close()


def history(client: Client, file: Path) -> Iterator[tuple[str, bytes, str]]:
    """What was done, the answer, and the file after it."""

    def now() -> str:
        return file.read_text() if file.exists() else "(none)"

    for box in ("Trash", "Free"):
        yield f"create {box}", client.say(f"CREATE {box}".encode()), now()
    yield "ask", client.say(b"GETQUOTAROOT INBOX"), now()
    for box, octets in (("INBOX", 300), ("INBOX", 400), ("INBOX", 400), ("Trash", 400), ("Free", 5000)):
        yield f"append {octets} to {box}", client.append(box, octets), now()
    client.say(b"SELECT INBOX")
    changes = (b"COPY 1 Trash", b"COPY 1:2 Free", b"MOVE 1 Trash", b"STORE 1 +FLAGS (\\Deleted)", b"EXPUNGE")
    for line in changes:
        yield line.decode(), client.say(line), now()
    yield "append", client.append("INBOX", 100), now()
    yield "delete", client.say(b"DELETE Free"), now()


@pytest.fixture(scope="module")
def programs() -> Iterator[dict[str, Program]]:
    running: dict[str, Program] = {"ours": Cluster(CONF).start(), "dovecot": DovecotInstance(CONF).start()}
    yield running
    for one in running.values():
        one.close()


def test_the_same_bytes(programs: dict[str, Program]) -> None:
    told: dict[str, list[tuple[str, bytes, str]]] = {}
    for name, program in programs.items():
        client = Client(program.imap, "alice")
        told[name] = list(history(client, program.place.maildir("alice") / "maildirsize"))
        client.close()
    assert told["ours"] == told["dovecot"]
    assert any(answer == b"NO" for _, answer, _ in told["ours"])


def test_the_other_goes_on(programs: dict[str, Program]) -> None:
    """Each writes into the other's Maildir in turn, and both believe the file."""
    ours, dovecot = programs["ours"], programs["dovecot"]
    home = ours.place.maildir("bob")
    (dovecot.place.maildir("bob").parent).mkdir(parents=True, exist_ok=True)
    first = Client(ours.imap, "bob")
    assert first.append("INBOX", 300) == b"OK"
    first.close()
    dovecot.place.maildir("bob").symlink_to(home)
    dovecot.place.give_to_mail_user(dovecot.place.home("bob"))
    second = Client(dovecot.imap, "bob")
    assert second.append("INBOX", 300) == b"OK"
    assert second.append("INBOX", 500) == b"NO"
    second.close()
    third = Client(ours.imap, "bob")
    assert third.append("INBOX", 300) == b"OK"
    assert third.append("INBOX", 300) == b"NO"
    third.close()
    assert (home / "maildirsize").read_text() == "1000S,50C\n0 0\n297 1\n297 1\n297 1\n"

"""RETR, TOP, LIST and UIDL of ugly and of real messages: byte for byte what Dovecot sends."""

import os
import random
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance
from tests.support.fixtures import Servers
from tests.support.serverconf import PASSWORD

pytestmark = [pytest.mark.process, pytest.mark.compat]

PIECES = [
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b".",
    b"..",
    b"a",
    b"Subject: x",
    b": ",
    b" ",
    b"\t",
    b"\0",
    b"\xff\xfe",
    b"--b",
    b"\r\r\n",
    b"\n.",
]


def ugly(count: int) -> list[bytes]:
    """Messages of what protocols stumble over. None begins with a dot: there we differ on purpose."""
    source = random.Random(11)
    made = []
    while len(made) < count:
        body = b"".join(source.choices(PIECES, k=source.randrange(0, 40)))
        if not body.startswith(b"."):
            made.append(body)
    return made


def corpus() -> list[bytes]:
    folder = os.environ.get("PYDOVECOT_CORPUS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PYDOVECOT_CORPUS names no folder of messages")
    found = [path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()]
    return [body for body in found if not body.startswith(b".")]


def deliver(server: Cluster | DovecotInstance, user: str, bodies: list[bytes]) -> None:
    box = server.place.maildir(user) / "new"
    box.mkdir(parents=True)
    for number, body in enumerate(bodies):
        (box / f"{1_600_000_000 + number}.M{number}P1.same").write_bytes(body)
    server.place.give_to_mail_user(server.place.home(user))


class Client:
    """A POP3 client that keeps every byte."""

    def __init__(self, port: int, user: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream = self.sock.makefile("rb")
        self.stream.readline()
        for line in (f"USER {user}", f"PASS {PASSWORD}"):
            assert self.ask(line.encode()).startswith(b"+OK")

    def ask(self, command: bytes) -> bytes:
        self.sock.sendall(command + b"\r\n")
        return self.stream.readline()

    def fetch(self, command: bytes) -> bytes:
        """A status line and what follows up to the final dot."""
        answer = self.ask(command)
        if answer.startswith(b"-ERR"):
            return answer
        while (line := self.stream.readline()) != b".\r\n":
            assert line, "closed"
            answer += line
        return answer

    def close(self) -> None:
        self.stream.close()
        self.sock.close()


@pytest.fixture
def pair(servers: Servers) -> Iterator[tuple[Cluster | DovecotInstance, DovecotInstance]]:
    yield servers.get("ours", ""), servers.get("dovecot", "")  # type: ignore[misc]


def compare(pair: tuple[Cluster | DovecotInstance, DovecotInstance], user: str, bodies: list[bytes]) -> None:
    clients = []
    for server in pair:
        deliver(server, user, bodies)
        clients.append(Client(server.pop3, user))
    ours, theirs = clients
    assert ours.fetch(b"LIST") == theirs.fetch(b"LIST")
    for number in range(1, len(bodies) + 1):
        for command in (b"RETR %d" % number, b"TOP %d 0" % number, b"TOP %d 3" % number):
            assert ours.fetch(command) == theirs.fetch(command), (command, bodies[number - 1][:300])
    for command in (b"DELE 1", b"QUIT"):
        assert ours.ask(command) == theirs.ask(command)
    for client in clients:
        client.close()


def test_ugly_messages(pair: tuple[Cluster | DovecotInstance, DovecotInstance]) -> None:
    compare(pair, "ugly", ugly(300))


def test_ugly_messages_with_workarounds(servers: Servers) -> None:
    conf = "pop3_client_workarounds = outlook-no-nuls oe-ns-eoh\n"
    both = servers.get("ours", conf), servers.get("dovecot", conf)
    compare(both, "worked", ugly(300))  # type: ignore[arg-type]


def test_real_messages(pair: tuple[Cluster | DovecotInstance, DovecotInstance]) -> None:
    compare(pair, "real", corpus())


def test_saved_uidls_stay_when_the_other_server_comes(servers: Servers) -> None:
    """What pop3_save_uidl wrote into the uidlist is understood on both sides."""
    save = "pop3_uidl_format = saved-%u-%v\npop3_save_uidl = yes\n"
    for first, second in (("ours", "dovecot"), ("dovecot", "ours")):
        writer, reader = servers.get(first, save), servers.get(second, "")
        assert isinstance(writer, Cluster | DovecotInstance) and isinstance(reader, Cluster | DovecotInstance)
        user = f"saved-{first}"
        deliver(writer, user, [b"Subject: a\n\nb\n", b"Subject: c\n\nd\n"])
        client = Client(writer.pop3, user)
        uidls = client.fetch(b"UIDL")
        client.ask(b"QUIT")
        client.close()
        target = reader.place.maildir(user)
        target.mkdir(parents=True)
        for name in ("cur", "new", "tmp"):
            shutil.copytree(writer.place.maildir(user) / name, target / name)
        shutil.copy(writer.place.maildir(user) / "dovecot-uidlist", target)
        reader.place.give_to_mail_user(reader.place.home(user))
        client = Client(reader.pop3, user)
        assert client.fetch(b"UIDL") == uidls and b"saved-1-" in uidls
        client.close()

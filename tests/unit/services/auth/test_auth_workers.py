"""Steps that go to an auth-worker: the lines, the pool, and what happens when workers fail."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pydovecot.authdb import remote
from pydovecot.authdb.database import Database
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.authdb.steps import Blocking, Work
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.password import schemes
from pydovecot.password.secret import Secret
from pydovecot.proto.auth import worker as protocol
from pydovecot.proto.auth.lines import BadLine, LineBuffer
from pydovecot.services.auth.workers import WorkerPool
from tests.support.authlab import MemoryAuth, view_of

CONF = """\
auth_verbose = yes
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = %s
}
userdb {
  driver = passwd
}
"""


def database(tmp_path: Path) -> Database:
    users = tmp_path / "users"
    users.write_text("alice:{PLAIN}x::::::colour=blue nologin userdb_mail=m\n")
    return Database(view_of(CONF % users), Event(ListSink()), workers=False)


def round_trip(db: Database, step: Blocking) -> Any:
    """Through both ends of the protocol."""
    line = protocol.encode_request(remote.request_of(step, 7))
    parts, answer = remote.serve(db, protocol.decode_request(line.rstrip(b"\n")))
    sent = [protocol.decode_answer(protocol.encode_part(7, part).rstrip(b"\n")).text for part in parts]
    back = protocol.decode_answer(protocol.encode_answer(answer).rstrip(b"\n"))
    assert back.id == 7
    return remote.take(step, back, sent)


def test_verify(tmp_path: Path) -> None:
    request = AuthRequest(user="alice", original_user="Alice", rip="192.0.2.1", service="imap", mech="PLAIN")
    step = Blocking(Work.VERIFY, 0, request, Secret(b"x"))
    assert round_trip(database(tmp_path), step) is Result.OK
    assert request.extra.visible() == ["colour=blue", "nologin"]
    assert dict(request.userdb_fields()) == {"mail": "m"} and request.userdb_prefetched
    assert request.stored == schemes.parse(b"{PLAIN}x", "X")
    wrong = Blocking(Work.VERIFY, 0, AuthRequest(user="alice"), Secret(b"y"))
    assert round_trip(database(tmp_path), wrong) is Result.MISMATCH


def test_lookup_check_user_list(tmp_path: Path) -> None:
    db = database(tmp_path)
    assert round_trip(db, Blocking(Work.LOOKUP, 0, AuthRequest(user="bob"))) is Result.UNKNOWN
    stored = schemes.parse(b"{SHA256.HEX}" + schemes.digest.sha256(b"pw").hex().encode(), "X")
    check = Blocking(Work.CHECK, 0, AuthRequest(), Secret(b"pw"), stored)
    assert round_trip(db, check) == (Result.OK, "")
    broken = Blocking(Work.CHECK, 0, AuthRequest(), Secret(b"pw"), schemes.parse(b"{SHA}!", "X"))
    assert round_trip(db, broken) == (Result.INTERNAL, "Input isn't valid base64 encoded data")
    request = AuthRequest(user="root", userdb_lookup=True)
    assert round_trip(db, Blocking(Work.USER, 0, request)) is UserResult.OK
    assert dict(request.userdb_fields())["uid"] == "0"
    assert isinstance(round_trip(db, Blocking(Work.LIST, 0, AuthRequest())), list)


def test_odd_values_survive(tmp_path: Path) -> None:
    request = AuthRequest(user="a\tb=\n\x01\udcff", original_user="=", session="\r\0")
    message = protocol.decode_request(
        protocol.encode_request(remote.request_of(Blocking(Work.LOOKUP, 3, request), 1)).rstrip(b"\n")
    )
    assert (message.first("user"), message.first("session"), message.index) == (request.user, "\r\0", 3)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"1", b"x\tPASSV\t0", b"1\tNOPE\t0", b"1\tPASSV\t99", b"1\tPASSV\tx", b"99999999999\tUSER\t0"),
        *(b"1\tPASSV\t0\tpassword=xyz", b"1\tCHECK\t0", b"1\tUSER\t0\tstored=:"),
    ],
)
def test_broken_requests(tmp_path: Path, line: bytes) -> None:
    with pytest.raises((BadLine, remote.BadMessage)):
        remote.serve(database(tmp_path), protocol.decode_request(line))


def test_hello() -> None:
    assert protocol.check_hello(protocol.encode_hello("abc").rstrip(b"\n"), "abc") is None
    assert "settings differ" in str(protocol.check_hello(protocol.encode_hello("abc").rstrip(b"\n"), "x"))
    assert "not compatible" in str(protocol.check_hello(b"VERSION\tother\t1\t0", "x"))


def test_the_hash_tells_other_settings_apart() -> None:
    first, other = view_of(CONF % "/a"), view_of(CONF % "/b")
    assert remote.settings_hash(first) == remote.settings_hash(view_of(CONF % "/a"))
    assert remote.settings_hash(first) != remote.settings_hash(other)


class Workers:
    """A listening socket with threads that answer, or misbehave."""

    def __init__(self, path: Path, db: Database, behaviour: str) -> None:
        self.db, self.behaviour, self.connections = db, behaviour, 0
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        self.sock.listen(50)
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        lines, greeted = LineBuffer(1 << 20), False
        with client:
            while data := client.recv(65536):
                for line in lines.feed(data):
                    if not greeted:
                        greeted = True
                    elif self.behaviour == "die":
                        return
                    elif self.behaviour == "noise":
                        client.sendall(b"\xff\x00noise\n")
                    else:
                        parts, answer = remote.serve(self.db, protocol.decode_request(line))
                        client.sendall(b"".join(protocol.encode_part(answer.id, part) for part in parts))
                        client.sendall(protocol.encode_answer(answer))

    def close(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for thread in self.threads:
            thread.join(5)


@pytest.fixture
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(tmp_path / "auth-worker", database(tmp_path), getattr(request, "param", "answer"))
    yield made
    made.close()


async def ask_pool(pool: WorkerPool, count: int) -> list[Any]:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(count)]
    for future in futures:
        pool.submit(Blocking(Work.VERIFY, 0, AuthRequest(user="alice"), Secret(b"x")), future.set_result)
    return list(await asyncio.wait_for(asyncio.gather(*futures), 20))


def run_pool(tmp_path: Path, limit: int, count: int) -> tuple[list[Any], ListSink]:
    sink = ListSink()

    async def main() -> list[Any]:
        pool = WorkerPool(str(tmp_path / "auth-worker"), "hash", limit, Event(sink))
        try:
            first = await ask_pool(pool, count)
            return first + await ask_pool(pool, 1)
        finally:
            pool.close()
            await asyncio.sleep(0)

    return asyncio.run(main()), sink


def test_pool_answers_and_keeps_to_its_limit(workers: Workers, tmp_path: Path) -> None:
    answers, sink = run_pool(tmp_path, 3, 40)
    assert answers == [Result.OK] * 41
    assert 1 <= workers.connections <= 3
    assert sink.lines == []


@pytest.mark.parametrize("workers", ["die", "noise"], indirect=True)
def test_a_failing_worker_is_a_temporary_failure(workers: Workers, tmp_path: Path) -> None:
    answers, sink = run_pool(tmp_path, 2, 3)
    assert answers == [Result.INTERNAL] * 4
    assert any("auth-worker" in text for _level, text in sink.lines)


def test_no_workers_at_all(tmp_path: Path) -> None:
    answers, sink = run_pool(tmp_path, 2, 3)
    assert answers == [Result.INTERNAL] * 4
    assert "connect(" in sink.lines[0][1]


class LateWorkers:
    """Keeps steps until they are let go."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Blocking, Any]] = []

    def submit(self, step: Blocking, callback: Any) -> None:
        self.waiting.append((step, callback))


def test_others_are_served_while_a_costly_hash_is_checked(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("slow:{SHA512-CRYPT}$6$x$y::::::\nquick:{PLAIN}x::::::\n")
    late = LateWorkers()
    auth = MemoryAuth(CONF % users, workers=late, with_workers=True)
    client = auth.connect("auth-client")
    client.send(b"VERSION\t1\t2\nCPID\t5\n")
    client.out = b""
    client.send(b"AUTH\t1\tPLAIN\tservice=x\tresp=AHNsb3cAeA==\n")  # slow x
    client.send(b"AUTH\t2\tPLAIN\tservice=x\tresp=AHF1aWNrAHg=\n")  # quick x
    assert client.out == b"OK\t2\tuser=quick\n"
    step, callback = late.waiting.pop()
    assert step.work is Work.CHECK and "x" not in repr(step.password)
    callback((Result.OK, ""))
    assert client.out == b"OK\t2\tuser=quick\nOK\t1\tuser=slow\n"


def test_an_answer_for_a_client_that_left_is_dropped(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("slow:{SHA512-CRYPT}$6$x$y::::::\n")
    late = LateWorkers()
    auth = MemoryAuth(CONF % users, workers=late, with_workers=True)
    client = auth.connect("auth-client")
    client.send(b"VERSION\t1\t2\nCPID\t5\nAUTH\t1\tPLAIN\tservice=x\tresp=AHNsb3cAeA==\n")
    client.close()
    client.out = b""
    late.waiting.pop()[1]((Result.OK, ""))
    assert client.out == b""
    assert "auth client 5 disconnected with 1 pending requests: EOF" in auth.log_text()
    assert auth.log_text().count("Error") == 1

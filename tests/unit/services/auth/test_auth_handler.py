"""Requests of auth clients: time, penalties, cookies, limits."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path

import pytest

from pydovecot.authdb.request import AuthRequest
from pydovecot.password import cram
from pydovecot.services.auth import handler as handler_module
from pydovecot.services.auth import penalty
from pydovecot.services.auth.failures import DelayedFailures
from pydovecot.services.auth.server import hide
from tests.support.authlab import FakeTimers, MemoryAuth, MemoryConnection

CONF = """\
auth_mechanisms = plain login cram-md5 apop
auth_verbose = yes
passdb {
  driver = passwd-file
  args = %s
}
userdb {
  driver = static
  args = uid=1000 gid=1000 home=/h/%%u
}
"""


class Store:
    """Penalties of one process, without anvil."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[int, int, int]] = {}
        self.asked: list[str] = []
        self.now: Callable[[], float] = lambda: 0.0

    def penalty_get(self, name: str, callback: Callable[[int, int], None]) -> None:
        self.asked.append(name)
        value, last, _ = self.kept.get(name, (0, 0, 0))
        callback(value, last)

    def penalty_inc(self, name: str, checksum: int, value: int) -> None:
        self.kept[name] = (value, int(self.now()), checksum)


def lab(tmp_path: Path, extra: str = "", store: Store | None = None) -> MemoryAuth:
    users = tmp_path / "users"
    users.write_text("alice:{PLAIN}wonder::::::\ncram:{CRAM-MD5}" + cram_context(b"wonder") + "::::::\n")
    auth = MemoryAuth(CONF % users + extra, store=store)
    if store is not None:
        store.now = lambda: auth.timers.now
    return auth


def cram_context(password: bytes) -> str:
    return cram.context_of(password).hex()


def hello(auth: MemoryAuth, where: str = "auth-client", pid: int = 77) -> MemoryConnection:
    connection = auth.connect(where)
    connection.send(b"VERSION\t1\t2\nCPID\t%d\n" % pid)
    connection.out = b""
    return connection


def plain(number: int, password: str = "wonder", more: str = "") -> bytes:
    resp = base64.b64encode(f"\0alice\0{password}".encode()).decode()
    return f"AUTH\t{number}\tPLAIN\tservice=imap{more}\tresp={resp}\n".encode()


def test_failures_wait_for_the_delay_and_come_together(tmp_path: Path) -> None:
    auth = lab(tmp_path, "auth_failure_delay = 2 s\n")
    client = hello(auth)
    client.send(plain(1, "a"))
    auth.timers.advance(0.4)
    client.send(plain(2, "b") + plain(3))
    assert client.out == b"OK\t3\tuser=alice\n"
    auth.timers.advance(1.0)
    assert client.out == b"OK\t3\tuser=alice\n"
    auth.timers.advance(1.5)
    assert sorted(client.out.splitlines()) == [
        b"FAIL\t1\tuser=alice", b"FAIL\t2\tuser=alice", b"OK\t3\tuser=alice",
    ]  # fmt: skip


def test_what_waits_is_said_when_the_process_stops(tmp_path: Path) -> None:
    auth = lab(tmp_path)
    client = hello(auth)
    client.send(plain(1, "a"))
    assert client.out == b""
    auth.server.failures.flush()
    assert client.out == b"FAIL\t1\tuser=alice\n"


def test_a_client_that_left_gets_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    auth = lab(tmp_path)
    client = hello(auth, "login")
    client.send(plain(1, "a") + b"AUTH\t2\tPLAIN\tservice=imap\n")
    client.close()
    before = client.out
    auth.timers.advance(200)
    assert client.out == before
    assert auth.server.login_sessions == {}


def test_requests_time_out(tmp_path: Path) -> None:
    auth = lab(tmp_path)
    client = hello(auth)
    client.send(b"AUTH\t1\tPLAIN\tservice=imap\n")
    assert client.out == b"CONT\t1\t\n"
    auth.timers.advance(151)
    client.send(b"CONT\t1\tAA==\n")
    assert client.out.endswith(b"FAIL\t1\treason=Authentication request timed out\n")


def test_a_login_that_nobody_fetches_is_forgotten(tmp_path: Path) -> None:
    auth = lab(tmp_path)
    client = hello(auth, "login", pid=78)
    client.send(plain(1))
    cookie = auth.server.login_sessions[78].cookie.hex()
    auth.timers.advance(151)
    master = auth.connect("auth-master")
    master.send(f"VERSION\t1\t1\nREQUEST\t1\t78\t1\t{cookie}\n".encode())
    assert master.out.endswith(b"FAIL\t1\n")


def test_penalties_make_the_next_attempt_wait(tmp_path: Path) -> None:
    store = Store()
    auth = lab(tmp_path, "auth_failure_delay = 0\n", store)
    client = hello(auth)
    client.send(plain(1, "a", "\trip=192.0.2.1"))
    assert client.out == b"FAIL\t1\tuser=alice\n"
    assert store.kept["192.0.2.1"][0] == 1
    client.out = b""
    client.send(plain(2, "wonder", "\trip=192.0.2.1"))
    auth.timers.advance(3.9)
    assert client.out == b""
    auth.timers.advance(0.2)
    assert client.out == b"OK\t2\tuser=alice\n"
    assert store.kept["192.0.2.1"][0] == 0


def test_nobody_speaks_while_waiting_for_a_penalty(tmp_path: Path) -> None:
    store = Store()
    auth = lab(tmp_path, "auth_failure_delay = 0\n", store)
    client = hello(auth)
    client.send(plain(1, "a", "\trip=192.0.2.1") + b"AUTH\t2\tPLAIN\tservice=imap\trip=192.0.2.1\n")
    client.out = b""
    client.send(b"CONT\t2\tAA==\n")
    assert client.out == b"FAIL\t2\treason=Unexpected continuation\n"
    auth.timers.advance(20)
    assert client.out == b"FAIL\t2\treason=Unexpected continuation\n"


@pytest.mark.parametrize("more", ["", "\trip=192.0.2.1\tno-penalty"])
def test_without_address_or_when_asked_there_is_no_penalty(tmp_path: Path, more: str) -> None:
    store = Store()
    auth = lab(tmp_path, "auth_failure_delay = 0\n", store)
    hello(auth).send(plain(1, "a", more))
    assert store.kept == {} and store.asked == []


def test_penalty_arithmetic() -> None:
    assert [penalty.seconds(value) for value in range(6)] == [2, 4, 8, 15, 15, 15]
    assert penalty.after_waiting(3, 100, 100) == 3
    assert penalty.after_waiting(3, 100, 114) == 3
    assert penalty.after_waiting(3, 100, 115) == 0
    assert penalty.after_waiting(1, 100, 115) == 0
    assert penalty.after_waiting(9, 100, 50) == 3, "a clock that was set back, a count that was too high"
    assert penalty.ident(AuthRequest(rip="2001:db8:1:2:3::4")) == "2001:db8:1::"
    assert penalty.ident(AuthRequest(rip="::ffff:192.0.2.9")) == "192.0.2.9"
    assert penalty.ident(AuthRequest(rip="nonsense")) == ""


def test_apop_takes_only_challenges_of_this_connection(tmp_path: Path) -> None:
    auth = lab(tmp_path, "auth_failure_delay = 0\n")
    client = hello(auth)
    cuid = client.session.connect_uid  # type: ignore[union-attr]
    start = auth.server.world.start_time

    def answer(number: int, challenge: str, password: bytes = b"wonder") -> bytes:
        digest = hashlib.md5(challenge.encode() + password).digest()
        resp = base64.b64encode(challenge.encode() + b"\0alice\0" + digest)
        client.out = b""
        client.send(b"AUTH\t%d\tAPOP\tservice=pop3\tresp=%s\n" % (number, resp))
        return client.out

    good = f"<{4711:x}.{cuid:x}.{start + 5:x}.abcd@host>"
    assert answer(1, good) == b"OK\t1\tuser=alice\n"
    assert answer(2, good, b"bad") == b"FAIL\t2\tuser=alice\n"
    for number, bad in enumerate(
        (
            f"<{4712:x}.{cuid:x}.{start + 5:x}.abcd@host>",
            f"<{4711:x}.{cuid + 1:x}.{start + 5:x}.abcd@host>",
            f"<{4711:x}.{cuid:x}.{start - 5:x}.abcd@host>",
            "<nonsense>",
        ),
        10,
    ):
        assert answer(number, bad) == b"FAIL\t%d\n" % number


@pytest.mark.parametrize("user", [b"alice", b"cram"])
def test_cram_md5(tmp_path: Path, user: bytes) -> None:
    auth = lab(tmp_path, "auth_failure_delay = 0\n")
    client = hello(auth)
    client.send(b"AUTH\t1\tCRAM-MD5\tservice=imap\n")
    challenge = base64.b64decode(client.out.split(b"\t")[2])
    assert challenge.startswith(b"<") and challenge.endswith(b"@host>")
    digest = hmac.new(b"wonder", challenge, "md5").hexdigest().encode()
    client.out = b""
    client.send(b"CONT\t1\t%s\n" % base64.b64encode(user + b" " + digest))
    assert client.out == b"OK\t1\tuser=%s\n" % user


def test_challenges_differ(tmp_path: Path) -> None:
    client = hello(lab(tmp_path))
    for number in range(1, 20):
        client.send(b"AUTH\t%d\tCRAM-MD5\tservice=imap\n" % number)
    assert len({line.split(b"\t")[2] for line in client.out.splitlines()}) == 19


def test_client_certificates(tmp_path: Path) -> None:
    auth = lab(tmp_path, "auth_ssl_require_client_cert = yes\nauth_ssl_username_from_cert = yes\n")
    client = hello(auth)
    client.send(plain(1) + plain(2, more="\tvalid-client-cert"))
    assert client.out == (
        b"FAIL\t1\treason=Client didn't present valid SSL certificate\n"
        b"FAIL\t2\treason=SSL certificate didn't contain username\n"
    )
    client.out = b""
    resp = base64.b64encode(b"\0mallory\0wonder")
    client.send(b"AUTH\t3\tPLAIN\tservice=imap\tvalid-client-cert\tcert_username=alice\tresp=%s\n" % resp)
    assert client.out == b"OK\t3\tuser=alice\toriginal_user=mallory\n"


def test_open_requests_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_module, "MAX_REQUESTS", 5)
    auth = lab(tmp_path)
    client = hello(auth)
    client.send(b"".join(b"AUTH\t%d\tPLAIN\tservice=imap\n" % n for n in range(1, 8)))
    assert client.closed
    assert client.out.count(b"CONT") == 5
    assert "has more than 5 requests open" in auth.log_text()


@pytest.mark.parametrize(("size", "closed"), [(16383, False), (16384, True), (1 << 20, True)])
def test_lines_are_bounded(tmp_path: Path, size: int, closed: bool) -> None:
    auth = lab(tmp_path)
    client = hello(auth)
    head = b"AUTH\t1\tPLAIN\tservice=imap\tresp="
    client.send(head + b"A" * (size - len(head)) + b"\n")
    assert client.closed is closed
    assert ("sent us more than 16384 bytes" in auth.log_text()) is closed


def test_no_password_and_no_cookie_in_the_log(tmp_path: Path) -> None:
    auth = lab(tmp_path, "auth_debug = yes\nauth_failure_delay = 0\n")
    client = hello(auth, "login", pid=99)
    client.send(plain(1, "verysecret") + b"AUTH\t2\tPLAIN\tservice=imap\n")
    client.send(b"CONT\t2\t%s\n" % base64.b64encode(b"\0alice\0verysecret"))
    cookie = auth.server.login_sessions[99].cookie.hex()
    master = auth.connect("auth-master")
    master.send(f"VERSION\t1\t1\nREQUEST\t1\t99\t1\t{cookie}\n".encode())
    early = auth.connect("auth-client")
    early.send(plain(1, "verysecret"))
    text = auth.log_text()
    assert "client in: AUTH" in text and "resp=<hidden>" in text
    for secret in ("verysecret", base64.b64encode(b"\0alice\0verysecret").decode()[:20], cookie, "wonder"):
        assert secret not in text


def test_hide() -> None:
    assert hide("AUTH\t1\tPLAIN\tresp=abc") == "AUTH\t1\tPLAIN\tresp=<hidden>"
    assert hide("CONT\t1\tabc") == "CONT\t1\t<hidden>"
    assert hide("REQUEST\t1\t2\t3\tabc\tsession_pid=4") == "REQUEST\t1\t2\t3\t<hidden>\tsession_pid=4"


def test_a_crash_in_a_database_is_a_temporary_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = lab(tmp_path, "auth_failure_delay = 0\n")
    monkeypatch.setattr(type(auth.database.all_passdbs[0].driver), "lookup", lambda *_args: 1 // 0)
    client = hello(auth)
    client.send(plain(1))
    assert client.out == b"FAIL\t1\tuser=alice\tcode=temp_fail\n"
    assert "ZeroDivisionError" in auth.log_text()


def test_delay_zero_answers_at_once() -> None:
    said: list[int] = []
    queue = DelayedFailures(0, FakeTimers(), lambda: 0.0)
    queue.add(lambda: said.append(1))
    assert said == [1] and len(queue) == 0

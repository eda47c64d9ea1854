"""Whatever comes on the sockets: any splitting gives the same answers, noise at most a closed connection."""

import base64
import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.authlab import MemoryAuth

CONF = """\
auth_mechanisms = plain login cram-md5 anonymous
auth_failure_delay = 0
passdb {
  driver = static
  args = password=x
}
userdb {
  driver = static
  args = uid=1 home=/%u
}
"""
HELLO = b"VERSION\t1\t2\nCPID\t5\n"
MASTER = b"VERSION\t1\t1\n"


def plain(number: int, text: bytes) -> bytes:
    return b"AUTH\t%d\tPLAIN\tservice=imap\tresp=%s\n" % (number, base64.b64encode(text))


CONVERSATION = HELLO + (
    plain(1, b"\0alice\0x")
    + plain(2, b"\0alice\0y")
    + b"AUTH\t3\tLOGIN\tservice=imap\nCONT\t3\tYWxpY2U=\nCONT\t3\teA==\n"
    + b"AUTH\t4\tPLAIN\tservice=imap\nCANCEL\t4\nCONT\t4\tAA==\n"
    + b"AUTH\t5\tPLAIN\tservice=imap\tresp=**\n"
    + plain(6, b"a\0b\0c\0d")
    + b"FOO\n"
    + plain(7, b"\0alice\0x")
)
LOOKUPS = MASTER + (
    b"USER\t1\talice\tservice=x\nPASS\t2\tbob\tservice=x\nUSER\t3\t\tservice=x\nLIST\t4\nCACHE-FLUSH\t5\nUSER\t6\n"
)


def play(where: str, pieces: list[bytes]) -> tuple[bytes, bool]:
    auth = MemoryAuth(CONF)
    connection = auth.connect(where)
    for piece in pieces:
        if not connection.closed and piece:
            connection.session.feed(piece)
    out = re.sub(rb"COOKIE\t\w+", b"COOKIE", connection.out)
    return out, connection.closed


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(marks)]


@pytest.mark.parametrize(("where", "data"), [("auth-client", CONVERSATION), ("auth-master", LOOKUPS)])
@given(places=st.lists(st.integers(0, 2000), max_size=25))
@settings(max_examples=60, deadline=None)
def test_any_splitting_gives_the_same(where: str, data: bytes, places: list[int]) -> None:
    assert play(where, cut(data, places)) == play(where, [data])


@pytest.mark.parametrize(("where", "data"), [("auth-client", CONVERSATION), ("auth-master", LOOKUPS)])
def test_byte_by_byte(where: str, data: bytes) -> None:
    assert play(where, [data[n : n + 1] for n in range(len(data))]) == play(where, [data])


WORDS = [b"AUTH", b"CONT", b"CANCEL", b"USER", b"PASS", b"LIST", b"REQUEST", b"CACHE-FLUSH"]
FIELDS = [b"1", b"2", b"PLAIN", b"LOGIN", b"service=x", b"resp=", b"resp=AA==", b"alice", b"00" * 16]
COMMANDS = st.builds(
    lambda word, rest: b"\t".join([word, *rest]),
    st.sampled_from(WORDS),
    st.lists(st.sampled_from(FIELDS) | st.binary(max_size=12), max_size=6),
)
LINES = st.lists(st.binary(max_size=60) | COMMANDS, max_size=12)


@pytest.mark.parametrize("where", ["auth-client", "login", "auth-master", "auth-userdb"])
@given(lines=LINES, greeted=st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_noise(where: str, lines: list[bytes], greeted: bool) -> None:
    auth = MemoryAuth(CONF)
    connection = auth.connect(where)
    hello = MASTER if "master" in where or "userdb" in where else HELLO
    connection.send((hello if greeted else b"") + b"\n".join(lines) + b"\n")
    auth.timers.advance(200)
    assert "Traceback" not in auth.log_text() and ".py:" not in auth.log_text()
    assert all(line.isascii() or line.isprintable() for line in auth.lines)
    connection.close()
    assert auth.server.login_sessions == {}


def test_the_examples_say_something() -> None:
    out, closed = play("auth-client", [CONVERSATION])
    assert closed
    assert out.endswith(b"code=invalid_base64\treason=Invalid base64 data in initial response\nFAIL\t6\n")
    out, closed = play("auth-master", [LOOKUPS])
    assert closed and b"USER\t1\talice\tuid=1\thome=/alice\n" in out and b"DONE\t4\tfail\n" in out

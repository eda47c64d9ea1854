"""auth-userdb is open to everybody: a peer that does not own it learns about its own uid only."""

import pytest

from pydovecot.services.auth.master_session import MAX_LINE_BYTES, Peer
from tests.support.authlab import MemoryAuth

CONF = """\
auth_verbose = yes
passdb {
  driver = static
  args = password=x
}
userdb {
  driver = static
  args = uid=1000 gid=1000 home=/h/%u allow_all_users=yes
}
"""


def ask(line: bytes, peer: Peer) -> tuple[bytes, str]:
    auth = MemoryAuth(CONF)
    connection = auth.connect("auth-userdb", peer)
    connection.out = b""
    connection.send(b"VERSION\t1\t1\n" + line + b"\n")
    return connection.out, auth.log_text()


STRANGER = Peer(5, 2000, "eve", restricted=True)
HERSELF = Peer(5, 1000, "alice", restricted=True)


def test_own_uid_is_answered() -> None:
    assert ask(b"USER\t1\talice\tservice=x", HERSELF)[0].startswith(b"USER\t1\talice\tuid=1000")


@pytest.mark.parametrize(
    ("line", "answer", "log"),
    [
        (b"USER\t1\talice\tservice=x", b"FAIL\t1\n", "userdb uid (1000) doesn't match peer uid (2000)"),
        (b"PASS\t1\talice\tservice=x", b"FAIL\t1\n", "not owned by UID 2000(eve)"),
        (b"LIST\t1\tservice=x", b"DONE\t1\tfail\n", "doesn't have permissions to list users"),
    ],
)
def test_strangers_are_refused(line: bytes, answer: bytes, log: str) -> None:
    out, text = ask(line, STRANGER)
    assert out == answer
    assert log in text


def test_even_her_own_password_entry_is_not_for_her() -> None:
    assert ask(b"PASS\t1\talice\tservice=x", HERSELF)[0] == b"FAIL\t1\n"


def test_lines_are_bounded() -> None:
    auth = MemoryAuth(CONF)
    connection = auth.connect("auth-master")
    connection.send(b"VERSION\t1\t1\n" + b"U" * MAX_LINE_BYTES)
    assert connection.closed
    assert "sent us more than 1024 bytes" in auth.log_text()

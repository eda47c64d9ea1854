"""quota-status on running servers, ours and Dovecot's: what Postfix is told of each recipient."""

import socket
from collections.abc import Iterator

import pytest

from tests.process.test_lmtp import PROGRAMS, Server
from tests.support.ports import free_ports

CONF = """
mail_plugins = quota
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:bytes=1000
  quota_max_mail_size = 5000
  {more}
}}
service quota-status {{
  executable = quota-status -p postfix
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
  client_limit = 1
}}
"""
WORDS = """
  quota_status_success = DUNNO
  quota_status_nouser = DUNNO nobody
  quota_status_overquota = "552 5.2.2 Mailbox of %u is full"
  quota_status_toolarge = "552 5.2.3 %u takes no such thing"
"""


class Status:
    """A server and a connection to its policy service."""

    def __init__(self, program: str, more: str = "") -> None:
        (port,) = free_ports(1)
        self.server = Server(program, CONF.format(port=port, more=more))
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=60)

    def ask(self, request: bytes) -> bytes:
        self._sock.sendall(request)
        data = b""
        while not data.endswith(b"\n\n"):
            more = self._sock.recv(4096)
            assert more, "closed"
            data += more
        return data

    def close(self) -> None:
        self._sock.close()
        self.server.running.close()


@pytest.fixture(params=PROGRAMS)
def plain(request: pytest.FixtureRequest) -> Iterator[Status]:
    made = Status(request.param)
    yield made
    made.close()


@pytest.fixture(params=PROGRAMS)
def worded(request: pytest.FixtureRequest) -> Iterator[Status]:
    made = Status(request.param, WORDS)
    yield made
    made.close()


def fill(status: Status, octets: int) -> None:
    """One message more, of just this size."""
    maildir = status.server.place.maildir("alice")
    for name in ("cur", "tmp", "new"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    (maildir / "new" / f"{octets}.x").write_bytes(b"x" * octets)
    status.server.place.give_to_mail_user(maildir.parent)


def test_answers(plain: Status) -> None:
    full = b"action=554 5.2.2 Quota exceeded (mailbox for user is full)\n\n"
    assert plain.ask(b"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=alice\nsize=10\n\n") == (
        b"action=OK\n\n"
    )
    assert plain.ask(b"recipient=<alice+detail>\nsize=1100\n\n") == b"action=OK\n\n"  # it may use the grace
    assert plain.ask(b"recipient=alice\nsize=1101\n\n") == full
    assert plain.ask(b"recipient=alice\nsize=5001\n\n") == (
        b"action=554 5.2.2 Mail size is larger than the maximum size allowed by server configuration\n\n"
    )
    assert plain.ask(b"recipient=nobody@here\nsize=1\n\n") == b"action=REJECT Unknown user\n\n"
    assert plain.ask(b"request=smtpd_access_policy\nsize=1\n\n") == b"action=DUNNO\n\n"
    assert plain.ask(b"recipient=alice@\nsize=1\n\n") == b"action=DUNNO\n\n"
    assert plain.ask(b"recipient=\nsize=1\n\n") == b"action=DUNNO\n\n"
    fill(plain, 900)
    assert plain.ask(b"recipient=alice\nsize=200\n\n") == b"action=OK\n\n"
    assert plain.ask(b"recipient=alice\nsize=201\n\n") == full
    fill(plain, 100)
    assert plain.ask(b"recipient=alice\r\nsize=1\r\n\r\n") == full
    assert plain.ask(b"recipient=bob\nsize=1\n\n") == b"action=OK\n\n"


def test_words_of_the_administrator(worded: Status) -> None:
    assert worded.ask(b"recipient=alice\nsize=1\n\n") == b"action=DUNNO\n\n"
    assert worded.ask(b"recipient=nobody@here\nsize=1\n\n") == b"action=DUNNO nobody\n\n"
    assert worded.ask(b"recipient=alice\nsize=2000\n\n") == b"action=552 5.2.3 alice takes no such thing\n\n"
    assert worded.ask(b"recipient=alice\nsize=5001\n\n") == b"action=552 5.2.3 alice takes no such thing\n\n"
    fill(worded, 1000)
    assert worded.ask(b"recipient=alice\nsize=1\n\n") == b"action=552 5.2.2 Mailbox of alice is full\n\n"

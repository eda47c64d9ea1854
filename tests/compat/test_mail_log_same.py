"""mail_log: the same conversation makes the same lines in the log of both servers."""

import re
import socket
import time

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.echo_master import wait_until
from tests.support.serverconf import PASSWORD

pytestmark = [
    pytest.mark.compat,
    pytest.mark.process,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "-"),
]
WAIT_SECS = 20.0
ALL = """plugin {
  mail_log_events = delete undelete expunge save copy mailbox_create mailbox_delete mailbox_rename flag_change
  mail_log_fields = uid box msgid size vsize from subject flags
}
"""
SETTINGS = {
    "defaults": "mail_plugins = notify mail_log\n",
    "everything": "mail_plugins = notify mail_log\n" + ALL,
    "nothing but the event": "mail_plugins = mail_log notify\nplugin {\n  mail_log_fields = flags\n}\n",
}
USUAL = (
    b"From: Ada <ada@example.org>\r\nTo: bob@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and more\r\n"
    b"Message-ID: <one@example.org>\r\n\r\nbody\r\n"
)
BARE = b"Subject: no id\r\nFrom: a@b, c@d\r\n\r\nbody\r\n"
LONG = (
    b"Subject: " + b"x" * 200 + b'\r\nMessage-ID: <a b\x01>\r\nFrom: "\x01y" <' + b"z" * 100 + b"@q>\r\n\r\n"
)
NO_HEADER = b"\r\nonly a body\r\n"
# Commands, some with a literal.
IMAP: tuple[tuple[bytes, bytes], ...] = (
    (b"append inbox", USUAL), (b"append inbox (\\Seen $Label1)", BARE), (b"append inbox (\\Deleted)", LONG),
    (b"append inbox (\\Draft \\Answered b a)", NO_HEADER),
    (b"create Work", b""), (b"create Work.Sub", b""), (b"select inbox", b""),
    (b"store 1 +flags (\\Seen)", b""), (b"store 1 +flags (\\Seen)", b""),
    (b"store 1:2 +flags (\\Deleted \\Flagged kw)", b""), (b"store 1:2 flags.silent (\\Deleted)", b""),
    (b"store 2 -flags (\\Deleted)", b""), (b"store 1:3 +flags (\\Answered)", b""), (b"store 1 flags ()", b""),
    (b"copy 1:2 Work", b""), (b"uid move 2 Work", b""), (b"fetch 1 body[]", b""), (b"uid expunge 1", b""),
    (b"expunge", b""), (b"rename Work Jobs", b""), (b"delete Jobs.Sub", b""), (b"delete Jobs", b""),
    (b"store 1 +flags (\\Deleted)", b""), (b"close", b""), (b"append inbox", USUAL), (b"logout", b""),
)  # fmt: skip
POP3 = (b"user alice", b"pass " + PASSWORD.encode(), b"retr 1", b"dele 1", b"quit")


def converse(server: Cluster | DovecotInstance) -> None:
    """All of it, one command after the other."""
    with (
        socket.create_connection(("127.0.0.1", server.imap), WAIT_SECS) as sock,
        sock.makefile("rb") as lines,
    ):
        lines.readline()
        for number, (command, literal) in enumerate(((f"login alice {PASSWORD}".encode(), b""), *IMAP)):
            tail = b" {%d+}\r\n%b" % (len(literal), literal) if literal else b""
            sock.sendall(b"t%d %b%b\r\n" % (number, command, tail))
            while not (line := lines.readline()).startswith(b"t%d " % number):
                assert line, command
            assert line.startswith(b"t%d OK" % number), (command, line)
    with (
        socket.create_connection(("127.0.0.1", server.pop3), WAIT_SECS) as sock,
        sock.makefile("rb") as lines,
    ):
        lines.readline()
        for command in POP3:
            sock.sendall(command + b"\r\n")
            assert lines.readline().startswith(b"+OK"), command
            if command.startswith(b"retr"):
                while lines.readline() != b".\r\n":
                    pass


def told(server: Cluster | DovecotInstance) -> list[str]:
    """The lines of the mail processes, without what is no event."""
    end = time.monotonic() + WAIT_SECS
    while "pop3(alice)" not in (log := server.place.log_text()) or "del=1/" not in log:
        assert time.monotonic() < end, log
        time.sleep(0.02)
    found = re.findall(r"((?:imap|pop3)\(alice\))<.*?><.*?>: (.*)", log)
    return [f"{who}: {line}" for who, line in found if "Disconnected" not in line]


@pytest.mark.parametrize("name", SETTINGS)
def test_lines(name: str) -> None:
    with DovecotInstance(SETTINGS[name]) as dovecot:
        converse(dovecot)
        theirs = told(dovecot)
    with Cluster(SETTINGS[name]) as cluster:
        converse(cluster)
        ours = told(cluster)
    assert ours == theirs
    assert len(ours) > 10


def test_unknown_words_are_refused() -> None:
    wrong = "mail_plugins = mail_log notify\nplugin {\n  mail_log_events = save purge\n}\n"
    with Cluster(wrong) as cluster, socket.create_connection(("127.0.0.1", cluster.imap), WAIT_SECS) as sock:
        sock.sendall(f"a login alice {PASSWORD}\r\n".encode())
        while data := sock.recv(4096):
            assert b"a OK [" not in data
        refusal = "Unknown event in mail_log_events: 'purge'"
        wait_until(lambda: refusal in cluster.place.log_text(), "the refusal")

"""Quota settings on both servers: what IMAP, LMTP and quota-status answer, and maildirsize, are Dovecot's."""

import contextlib
import re
import socket
from collections.abc import Iterator

import pytest

from tests.process.test_lmtp import Client
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.ports import free_ports
from tests.support.serverconf import ServerDir
from tests.support.wire import WireConnection

pytestmark = [
    pytest.mark.process,
    pytest.mark.compat,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
]
CONF = """\
protocols = imap pop3 lmtp
auth_failure_delay = 0
hostname = mx.example.org
mail_plugins = quota
protocol imap {{
  mail_plugins = quota imap_quota
}}
plugin {{
  quota_vsizes = yes
}}
namespace other {{
  prefix = Other/
  separator = /
  location = maildir:~/Other
}}
namespace inbox {{
  separator = /
}}
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = passwd-file
  args = {root}/users
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
# A user for each; the fields stand for settings in plugin {}.
USERS = {
    "none": "",
    "nolimit": "quota=count:Q",
    "storage": "quota=count:Q quota_rule=*:storage=4",
    "bytes": "quota=count:Q quota_rule=*:bytes=3000",
    "messages": "quota=count:Q quota_rule=*:messages=3",
    "both": "quota=count:Q quota_rule=*:storage=4:messages=3",
    "units": "quota=count:Q quota_rule=*:storage=1M:messages=1k",
    "more": "quota=count:Q quota_rule=*:bytes=2500 quota_rule2=Trash:bytes=+2000",
    "absolute": "quota=count:Q quota_rule=*:bytes=2500 quota_rule2=Trash:bytes=2000",
    "percent": "quota=count:Q quota_rule=*:bytes=2500 quota_rule2=Trash:storage=+50%%",
    "less": "quota=count:Q quota_rule=*:bytes=2500 quota_rule2=Trash:storage=-50%%",
    "ignored": "quota=count:Q quota_rule=*:bytes=2500 quota_rule2=Trash:ignore",
    "wild": "quota=count:Q quota_rule=*:bytes=2500 quota_rule2=T*:ignore",
    "question": "quota=count:Q quota_rule=?:bytes=2500",
    "lower": "quota=count:Q quota_rule=*:bytes=2500 quota_rule2=inbox:bytes=+1000",
    "grace": "quota=count:Q quota_rule=*:bytes=2500 quota_grace=50%%",
    "gracebytes": "quota=count:Q quota_rule=*:bytes=2500 quota_grace=2k",
    "nograce": "quota=count:Q quota_rule=*:bytes=2500 quota_grace=0",
    "hidden": "quota=count:Q:hidden quota_rule=*:bytes=2500",
    "noenforcing": "quota=count:Q:noenforcing quota_rule=*:bytes=2500",
    "ignoreunlimited": "quota=count:Q:ignoreunlimited",
    "namespace": "quota=count:Q:ns=Other/ quota_rule=*:bytes=2500",
    "namespaces": "quota=count:Q:ns= quota_rule=*:bytes=2500 "
    "quota2=count:P:ns=Other/ quota2_rule=*:bytes=1500",
    "two": "quota=count:Q quota_rule=*:bytes=9000 quota2=count:P quota2_rule=*:messages=2",
    "twice": "quota=count:Q quota_rule=*:bytes=9000 quota2=maildir:Q quota2_rule=*:bytes=2500",
    "exceeded": "quota=count:Q quota_rule=*:bytes=2500 quota_exceeded_message=Full!",
    "largest": "quota=count:Q quota_rule=*:bytes=9000 quota_max_mail_size=800",
    "largestonly": "quota_max_mail_size=800",
    "noname": "quota=count quota_rule=*:bytes=2500",
    "colon": "quota=count: quota_rule=*:bytes=2500",
    "nothing": "quota=count:Q quota_rule=*:bytes=0",
    "maildir": "quota=maildir:Q quota_rule=*:bytes=2500",
    "maildirboth": "quota=maildir:Q quota_rule=*:storage=3:messages=2 quota_vsizes=no",
    "maildirtrash": "quota=maildir:Q quota_rule=*:bytes=2500 quota_rule2=Trash:ignore",
    "maildirnolimit": "quota=maildir:Q",
    "maildirbackend": "quota=maildir:Q quota_rule=*:backend=2500S,9C",
    "maildirnamespace": "quota=maildir:Q:ns=Other/ quota_rule=*:bytes=2500",
    "admin": "quota=count:Q quota_rule=*:bytes=2500 admin=y",
    "adminbad": "quota=count:Q quota_rule=*:bytes=2500 admin=y quota_set=foo",
    "adminmaildir": "quota=maildir:Q quota_rule=*:bytes=2500 quota_vsizes=no admin=y",
    "novsizes": "quota=count:Q quota_vsizes=no",
    "badbackend": "quota=nonsense:Q",
    "badrule": "quota=count:Q quota_rule=nonsense",
    "badlimit": "quota=count:Q quota_rule=*:storage=x",
    "badname": "quota=count:Q quota_rule=*:size=5",
    "badgrace": "quota=count:Q quota_rule=*:bytes=2500 quota_grace=x",
    "badoption": "quota=count:Q:foo",
    "badwarning": "quota=count:Q quota_warning=storage=80%%",
    "badlargest": "quota=count:Q quota_max_mail_size=x",
}
_VARIES = re.compile(r" \([\d.]+ \+ [\d. +]+ secs\)|\[MAILBOXID \(\w+\)\] |\[20[-\d]+ [\d:]+\]|(?<=UID )\d+ ")
FIRST = """\
GETQUOTAROOT INBOX
GETQUOTAROOT Nowhere
GETQUOTAROOT Other/x
GETQUOTA Q
GETQUOTA ""
GETQUOTA
GETQUOTA Nope
CREATE Trash
CREATE Other/Box
GETQUOTAROOT Trash
GETQUOTAROOT Other/Box
SETQUOTA
SETQUOTA Q
SETQUOTA Q STORAGE
SETQUOTA Q ()
SETQUOTA Q (STORAGE 100)
SETQUOTA Q (STORAGE x)
SETQUOTA Q (STORAGE)
SETQUOTA Q (FOO 1)
SETQUOTA Nope (STORAGE 1)
SETQUOTA Q (STORAGE 1 MESSAGE 2)
GETQUOTA Q
"""
LAST = """\
GETQUOTAROOT INBOX
GETQUOTAROOT Trash
GETQUOTAROOT Other/Box
SELECT INBOX
COPY 1 Trash
COPY 1:* Other/Box
MOVE 1 Trash
GETQUOTA Q
STORE 1 +FLAGS.SILENT \\Deleted
EXPUNGE
GETQUOTA Q
DELETE Trash
GETQUOTA Q
CLOSE
"""
_DELIVERED = re.compile(r"<\w+> \S+ Saved")


class Server:
    """One of the two."""

    def __init__(self, kind: type[Cluster] | type[DovecotInstance]) -> None:
        self.place = ServerDir.make()
        (self.port,) = free_ports(1)
        ids = f"{self.place.mail_uid}:{self.place.mail_gid}"
        lines = []
        for user, fields in USERS.items():
            own = " ".join(f"userdb_{word}" for word in fields.split())
            lines.append(f"{user}:{{PLAIN}}x:{ids}::{self.place.home(user)}::{own}\n")
        (self.place.root / "users").write_text("".join(lines))
        (self.place.root / "users").chmod(0o644)
        conf = CONF.format(root=self.place.root, port=self.port)
        self.running = kind(conf, static_users=False, place=self.place).start()

    def close(self) -> None:
        self.running.close()


class Session:
    """An IMAP client; `said` is all that the server says after LOGIN."""

    def __init__(self, server: Server, user: str) -> None:
        self._wire = WireConnection(server.running.imap)
        self._rest = b""
        self.said: list[str] = []
        self._line()
        self.alive = True
        self.say(f"LOGIN {user} x")
        self.said.clear()

    def _line(self) -> bytes:
        while b"\r\n" not in self._rest:
            more = self._wire.receive()
            if not more:
                self.alive = False
                return b""
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line

    def say(self, text: str) -> None:
        if not self.alive:
            return
        self._wire.send(f"t {text}\r\n".encode())
        line = b""
        while self.alive and not line.startswith(b"t "):
            line = self._line()
            self.said.append(f"{text.split(chr(13))[0]} -> " + _VARIES.sub("", line.decode()))

    def append(self, mailbox: str, octets: int) -> None:
        text = "Subject: x\r\n\r\n" + "y" * (octets - 16) + "\r\n"
        self.say(f"APPEND {mailbox} {{{octets}+}}\r\n{text}")

    def close(self) -> None:
        self._wire.close()


def asked(server: Server, user: str) -> list[str]:
    """All answers of IMAP."""
    session = Session(server, user)
    for line in FIRST.splitlines():
        session.say(line)
    for _ in range(4):
        session.append("INBOX", 900)
    for mailbox in ("Trash", "Trash", "Other/Box", "Other/Box"):
        session.append(mailbox, 900)
    session.append("INBOX", 20)
    for line in LAST.splitlines():
        session.say(line)
    session.close()
    return [line for line in session.said if not line.startswith("SELECT")]


def delivered(server: Server, user: str) -> list[str]:
    """The answers of LMTP to messages that come in one after the other."""
    client = Client(WireConnection(str(server.place.run / "lmtp")))
    found = []
    client.say("LHLO x")
    for octets in (500, 900, 900, 900, 900):
        message = b"Subject: x\r\n\r\n" + b"y" * octets + b"\r\n"
        client.say("MAIL FROM:<a@b>")
        answer = client.say(f"RCPT TO:<{user}>")
        if answer.startswith("250"):
            client.say("DATA")
            client.send(message + b".\r\n")
            answer = client.reply()
        found.append(_DELIVERED.sub("Saved", answer))
        client.say("RSET")
    client.close()
    return found


def status(server: Server, user: str) -> list[str]:
    """What Postfix is told about messages of some sizes."""
    found = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
        for octets in (1, 700, 900, 3000, 10**9):
            sock.sendall(f"request=smtpd_access_policy\nrecipient={user}\nsize={octets}\n\n".encode())
            data = b""
            while not data.endswith(b"\n\n"):
                more = sock.recv(4096)
                assert more, "closed"
                data += more
            found.append(f"{octets}: {data.decode().strip()}")
    return found


def maildirsize(server: Server, user: str) -> list[str]:
    """Limits and sums of the files that are there.

    When it is counted anew may differ, and Dovecot then counts other sizes than quota_vsizes asks for.
    """
    home = server.place.home(user)
    found = []
    for path in sorted(home.rglob("maildirsize")):
        first, *lines = path.read_text().splitlines()
        octets, messages = (sum(int(line.split()[column]) for line in lines) for column in (0, 1))
        shown = octets if "quota_vsizes=no" in USERS[user] else ""
        found.append(f"{path.relative_to(home)}: {first} {messages} {shown}")
    return found


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with contextlib.ExitStack() as stack:
        made = []
        for kind in (DovecotInstance, Cluster):
            made.append(Server(kind))
            stack.callback(made[-1].close)
        yield made[0], made[1]


@pytest.mark.parametrize("user", USERS)
def test_answers(servers: tuple[Server, Server], user: str) -> None:
    theirs, mine = (
        [
            *asked(server, user),
            *(f"LMTP {line}" for line in delivered(server, user)),
            *status(server, user),
            *maildirsize(server, user),
        ]
        for server in servers
    )
    different = [pair for pair in zip(theirs, mine, strict=False) if pair[0] != pair[1]]
    assert not different
    assert len(mine) == len(theirs)

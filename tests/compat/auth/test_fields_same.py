"""Extra fields of passdbs and userdbs: our answers and log lines are Dovecot's.

For each user: a login, what its mail process is told (REQUEST), and USER and PASS lookups.
"""

import base64
import contextlib
import itertools
import re
import secrets
import time
from collections.abc import Iterator

import pytest

from tests.support import authlab
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.serverconf import ServerDir

pytestmark = [
    pytest.mark.process,
    pytest.mark.compat,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
]
CONF = """\
auth_failure_delay = 0
auth_verbose = yes
auth_mechanisms = plain
auth_master_user_separator = *
%(more)s
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%u %(root)s/masters
  master = yes
}
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%u %(root)s/users
}
userdb {
  driver = prefetch
}
userdb {
  driver = passwd-file
  args = username_format=%%u %(root)s/users
  default_fields = mail=maildir:~/d quota_rule=*:storage=1M
  override_fields = nice=5
}
"""
NOW = int(time.time())
FIELDS = {
    "bob": "",
    "username": "username=bob",
    "username@a.org": "username=bob",
    "domain@a.org": "domain=b.org",
    "domainless": "domain=b.org",
    "noscheme": "password_noscheme={PLAIN}x",
    "second": "password={PLAIN}other",
    "loginuser": "login_user=bob",
    "realnets": "allow_real_nets=10.0.0.0/8",
    "nets6": "allow_nets=2001:db8::/32,192.0.2.1",
    "badnets": "allow_nets=foo,10.0.0.0/8",
    "local": "allow_nets=local",
    "noauth": "noauthenticate=y",
    "delay": f"delay_until={NOW + 20}",  # somewhat later than the tests begin
    "delayed": f"delay_until={NOW - 10}+2",
    "baddelay": "delay_until=x",
    "badrandom": f"delay_until={NOW - 10}+x",
    "nevermore": f"delay_until={NOW + 4000}",
    "import": "passdb_import=foo=1 bar=2",
    "failed": "fail=no",
    "nologin": "nologin=no reason=why",
    "prefetched": "userdb_uid=1001 userdb_gid=1002 userdb_home=/pre userdb_mail=mbox:~/x",
    "preimport": "userdb_uid=1001 userdb_userdb_import=chroot=/c",
    "baduid": "userdb_uid=no-such-user-x userdb_home=/x",
    "badgid": "userdb_gid=no-such-group",
    "tempfail": "userdb_tempfail=yes",
    "uidfile": "userdb_uidgid_file=/etc/passwd",
    "system": "userdb_uid=daemon userdb_gid=daemon userdb_home=/x userdb_system_groups_user=daemon",
    "userdbuser": "userdb_user=bob userdb_home=/u",
    "settings": "userdb_event_x=1 userdb_master_user=foo userdb_namespace/inbox/prefix=a/ userdb_nice=3",
    "vars": "foo=%u-%n-%d-%s-%r-%l baz=%%x",
    "flags": "foo= bar forward_x=1 event_x=1",
    "quota": "userdb_quota_rule=*:storage=5G userdb_quota_rule2=Trash:storage=+10%%",
    "oldform": ": maildir:~/old userdb_home=/moved",
}
# The user as given, the address, more parameters.
LOGINS = [
    *((user, "") for user in FIELDS),
    ("bob*boss", ""),
    ("bob*boss2", ""),
    ("nobody*boss", ""),
    ("realnets", "\treal_rip=11.1.1.1"),
    ("nets6", "\trip=2001:db8::5"),
    ("nets6", "\trip=192.0.2.1"),
    ("nets6", "\trip=192.0.2.2"),
]
_DIFFERS = re.compile(r"^.{16}| \(created .*\)$")


class Server:
    """A running server with its auth sockets open."""

    def __init__(self, kind: type[Cluster] | type[DovecotInstance], more: str = "") -> None:
        self.place = ServerDir.make()
        self.users = self.place.root / "users"
        self.write(
            "".join(
                f"{user}:{{PLAIN}}x:1000:1000::/srv/{user}::{fields}\n" for user, fields in FIELDS.items()
            )
        )
        masters = self.place.root / "masters"
        masters.write_text("boss:m\nboss2:m::::::userdb_home=/master\n")
        masters.chmod(0o644)
        conf = CONF % {"root": self.place.root, "more": more}
        self._made = kind(conf, static_users=False, place=self.place).start()
        self._lab = authlab.SocketAuth("", self.place.run, self.place.log_text)
        self._ids = itertools.count(1)
        self._login = self._lab.connect("login/login")
        while (line := self._line(self._login)) != "DONE":
            if line.startswith("COOKIE"):
                self._cookie = line.split("\t")[1]
        self._login.send(b"VERSION\t1\t2\nCPID\t4242\n")
        self._master = self._lab.connect("auth-master")
        while not self._line(self._master).startswith("SPID"):
            pass
        self._master.send(b"VERSION\t1\t1\n")

    def write(self, text: str) -> None:
        self.users.write_text(text)
        self.users.chmod(0o644)

    def close(self) -> None:
        self._login.close()
        self._master.close()
        self._made.close()

    def _line(self, connection: authlab.Connection) -> str:
        line = self._lab.line(connection, 40.0)
        assert line
        return line.decode().rstrip("\n")

    def login(self, user: str, password: str, more: str = "") -> str:
        """The answer, without its id."""
        self._id = next(self._ids)
        response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        address = "rip=10.0.0.7\tlip=10.0.0.200"
        line = f"AUTH\t{self._id}\tPLAIN\tservice=imap\tno-penalty\t{address}{more}\tresp={response}\n"
        self._login.send(line.encode())
        return self._line(self._login).replace(f"\t{self._id}", "", 1)

    def ask(self, line: str) -> str:
        """The master's answer."""
        self._master.send(line.encode() + b"\n")
        return self._line(self._master)

    def everything(self, user: str, more: str) -> list[str]:
        """All answers about a user, and what was logged meanwhile."""
        before = len(self.place.log_text())
        said = [self.login(user, "m" if "boss" in user else "x", more)]
        if said[0].startswith("OK"):
            said.append(self.ask(f"REQUEST\t1\t4242\t{self._id}\t{self._cookie}"))
        name = user.partition("*")[0]
        said += [self.ask(f"{what}\t2\t{name}\tservice=lmtp") for what in ("USER", "PASS")]
        log = self._log_with_all(before).splitlines()
        return said + [
            _DIFFERS.sub("", line).replace(f"4242.{self._id}", "4242.N") for line in log if " auth: " in line
        ]

    def _log_with_all(self, before: int) -> str:
        """The log from there on: lines come in order through the log process, a complaint about us last."""
        mark = f"MARK{secrets.token_hex(4)}"
        last = self._lab.connect("auth-master")
        last.send(f"VERSION\t1\t1\n{mark}\n".encode())
        deadline = time.monotonic() + 60
        while mark not in (log := self.place.log_text()[before:]):
            assert time.monotonic() < deadline, log
            time.sleep(0.02)
        last.close()
        return "\n".join(line for line in log.splitlines() if mark not in line)


@contextlib.contextmanager
def both(more: str = "") -> Iterator[tuple[Server, Server]]:
    dovecot = Server(DovecotInstance, more)
    try:
        ours = Server(Cluster, more)
        try:
            yield dovecot, ours
        finally:
            ours.close()
    finally:
        dovecot.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with both() as made:
        yield made


@pytest.mark.parametrize(("user", "more"), LOGINS)
def test_fields(servers: tuple[Server, Server], user: str, more: str) -> None:
    theirs, mine = (server.everything(user, more) for server in servers)
    assert mine == theirs


def test_delay_until_delays() -> None:
    with both() as servers:
        for server in servers:
            until = int(time.time()) + 5
            server.write(f"late:{{PLAIN}}x:1000:1000::/srv/late::delay_until={until}\n")
            assert server.login("late", "y").startswith("FAIL\tuser=late")
            assert time.time() < until  # only a right password is told late
            assert server.login("late", "x") == "OK\tuser=late\t"
            assert time.time() >= until

"""The auth cache over a SQLite database that changes and fails: our answers are Dovecot's."""

import contextlib
import itertools
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.support import authlab
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.serverconf import ServerDir

pytestmark = [
    pytest.mark.process,
    pytest.mark.compat,
    pytest.mark.skipif(
        bool(dovecot_missing()) or not Path("/usr/lib/dovecot/modules/auth/libdriver_sqlite.so").exists(),
        reason="Dovecot with SQLite is not installed",
    ),
]
CONF = """\
auth_failure_delay = 0
auth_verbose = yes
auth_mechanisms = plain
auth_cache_size = 1M
auth_cache_ttl = %(ttl)s
auth_cache_negative_ttl = %(ttl)s
passdb {
  driver = sql
  args = %(root)s/sql.conf
}
userdb {
  driver = sql
  args = %(root)s/sql.conf
}
"""
SQL_CONF = """\
driver = sqlite
connect = %(root)s/users.sqlite
default_pass_scheme = PLAIN
password_query = SELECT name AS user, pw AS password FROM people WHERE name = '%%u'
user_query = SELECT '/srv/' || mail AS home, 1000 AS uid, 1000 AS gid FROM people WHERE name = '%%u'
"""


class Server:
    """One of the two, with its own database."""

    def __init__(self, kind: type[Cluster] | type[DovecotInstance], ttl: str) -> None:
        self.place = ServerDir.make()
        root = {"root": self.place.root, "ttl": ttl}
        self.run(
            "CREATE TABLE people (name, pw, mail);"
            "INSERT INTO people VALUES ('alice', 'one', 'old'), ('bob', 'one', 'old')"
        )
        (self.place.root / "sql.conf").write_text(SQL_CONF % root)
        for name in ("users.sqlite", "sql.conf"):
            (self.place.root / name).chmod(0o644)
        self._made = kind(CONF % root, static_users=False, place=self.place).start()
        self._lab = authlab.SocketAuth("", self.place.run, self.place.log_text)
        self._ids = itertools.count(1)

    def run(self, statements: str) -> None:
        connection = apsw.Connection(str(self.place.root / "users.sqlite"))
        connection.set_busy_timeout(5000)
        connection.execute(statements)
        connection.close()

    def close(self) -> None:
        self._made.close()

    def _talk(self, where: str, hello: bytes, line: bytes) -> str:
        connection = self._lab.connect(where)
        try:
            last = b"DONE" if where == "auth-client" else b"SPID"
            while not (self._lab.line(connection, 10.0) or last).startswith(last):
                pass
            connection.send(hello + line)
            answer = self._lab.line(connection, 10.0)
            assert answer
            return answer.decode().rstrip("\n")
        finally:
            connection.close()

    def login(self, user: str, password: str) -> str:
        number = next(self._ids)
        response = b64encode(f"\0{user}\0{password}".encode())
        line = b"AUTH\t1\tPLAIN\tservice=imap\tno-penalty\trip=10.0.0.1\tresp=%b\n" % response
        return self._talk("auth-client", b"VERSION\t1\t2\nCPID\t%d\n" % (5000 + number), line)

    def ask(self, line: str) -> str:
        return self._talk("auth-master", b"VERSION\t1\t1\n", line.encode() + b"\n")


@contextlib.contextmanager
def both(ttl: str) -> Iterator[tuple[Server, Server]]:
    with contextlib.ExitStack() as stack:
        made = []
        for kind in (DovecotInstance, Cluster):
            made.append(Server(kind, ttl))
            stack.callback(made[-1].close)
        yield made[0], made[1]


def _changing(server: Server) -> Iterator[tuple[str, str]]:
    """Answers, and what they show."""
    yield server.login("alice", "one"), "asked and kept"
    yield server.login("carol", "one"), "unknown, and kept"
    yield server.ask("USER\t1\talice\tservice=lmtp"), "kept"
    yield server.ask("USER\t1\tcarol\tservice=lmtp"), "kept"
    server.run("UPDATE people SET pw = 'two', mail = 'new'")
    server.run("INSERT INTO people VALUES ('carol', 'one', 'new')")
    yield server.login("alice", "one"), "the old password"
    yield server.login("carol", "one"), "still unknown"
    yield server.ask("USER\t2\talice\tservice=lmtp"), "the old home"
    yield server.ask("USER\t2\tcarol\tservice=lmtp"), "still unknown"
    yield server.ask("PASS\t3\talice\tservice=lmtp"), "from the cache"
    yield server.login("alice", "two"), "a mismatch after a success asks again"
    yield server.login("alice", "one"), "and the new password counts"
    yield server.login("alice", "two"), ""
    yield server.ask("CACHE-FLUSH\t4").partition("\t")[0], "all is forgotten"
    yield server.login("carol", "one"), "known now"
    yield server.ask("USER\t5\talice\tservice=lmtp"), "the new home"
    yield server.login("alice", "two"), "kept"
    server.run("ALTER TABLE people RENAME TO persons")
    yield server.login("alice", "two"), "the database fails, the cache answers"
    yield server.ask("USER\t6\talice\tservice=lmtp"), "so here"
    yield server.login("bob", "two"), "nothing in the cache"
    yield server.ask("USER\t7\tbob\tservice=lmtp"), ""
    yield server.ask("PASS\t7\tbob\tservice=lmtp"), ""


def test_changes_are_seen_when_the_cache_lets_them() -> None:
    with both("1 hour") as (dovecot, ours):
        theirs, mine = list(_changing(dovecot)), list(_changing(ours))
    assert mine == theirs
    said = {why: answer for answer, why in mine}
    assert said["the old password"] == said["the database fails, the cache answers"] == "OK\t1\tuser=alice\t"
    assert said["nothing in the cache"] == "FAIL\t1\tuser=bob\tcode=temp_fail"


def test_the_cache_outlives_the_database() -> None:
    """An answer whose time is over is better than none."""
    with both("1 s") as servers:
        for server in servers:
            assert server.login("alice", "one") == "OK\t1\tuser=alice\t"
            user = server.ask("USER\t1\talice\tservice=lmtp")
            server.run("ALTER TABLE people RENAME TO persons")
        time.sleep(2.1)
        said = [
            (
                server.login("alice", "one"),
                server.login("alice", "two"),
                server.ask("USER\t1\talice\tservice=lmtp"),
                server.login("bob", "one"),
            )
            for server in servers
        ]
    assert said[1] == said[0]
    assert said[1][0] == "OK\t1\tuser=alice\t" and said[1][2] == user


def test_flush_of_one_user() -> None:
    with both("1 hour") as (_, ours):
        for user in ("alice", "bob"):
            assert ours.login(user, "one").startswith("OK")
            ours.ask(f"USER\t1\t{user}\tservice=lmtp")
        ours.run("UPDATE people SET pw = 'two', mail = 'new'")
        assert ours.ask("CACHE-FLUSH\t2\tALICE\tnobody") == "OK\t2\t2"
        assert ours.login("alice", "one").startswith("FAIL")
        assert ours.login("bob", "one").startswith("OK")
        assert "home=/srv/new" in ours.ask("USER\t3\talice\tservice=lmtp")
        assert "home=/srv/old" in ours.ask("USER\t3\tbob\tservice=lmtp")

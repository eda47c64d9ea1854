"""Known vulnerabilities of authentication, one regression test for each class."""

import base64
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from pydovecot.authdb.request import AuthRequest
from pydovecot.sasl.registry import MECHANISMS
from tests.support.authlab import MemoryAuth, MemoryConnection


def hello(auth: MemoryAuth, where: str = "login/login") -> MemoryConnection:
    connection = auth.connect(where)
    assert isinstance(connection, MemoryConnection)
    connection.send(b"VERSION\t1\t2\nCPID\t77\n")
    connection.out = b""
    return connection


def said(connection: MemoryConnection, line: str) -> str:
    connection.send(line.encode("utf-8", "surrogateescape") + b"\n")
    out, connection.out = connection.out, b""
    return out.decode("utf-8", "surrogateescape")


def b64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def login(auth: MemoryAuth, user: str, password: str) -> str:
    connection = hello(auth)
    response = b64("\0" + user + "\0" + password)
    answer = said(connection, f"AUTH\t1\tPLAIN\tservice=imap\tresp={response}")
    connection.close()
    return answer


# -- CVE-2022-30550: two passdbs of the same driver and args get each other's settings

SAME = """\
auth_failure_delay = 0
auth_mechanisms = plain login
auth_master_user_separator = *
passdb {
  driver = passwd-file
  args = %(users)s
  master = yes
  username_filter = boss
}
passdb {
  driver = passwd-file
  args = %(users)s
  username_filter = alice
  mechanisms = plain
}
passdb {
  driver = passwd-file
  args = %(users)s
  username_filter = bob
  mechanisms = login
  override_fields = from=third
}
"""


def test_passdbs_alike_keep_their_own_settings(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("".join(f"{user}:{{PLAIN}}x\n" for user in ("alice", "bob", "boss", "carol")))
    auth = MemoryAuth(SAME % {"users": users})
    assert login(auth, "alice", "x").startswith("OK\t1\tuser=alice")
    assert login(auth, "bob", "x").startswith("FAIL"), "its mechanism is another one"
    for user in ("boss", "carol"):
        assert login(auth, user, "x").startswith("FAIL"), "no passdb is for them"
    assert login(auth, "alice*boss", "x").startswith("OK\t1\tuser=alice")
    for user in ("boss*alice", "alice*carol", "boss*bob", "carol*alice"):
        assert login(auth, user, "x").startswith("FAIL"), "only boss is a master"


# -- CVE-2016-8652: an authentication that is broken off takes the process along

MANY = """\
auth_failure_delay = 0
auth_ssl_username_from_cert = yes
passdb {
  driver = static
  args = password=x
}
"""
ALL = f"auth_mechanisms = {' '.join(sorted(MECHANISMS)).lower()}\n"
FIRST = {
    "CRAM-MD5": None,
    "DIGEST-MD5": None,
    "EXTERNAL": "",
    "LOGIN": "alice",
    "PLAIN": "\0alice\0x",
    "SCRAM-SHA-1": "n,,n=alice,r=nonce",
    "SCRAM-SHA-256": "n,,n=alice,r=nonce",
    "ANONYMOUS": "trace",
    "APOP": "<1.1.1.1@host>\0alice\0" + "d" * 16,
}


@pytest.mark.parametrize("name", sorted(MECHANISMS))
@pytest.mark.parametrize("end", ["CANCEL\t1", "CONT\t1\t", "CONT\t1\t" + b64("*"), "CONT\t1\t!", "close"])
def test_breaking_off_ends_one_request(name: str, end: str) -> None:
    auth = MemoryAuth(ALL + MANY)
    initial = FIRST[name]
    for first in (None, "", initial):
        connection = hello(auth)
        response = "" if first is None else f"\tresp={b64(first) or '='}"
        answer = said(connection, f"AUTH\t1\t{name}\tservice=imap{response}")
        if end == "close":
            connection.close()
        else:
            said(connection, end)
            assert not connection.closed
            connection.close()
        assert len(connection.session.handler) == 0, answer  # type: ignore[union-attr]
    assert login(auth, "alice", "x").startswith("OK")
    assert "Traceback" not in auth.log_text() and "failed:" not in auth.log_text()


# -- CVE-2026-24031, CVE-2026-27860: names with anything in them, where auth_username_chars is empty

TABLE = """\
CREATE TABLE people (name TEXT, domain TEXT, pw TEXT);
INSERT INTO people VALUES ('alice', 'example.org', 'secret'), ('o''neil', 'example.org', 'clover')
"""
SQL = """\
driver = sqlite
connect = {folder}/users.sqlite
default_pass_scheme = PLAIN
password_query = SELECT name, domain, pw AS password FROM people WHERE name = '%n' AND domain = '%d'
user_query = SELECT '/h/' || name AS home, 5 AS uid, 5 AS gid FROM people WHERE name = '%n' AND domain = '%d'
"""
SQL_CONF = """\
auth_failure_delay = 0
auth_username_chars =
auth_cache_size = 1M
passdb {
  driver = sql
  args = %(folder)s/sql.conf
}
userdb {
  driver = sql
  args = %(folder)s/sql.conf
}
"""
INJECTIONS = (
    "' OR '1'='1@example.org",
    "alice' --@example.org",
    "alice@example.org' OR domain='example.org",
    "alice' AND domain='example.org@",
    "alice'/*@*/'example.org",
    "x' UNION SELECT 'alice','example.org','x' --@example.org",
    "alice\\'@example.org",
    "%u@example.org",
    "%%n@%d",
    "%{user}@example.org",
    "alice\0@example.org",
    "alice;DROP TABLE people@example.org",
    "\udcff' OR 1=1 --@example.org",
    "＇ OR 1=1 --@example.org",
)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[MemoryAuth]:
    connection = apsw.Connection(str(tmp_path / "users.sqlite"))
    connection.execute(TABLE)
    connection.close()
    (tmp_path / "sql.conf").write_text(SQL.format(folder=tmp_path))
    yield MemoryAuth(SQL_CONF % {"folder": tmp_path})


def test_a_name_is_never_a_part_of_a_query(sql: MemoryAuth) -> None:
    assert login(sql, "alice@example.org", "secret").startswith("OK")
    assert login(sql, "o'neil@example.org", "clover").startswith("OK")
    master = sql.connect("auth-master")
    assert isinstance(master, MemoryConnection)
    master.send(b"VERSION\t1\t1\n")
    master.out = b""
    for number, user in enumerate(INJECTIONS, 1):
        for password in ("secret", "x", "clover", ""):
            assert not login(sql, user, password).startswith("OK"), user
        if "\0" not in user:
            assert said(master, f"USER\t{number}\t{user}\tservice=lmtp") == f"NOTFOUND\t{number}\n", user
    assert login(sql, "alice@example.org", "secret").startswith("OK")


def test_answers_of_one_are_never_those_of_another() -> None:
    """The cache class of CVE-2022-30550: `%n%d` of two users may be the same text."""
    one, other = AuthRequest(user="ab@c"), AuthRequest(user="a@bc")
    assert one.expand("%n%d") == other.expand("%n%d")
    assert one.expand_key("%n%d") != other.expand_key("%n%d")
    assert AuthRequest(user="1:a@b").expand_key("%n%d") != AuthRequest(user="1:a1:b").expand_key("%n%d")


# -- homes are made of names

HOMES = """\
auth_failure_delay = 0
auth_verbose = yes
auth_username_chars =
passdb {
  driver = static
  args = password=x
}
userdb {
  driver = static
  args = uid=5 gid=5 home=/srv/mail/%d/%n allow_all_users=yes
}
"""


@pytest.mark.parametrize(
    "user", ["x@..", "..@example.org", "..", "../x", "a/../../etc@b", "x@../etc", "a@b/.."]
)
def test_no_home_is_above_the_others(user: str) -> None:
    auth = MemoryAuth(HOMES)
    assert login(auth, user, "x").startswith("FAIL")
    master = auth.connect("auth-master")
    assert isinstance(master, MemoryConnection)
    master.send(b"VERSION\t1\t1\n")
    master.out = b""
    assert said(master, f"USER\t1\t{user}\tservice=lmtp") == "NOTFOUND\t1\n"
    assert "Username names a folder above" in auth.log_text()


def test_names_with_dots_are_names() -> None:
    auth = MemoryAuth(HOMES)
    for user in ("a..b@example.org", "...@example.org", "x@example..org", ".x@.", "x.."):
        assert login(auth, user, "x").startswith("OK"), user

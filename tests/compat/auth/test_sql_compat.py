"""passdb sql and userdb sql on one SQLite database: ours and Dovecot's answers and log lines are the same."""

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.support import authlab
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.serverconf import ServerDir

CONF = """\
auth_failure_delay = 0
auth_verbose = yes
auth_mechanisms = plain cram-md5
auth_username_chars =
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
# users of the test
driver = sqlite   # the only one
connect = %(root)s/users.sqlite
default_pass_scheme = PLAIN
password_query = SELECT nick AS user, pw AS password, nets AS allow_nets, \\
  note AS reason, '%%{rip}' AS from_ip FROM people WHERE nick = '%%n' AND dom = '%%d'
user_query = "SELECT home, uid, 1000 AS gid, 'maildir:~/m' AS mail FROM people \
  WHERE nick = '%%n' AND dom = '%%d'"
iterate_query = SELECT nick AS username, dom AS domain FROM people
"""
TABLE = """
CREATE TABLE people (nick, dom, pw, nets, note, home, uid);
INSERT INTO people VALUES
 ('alice', '', 'wonder', NULL, NULL, '/h/alice', 1000),
 ('alice', 'example.org', '{SSHA}EXQX7h+Wn795KWsq6b+tSYhyM80AAQID', NULL, 'hello there', '/h/ae', 1001),
 ('o''brien', '', 'pub', NULL, NULL, '/h/ob', 1002),
 ('netter', '', 'x', '10.0.0.0/8', NULL, '/h/n', 1003),
 ('nopw', '', NULL, NULL, NULL, '/h/n', 1004),
 ('twice', '', 'x', NULL, NULL, '/h/t', 1005), ('twice', '', 'y', NULL, NULL, '/h/t', 1006),
 ('number', '', 12345, NULL, 7.5, '/h/number', '1007'),
 ('bad', '', '{FOO}x', NULL, NULL, '/h/bad', 'no-such-user-name');
"""
IDS = itertools.count(1)


def sqlite_missing() -> str:
    if dovecot_missing():
        return dovecot_missing()
    installed = Path("/usr/lib/dovecot/modules/auth/libdriver_sqlite.so").exists()
    return "" if installed else "Debian's dovecot-sqlite is not installed"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("ours", marks=pytest.mark.process),
        pytest.param(
            "dovecot",
            marks=[
                pytest.mark.compat,
                pytest.mark.skipif(bool(sqlite_missing()), reason=sqlite_missing() or "installed"),
            ],
        ),
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[authlab.SocketAuth]:
    place = ServerDir.make()
    root = {"root": place.root}
    connection = apsw.Connection(str(place.root / "users.sqlite"))
    connection.execute(TABLE)
    connection.close()
    (place.root / "sql.conf").write_text(SQL_CONF % root)
    for name in ("users.sqlite", "sql.conf"):
        (place.root / name).chmod(0o644)
    kind = DovecotInstance if request.param == "dovecot" else Cluster
    made = kind(CONF % root, static_users=False, place=place)
    try:
        made.start()
        yield authlab.SocketAuth(request.param, place.run, place.log_text)
    finally:
        made.close()


def read(server: authlab.SocketAuth, connection: authlab.Connection) -> str:
    line = server.line(connection, authlab.LINE_SECS)
    assert line
    return line.decode().rstrip("\n")


def login(server: authlab.SocketAuth, user: str, password: str) -> tuple[str, str]:
    """The answer without its id, and the address it came from."""
    connection = server.connect("auth-client")
    try:
        while read(server, connection) != "DONE":
            pass
        number = next(IDS)
        rip = f"10.9.{number // 200}.{number % 200 + 1}" if user != "netter" else f"192.0.2.{number % 250}"
        response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        connection.send(
            f"VERSION\t1\t2\nCPID\t{60000 + number}\n"
            f"AUTH\t{number}\tPLAIN\tservice=imap\trip={rip}\tresp={response}\n".encode()
        )
        return read(server, connection).replace(f"\t{number}\t", "\t", 1).replace(rip, "RIP"), rip
    finally:
        connection.close()


def ask(server: authlab.SocketAuth, line: str) -> list[str]:
    connection = server.connect("auth-master")
    try:
        while not read(server, connection).startswith("SPID"):
            pass
        connection.send(f"VERSION\t1\t1\n{line}\n".encode())
        lines = [read(server, connection)]
        while line.startswith("LIST") and not lines[-1].startswith("DONE"):
            lines.append(read(server, connection))
        return lines
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("user", "password", "answer", "log"),
    [
        ("alice", "wonder", "OK\tuser=alice\tfrom_ip=RIP", ""),
        ("alice", "wander", "FAIL\tuser=alice", "Password mismatch"),
        ("alice@example.org", "wonder", "OK\tuser=alice\treason=hello there\tfrom_ip=RIP", None),
        ("o'brien", "pub", "OK\tuser=o'brien\tfrom_ip=RIP", ""),
        ("x' OR '1'='1", "x", "FAIL\tuser=x' or '1'='1", "unknown user"),
        ("netter", "x", "FAIL\tuser=netter", "allow_nets check failed"),
        ("nobody", "x", "FAIL\tuser=nobody", "unknown user"),
        ("nopw", "", "FAIL\tuser=nopw", "No password returned (and no nopassword)"),
        ("twice", "x", "FAIL\tuser=twice\tcode=temp_fail", "Password query returned multiple matches"),
        ("number", "12345", "OK\tuser=number\treason=7.5\tfrom_ip=RIP", ""),
        ("bad", "x", "FAIL\tuser=bad", "Unknown scheme FOO"),
    ],
)
def test_logins(server: authlab.SocketAuth, user: str, password: str, answer: str, log: str | None) -> None:
    got, rip = login(server, user, password)
    fields = sorted(got.split("\t"))
    assert [f for f in fields if not f.startswith("original_user")] == sorted(answer.split("\t"))
    if log:
        wanted = f",{rip}): {log}"
        for _ in range(30):
            if wanted in server.log_text():
                return
            server.wait(0.1)
        raise AssertionError(f"not in the log: {wanted}\n{server.log_text()[-1500:]}")


@pytest.mark.parametrize(
    ("user", "answer"),
    [
        ("alice", "USER\t5\talice\thome=/h/alice\tuid=1000\tgid=1000\tmail=maildir:~/m"),
        ("alice@example.org", "USER\t5\talice@example.org\thome=/h/ae\tuid=1001\tgid=1000\tmail=maildir:~/m"),
        ("nobody", "NOTFOUND\t5"),
        ("bad", "FAIL\t5"),
        ("twice", "USER\t5\ttwice\thome=/h/t\tuid=1005\tgid=1000\tmail=maildir:~/m"),
    ],
)
def test_userdb(server: authlab.SocketAuth, user: str, answer: str) -> None:
    assert ask(server, f"USER\t5\t{user}\tservice=lmtp") == [answer]


def test_listing(server: authlab.SocketAuth) -> None:
    lines = ask(server, "LIST\t7\tservice=doveadm")
    assert lines[-1] == "DONE\t7\t"
    names = ["alice@", "alice@example.org", "o'brien@", "netter@", "nopw@", "twice@", "number@", "bad@"]
    assert sorted(set(lines[:-1])) == sorted(f"LIST\t7\t{name}" for name in names)


def test_the_password_is_never_logged(server: authlab.SocketAuth) -> None:
    login(server, "alice", "Ver-y-secret")
    assert "Ver-y-secret" not in server.log_text()

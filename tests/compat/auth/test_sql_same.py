"""Queries of passdb sql and userdb sql in many forms: our answers are Dovecot's."""

from collections.abc import Iterator

import apsw
import pytest

from tests.compat.auth.test_sql_compat import sqlite_missing
from tests.support.authduel import Ask, Duel, Login, Question

pytestmark = [
    pytest.mark.process,
    pytest.mark.compat,
    pytest.mark.skipif(bool(sqlite_missing()), reason=sqlite_missing() or "installed"),
]
TABLE = """\
CREATE TABLE t (u, d, pw, home, uid, gid, x);
INSERT INTO t VALUES ('alice', 'd', '{PLAIN}x', '/h/a', 5, 5, '1'), ('bob', 'd', 'x', '/h/b', 6, NULL, NULL),
 ('md', 'd', '9dd4e461268c8034f5c8564e155c67a6', '/m', 7, 7, ''), ('empty', 'd', '', '', '', '', ''),
 ('blob', 'd', x'7b504c41494e7d78', '/bl', 3.5, 5, 'q'), ('nul', 'd', NULL, NULL, NULL, NULL, NULL),
 ('tab', 'd', '{PLAIN}x', '/t	ab', 5, 5, 'a	b')
"""
HEAD = (
    "driver = sqlite\nconnect = {root}/t.sqlite\niterate_query = SELECT u AS username, d AS domain FROM t\n"
)
PLAIN = HEAD + "default_pass_scheme = PLAIN\n"
PASSWORDS = "password_query = SELECT pw AS password%s FROM t WHERE u = '%%n' AND d = '%%d'\n"
USERS = "user_query = SELECT home, uid, gid%s FROM t WHERE u = '%%n' AND d = '%%d'\n"
BOTH = PASSWORDS % "" + USERS % ""
FILES = {
    "plain": PLAIN + BOTH,
    "default scheme": HEAD + BOTH,
    "user": PLAIN + PASSWORDS % ", u AS username, d AS domain" + USERS % ", 'other' AS user",
    "other user": PLAIN + PASSWORDS % ", u || '@new' AS user, x AS foo" + USERS % ", x AS mail",
    "prefetch": PLAIN + PASSWORDS % ", home AS userdb_home, uid AS userdb_uid" + USERS % "",
    "nopassword": PLAIN + PASSWORDS % ", 'y' AS nopassword" + USERS % "",
    "without password": HEAD
    + "password_query = SELECT NULL AS password, 'Y' AS nopassword FROM t WHERE u = '%n'\n"
    + USERS % "",
    "noscheme": HEAD + "password_query = SELECT pw AS password_noscheme FROM t WHERE u = '%n'\n" + USERS % "",
    "broken": HEAD
    + "password_query = SELECT nope FROM t\nuser_query = SELEC\niterate_query = SELECT n FROM t\n",
    "list of users": HEAD + BOTH + "iterate_query = SELECT u || '@' || d AS user FROM t\n",
    "list of nothing": HEAD + BOTH + "iterate_query = SELECT u FROM t\n",
    "list without rows": HEAD + BOTH + "iterate_query = SELECT u AS user, x FROM t WHERE u = 'nobody'\n",
    "list with a variable": HEAD + BOTH + "iterate_query = SELECT 'a%u' AS user\n",
    "columns": PLAIN
    + "password_query = SELECT pw AS password, 'a' AS a, NULL AS b, '' AS c FROM t WHERE u = '%n'\n"
    + "user_query = SELECT NULL AS uid, '' AS home, 'z' AS mail FROM t WHERE u = '%n'\n",
    "variables": PLAIN
    + "password_query = SELECT 'x' AS password, '%s' AS s, '%{service}' AS s2, '%l' AS l, '%r' AS r, "
    + "'%m' AS m, '%%' AS p, '%Lu' AS lu, '%w' = 'x' AS w\n"
    + "user_query = SELECT '/%s/%Ud' AS home, '%u' AS u\n",
    "quoted": HEAD
    + 'default_pass_scheme = "PLAIN"\n'
    + "password_query = \"SELECT pw AS password FROM t WHERE u = '%n' AND d = '%d'\" # comment\n"
    + "user_query = SELECT home FROM t \\\n   WHERE u = '%n'\n",
}
NAMES = ("alice", "bob", "md", "empty", "blob", "nul", "tab", "none")
QUESTIONS: list[Question] = [
    *(Login(f"{name}@d", "x") for name in NAMES),
    Login("alice@d", "y"),
    Login("alice@d", "x", mech="SCRAM-SHA-1"),
    *(Ask(what, f"{name}@d") for what in ("USER", "PASS") for name in NAMES),
    Ask("LIST"),
]


@pytest.fixture(scope="module")
def duel() -> Iterator[Duel]:
    with Duel() as made:
        connection = apsw.Connection(str(made.place.root / "t.sqlite"))
        connection.execute(TABLE)
        connection.close()
        (made.place.root / "t.sqlite").chmod(0o644)
        yield made


@pytest.mark.parametrize("name", FILES)
def test_queries(duel: Duel, name: str) -> None:
    args = "  driver = sql\n  args = {dir}/sql.conf\n"
    prefetch = "userdb {\n  driver = prefetch\n}\n" if name == "prefetch" else ""
    conf = f"auth_username_chars =\npassdb {{\n{args}}}\n{prefetch}userdb {{\n{args}}}\n"
    files = {"sql.conf": FILES[name].replace("{root}", str(duel.place.root))}
    theirs, mine = duel.ask(conf, QUESTIONS, files)
    pairs = zip(QUESTIONS, theirs.answers, mine.answers, strict=True)
    assert not [(question, said, ours) for question, said, ours in pairs if said != ours]
    # A broken uid is told by Dovecot's auth and by its worker.
    assert set(mine.log) == set(theirs.log)

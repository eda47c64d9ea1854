"""Commands about the host: the same output and status as Debian's doveadm, on Dovecot and on our server."""

import contextlib
import imaplib
from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.echo_master import wait_until
from tests.support.serverconf import ServerDir
from tests.support.twodoveadms import Done, ours, theirs, users_conf

pytestmark = [
    pytest.mark.compat,
    pytest.mark.process,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "-"),
]

Server = DovecotInstance | Cluster
FORMATS = ("table", "json", "tab", "pager", "flow")
LISTS = ("who", "who -1", "penalty", "user alice", "user b*", "auth lookup alice", "instance list")
IN_EACH_FORMAT = [
    f"-f {form} {command}"
    for form in FORMATS
    for command in (*LISTS, "service status pop3-login", "log find", "kick nobody")
]
PLAIN = """\
who
-h who -1
who alice
who ALICE 127.0.0.0/8
who bob
who 10.0.0.0/8
who ::/0
who alice bob
who -z
who -a /nonexistent
kick
kick a b
kick alice 10.0.0.0/8
penalty
penalty 127.0.0.1
penalty 10.0.0.0/8
penalty bad
penalty 127.0.0.1 x
user
user alice bob
user nobody
user alice nobody
user -u alice
user -u nobody
user -u -f home alice
user -f home alice nobody
user -f nosuch alice
user -e %u,%n,%d,%h carol@example.org
user -e x -u a
user -e x -f home a
user -x service=imap -x rip=192.0.2.1 alice
user -x rip=bad alice
user *@example.org bob
user ?ob
user x*
user -a /nonexistent alice
auth test
auth test alice wonder
auth test -x service=imap -x rip=192.0.2.1 alice wonder
auth test a b c
auth test -a /nonexistent a b
auth login alice wonder
auth login
auth lookup
auth lookup alice bob
auth lookup nobody
auth lookup -f user alice
auth lookup -a /nonexistent alice
auth
auth cache
log errors -s 9999999999
log errors -s bad
log find a b
log
service status nosuch
service stop
service stop nosuch
service
process status nosuch
-f json process status nosuch
process
instance list nosuch
instance list -c
instance remove
instance remove nosuch
instance
pw -p x -s nosuch
pw -t
pw -t {PLAIN}x -p x
pw -t {PLAIN}x -p y
pw -t x -p x
pw -t {BAD}x -p x
pw -t {SSHA}bad -p x
pw -t {PBKDF2}zz -p x
pw -t {SCRAM-SHA-1}zz -p x
pw -p x y
pw -z
pw -s PLAIN -p x
pw -s plain.hex -p x
pw -s SHA1.BASE64 -p x
pw -s PLAIN.bad -p x
pw -s CRAM-MD5 -p x -V
pw -s DIGEST-MD5 -p x
pw -s DIGEST-MD5 -p x -u alice@example.org
pw -r 999999999999 -p x
reload x
stop x
-f bad who
-i nosuch who
nosuch
""".splitlines()


@contextlib.contextmanager
def started(kind: type[DovecotInstance] | type[Cluster]) -> Iterator[Server]:
    """alice is logged in, and 127.0.0.1 has a penalty."""
    place = ServerDir.make()
    with kind(users_conf(place) + "auth_cache_size = 1M\n", static_users=False, place=place) as running:
        client = imaplib.IMAP4("127.0.0.1", running.imap, timeout=20)
        try:
            client.login("alice", "wonder")
            other = imaplib.IMAP4("127.0.0.1", running.imap, timeout=20)
            with other, pytest.raises(imaplib.IMAP4.error):
                other.login("alice", "wrong")
            wait_until(lambda: b"alice" in theirs(running.conf, "who").out, "anvil to know")
            wait_until(lambda: b"127.0.0.1" in theirs(running.conf, "penalty").out, "the penalty")
            yield running
        finally:
            with contextlib.suppress(OSError):
                client.shutdown()


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Server]:
    with started(DovecotInstance) as running:
        yield running


@pytest.fixture(scope="module")
def pydovecot() -> Iterator[Server]:
    with started(Cluster) as running:
        yield running


@pytest.fixture(params=["dovecot", "pydovecot"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


ASKS_THE_SERVER = ("who", "kick", "penalty", "user", "auth", "log errors", "service", "process", "instance")


def compare(server: Server, line: str) -> None:
    mine, other = ours(server.conf, *line.split()), theirs(server.conf, *line.split())
    assert mine == other, (mine.err, other.err)
    assert bool(mine.err) == bool(other.err)


@pytest.mark.parametrize("line", [*IN_EACH_FORMAT, *PLAIN])
def test_the_same_on_dovecot(dovecot: Server, line: str) -> None:
    compare(dovecot, line)


@pytest.mark.parametrize("line", [line for line in PLAIN if line.startswith(ASKS_THE_SERVER)])
def test_the_same_on_ours(pydovecot: Server, line: str) -> None:
    compare(pydovecot, line)


@pytest.mark.parametrize("line", ["log errors", "-f json log errors", "-f tab log errors"])
def test_the_last_errors(server: Server, line: str) -> None:
    theirs(server.conf, "log", "test")
    # What the commands of other tests make the server log may come between the two looks.
    wait_until(lambda: ours(server.conf, *line.split()) == theirs(server.conf, *line.split()), "equal logs")


def test_service_status_of_all(server: Server) -> None:
    def names(done: Done) -> list[bytes]:
        return [row.split(b"\t")[0] for row in done.out.splitlines()]

    mine, other = (who(server.conf, "-f", "tab", "service", "status") for who in (ours, theirs))
    assert names(mine) == names(other)
    assert b"imap-login" in names(mine)


def test_process_status(server: Server) -> None:
    def stable(done: Done) -> list[list[bytes]]:
        rows = [row.split() for row in done.out.splitlines()]
        return [row[:3] for row in rows if row[0] in (b"name", b"imap", b"log")]

    wait_until(
        lambda: stable(ours(server.conf, "process", "status"))
        == stable(theirs(server.conf, "process", "status")),
        "equal rows",
    )
    assert stable(ours(server.conf, "process", "status", "imap"))[1][0] == b"imap"


def test_schemes(server: Server) -> None:
    mine, other = (set(who(server.conf, "pw", "-l").out.split()) for who in (ours, theirs))
    assert other - mine <= {b"OTP"}
    assert not mine - other


@pytest.mark.parametrize("scheme", sorted({"CRYPT", "SSHA512", "SHA512-CRYPT", "PBKDF2", "SCRAM-SHA-256"}))
def test_each_believes_the_other(server: Server, scheme: str) -> None:
    for make, check in ((ours, theirs), (theirs, ours)):
        made = make(server.conf, "pw", "-s", scheme, "-p", "pässword").out.decode().strip()
        checked = check(server.conf, "pw", "-t", made, "-p", "pässword")
        assert checked == Done(0, f"{made} (verified)\n".encode())


def test_passwords_from_standard_input(server: Server) -> None:
    for typed in (b"a\na\n", b"a\nb\nc\nc\n"):
        args = ("pw", "-s", "PLAIN")
        assert ours(server.conf, *args, stdin=typed) == theirs(server.conf, *args, stdin=typed)


def test_cache_flush(server: Server) -> None:
    for who in (ours, theirs):
        assert theirs(server.conf, "auth", "test", "bob", "wonder").status == 0
        assert who(server.conf, "auth", "cache", "flush").out.endswith(b" cache entries flushed\n")
    # Empty by now: both count nothing.
    assert ours(server.conf, "auth", "cache", "flush") == theirs(server.conf, "auth", "cache", "flush")


def test_a_failed_flush_is_a_failure(server: Server) -> None:
    done = ours(server.conf, "auth", "cache", "flush", "-a", "/nonexistent")
    assert done.status == 75
    assert b"connect(/nonexistent) failed: No such file or directory" in done.err


@pytest.mark.parametrize("form", ["", "json", "tab"])
def test_kick(server: Server, form: str) -> None:
    said = []
    for who in (ours, theirs):
        with imaplib.IMAP4("127.0.0.1", server.imap, timeout=60) as client:
            client.login("bobby", "wonder")
            wait_until(lambda: b"bobby" in theirs(server.conf, "who").out, "anvil to know")
            said.append(who(server.conf, *(["-f", form] if form else []), "kick", "BOBB?"))
            wait_until(lambda: b"bobby" not in theirs(server.conf, "who").out, "anvil to forget")
    assert said[0] == said[1]
    assert b"bobby" in said[0].out


def test_stop_a_service_reload_and_stop(server: Server) -> None:
    """Last in the file: the server is gone after it."""
    assert ours(server.conf, "service", "stop", "pop3") == Done(0, b"")
    assert b"doveadm_stop: y" in theirs(server.conf, "service", "status", "pop3").out
    assert ours(server.conf, "log", "reopen") == Done(0, b"")
    assert ours(server.conf, "reload") == Done(0, b"")
    wait_until(
        lambda: b"doveadm_stop: n" in theirs(server.conf, "service", "status", "pop3").out, "a new generation"
    )
    assert ours(server.conf, "stop") == Done(0, b"")
    assert not (server.place.run / "master.pid").exists()
    for line in ("stop", "reload", "log reopen", "who", "service status"):
        assert ours(server.conf, *line.split()) == theirs(server.conf, *line.split())

"""The doveadm server, ours and Dovecot's: the same answers; each one's doveadm is a client of the other's."""

import json
import re
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.support.cert import shared_certificate
from tests.support.cluster import Cluster
from tests.support.doveadmserver import LOGIN, AdminServer, unpack
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.twodoveadms import ours, theirs

pytestmark = [
    pytest.mark.compat,
    pytest.mark.process,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "-"),
]
HELLO = b"VERSION\tdoveadm-server\t1\t%d\n"
MESSAGE = b"Subject: one\n\nbody\n.dot\nno end"


@pytest.fixture(scope="module")
def mine() -> Iterator[AdminServer]:
    server = AdminServer.make(Cluster)
    with server.running:
        theirs(server.conf, "save", "-u", "alice", stdin=MESSAGE)
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[AdminServer]:
    server = AdminServer.make(DovecotInstance)
    with server.running:
        theirs(server.conf, "save", "-u", "alice", stdin=MESSAGE)
        yield server


def normal(server: AdminServer, answer: bytes) -> bytes:
    """Without what differs between two places and two moments."""
    answer = answer.replace(str(server.running.place.root).encode(), b"ROOT")
    answer = re.sub(rb"\b[0-9a-f]{32}\b", b"GUID", answer)
    return re.sub(rb"\b1[78]\d{8}\b", b"TIME", answer)


COMMANDS = [
    b"\t\twho\n",
    b"\t\twho\t-1\n",
    b"\talice\tmailbox list\n",
    b"\talice\tmailbox list\t-A\t--\n",
    b"\talice\tmailbox\tlist\n",
    b"\tbob\tmailbox status\t-u\tb*\t--\tmessages\tINBOX\n",
    b"\tnobody\tmailbox list\n",
    b"\talice\tfetch\t--\tuid text\tall\n",
    b"\talice\tfetch\t-A\t--\tuser\tall\n",
    b"\talice\tsearch\tall\n",
    b"\t\tuser\talice\n",
    b"\t\tuser\t*\n",
    b"\t\tuser\tnobody\n",
    b"\t\tuser\t-f\thome\talice\n",
    b"\t\tkick\tnobody\n",
    b"v\t\tpenalty\n",
    b"D\talice\tmailbox status\tmessages uidnext guid\tINBOX\n",
    b"\t\tservice status\tpop3\n",
    b"\t\twho\t-z\n",
    b"\t\tnosuch\n",
    b"z\t\twho\n",
    b"x\n",
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("minor", [0, 2])
def test_the_protocol(mine: AdminServer, other: AdminServer, command: bytes, minor: int) -> None:
    def answer(server: AdminServer) -> bytes:
        said = server.talk(HELLO % minor, LOGIN, command, end=True)
        head, plus, rest = said.partition(b"-\n+\n")
        assert plus, said
        return head + plus + normal(server, unpack(rest)[0] if minor else rest)

    assert answer(mine) == answer(other)


def test_log_lines_travel(mine: AdminServer, other: AdminServer) -> None:
    for server in (mine, other):
        said = server.talk(HELLO % 1, LOGIN, b"\tnobody\tmailbox list\n", end=True)
        log = unpack(said.partition(b"-\n+\n")[2])[1]
        assert re.fullmatch(rb"\x04doveadm\(.*nobody\): User doesn't exist\n", log)


@pytest.mark.parametrize(
    "lines",
    [
        [b"VERSION\tdoveadm-server\t2\t0\n"],
        [b"nonsense\n"],
        [HELLO % 0, b"PLAIN\tAAAA\n"],
        [HELLO % 2, b"PLAIN\t!\n"],
        [HELLO % 2, b"PLAIN\tAGRvdmVhZG0AYmFk\n"],
        [HELLO % 0, b"LOGIN\tx\n"],
    ],
)
def test_a_refusal_ends_the_connection(mine: AdminServer, other: AdminServer, lines: list[bytes]) -> None:
    assert mine.talk(*lines) == other.talk(*lines)


def test_the_socket_itself_is_trusted(mine: AdminServer, other: AdminServer) -> None:
    def answer(server: AdminServer) -> bytes:
        return server.talk(HELLO % 0, b"\talice\tmailbox list\n", path=server.unix, end=True)

    assert answer(mine) == answer(other) == b"+\nINBOX\t\n+\n"


def test_a_message_by_the_protocol(mine: AdminServer, other: AdminServer) -> None:
    text = b"Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n"
    for server in (mine, other):
        fetch = b"\tbob\tfetch\t--\ttext\tall\n"
        said = server.talk(HELLO % 0, LOGIN, b"\tbob\tsave\n", text, fetch, end=True)
        assert said == b"-\n+\n\n+\nSubject: x\x01n\x01n.dot\x01nend\t\n+\n"


def test_a_message_by_http(mine: AdminServer, other: AdminServer) -> None:
    """A file in JSON is its content; so no client reads files of the server."""
    for server in (mine, other):
        mailbox = {"user": "carol@example.org", "mailbox": "Http"}
        server.run(["mailboxCreate", mailbox, "t"])
        for text in ("Subject: by http\n\ntext\n", "/etc/hostname"):
            assert server.run(["save", {**mailbox, "file": text}, "t"]) == b'[["doveadmResponse",[],"t"]]'
        query = ("mailbox", "Http")
        done = theirs(server.conf, "-f", "flow", "fetch", "-u", "carol@example.org", "text", *query)
        assert done.out == b"text=Subject: by http\n\ntext\n\ntext=/etc/hostname\n"


@pytest.mark.parametrize("start", ["at once", "starttls"])
def test_tls(mine: AdminServer, other: AdminServer, start: str) -> None:
    context = ssl.create_default_context(cafile=shared_certificate().cert)
    context.check_hostname = False
    for server in (mine, other):
        port = server.tls if start == "at once" else server.port
        sock = socket.create_connection(("127.0.0.1", port), 60)
        if start == "starttls":
            sock.sendall(HELLO % 0)
            assert sock.recv(100) == b"-\n"
            sock.sendall(b"STARTTLS\n")
        with context.wrap_socket(sock) as secure:
            secure.sendall((b"" if start == "starttls" else HELLO % 0) + LOGIN + b"\talice\tmailbox list\n")
            wanted = (b"" if start == "starttls" else b"-\n") + b"+\nINBOX\t\n+\n"
            got = b""
            while len(got) < len(wanted):
                got += secure.recv(100)
            assert got == wanted


REQUESTS: list[tuple[str, str, str | None, str]] = [
    ("GET", "/", None, "sekret"),
    ("GET", "/", None, ""),
    ("GET", "/doveadm/v1", None, "bad"),
    ("GET", "/nosuch", None, "api"),
    ("PUT", "/doveadm/v1", None, "api"),
    ("OPTIONS", "/doveadm/v1", None, ""),
    ("POST", "/doveadm/v1", "[]", ""),
    *[
        ("POST", "/doveadm/v1", body, "api")
        for body in (
            "[]",
            "{}",
            '["who"]',
            "[[1]]",
            '[["who",[],"t"]]',
            '[["who",{}]]',
            '[["who",{},5]]',
            '[["who",{},"t","u"]]',
            '[["who",{"mask":5},"t"]]',
            '[["who",{"mask":["a"],"mask":["b"]},"t"]]',
            '[["who",{"bad":1},"t"]]',
            '[["nosuch",{},"t"]]',
            '[["who",{},"t1"],["penalty",{},"t2"]]',
            '[["who",{"separateConnections":true,"mask":"alice"},"t"]]',
            '[["user",{"userMask":["alice"]},"t"]]',
            '[["user",{"userMask":["alice"],"field":"home"},"t"]]',
            '[["user",{"userMask":"*"},"t"]]',
            '[["user",{"userMask":["nobody"]},"t"]]',
            '[["kick",{"mask":["nobody"]},"t"]]',
            '[["serviceStatus",{"service":["pop3"]},"t"]]',
            '[["mailboxList",{"user":"alice"},"t"]]',
            '[["mailboxList",{"user":"nobody"},"t"]]',
            '[["mailboxStatus",{"user":"alice","field":["messages","vsize","guid"],"mailboxMask":["INBOX"]},"t"]]',
            '[["fetch",{"user":"alice","field":["uid","text"],"query":["all"]},"t"]]',
            '[["pw",{"list":true},"t"]]',
            '[["authTest",{"user":"alice","password":"wonder"},"t"]]',
        )
    ],
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_http(mine: AdminServer, other: AdminServer, request_: tuple[str, str, str | None, str]) -> None:
    def answer(server: AdminServer) -> tuple[object, ...]:
        status, reason, headers, body = server.request(*request_)
        assert headers.pop("Content-Length") == str(len(body))
        return status, reason, headers, normal(server, body)

    assert answer(mine) == answer(other)


def test_http_lists_what_it_can(mine: AdminServer, other: AdminServer) -> None:
    """The same parameters of each command that both have; sieve and others may be missing in ours."""
    def listed(server: AdminServer) -> dict[str, object]:
        rows = json.loads(server.request("GET", "/doveadm/v1")[3])
        return {row["command"]: row["parameters"] for row in rows}

    one, two = listed(mine), listed(other)
    host = ("who", "kick", "penalty", "user", "authCacheFlush", "logErrors", "logFind", "serviceStatus")
    assert {name: one[name] for name in host} == {name: two[name] for name in host}


WORDS = [
    "mailbox list -u alice",
    "mailbox list -u nobody",
    "mailbox list -A",
    "-f json mailbox list -A",
    "mailbox status -u b* messages INBOX",
    "fetch -u alice text all",
    "-f json fetch -u alice text all",
    "-f tab fetch -A uid all",
    "search -u alice all",
    "mailbox delete -u alice Nosuch",
]


@pytest.mark.parametrize("line", WORDS)
@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_clients_of_each_other(mine: AdminServer, other: AdminServer, line: str, way: str) -> None:
    def asked(server: AdminServer) -> list[str]:
        where = f"127.0.0.1:{server.port}" if way == "tcp" else server.unix
        words = line.split()
        at = next(number for number, word in enumerate(words) if word in ("-u", "-A"))
        return [*words[:at], "-S", where, *words[at:]]

    for server in (mine, other):
        assert ours(server.conf, *asked(server)) == theirs(server.conf, *asked(server))
    one, two = (ours(server.conf, *asked(server)) for server in (mine, other))
    assert (one.status, normal(mine, one.out)) == (two.status, normal(other, two.out))


def test_saving_through_each_others_server(mine: AdminServer, other: AdminServer) -> None:
    for server in (mine, other):
        for client in (ours, theirs):
            args = ("save", "-S", f"127.0.0.1:{server.port}", "-u", "bobby")
            assert client(server.conf, *args, stdin=MESSAGE).status == 0
        done = theirs(server.conf, "-f", "flow", "fetch", "-u", "bobby", "text", "all")
        assert done.out == (b"text=" + MESSAGE + b"\n") * 2


def test_several_users_at_a_time(mine: AdminServer, other: AdminServer) -> None:
    """doveadm_worker_count: users come in the order in which they are done, each one whole."""
    for server in (mine, other):
        status = "-f json mailbox status -u b* vsize INBOX"
        for line in ("mailbox list -A", status, "-f tab fetch -A uid all"):
            args = ["-o", "doveadm_worker_count=3", *line.split()]
            said = [client(server.conf, *args) for client in (ours, theirs)]
            assert said[0].status == said[1].status == 0, said
            rows = [sorted(one.out.replace(b"},", b"}\n").strip(b"[]").splitlines()) for one in said]
            assert rows[0] == rows[1]
    done = ours(mine.conf, "-o", "doveadm_socket_path=/nonexistent", *args)
    assert (done.status, b"connect(/nonexistent) failed: No such file or directory" in done.err) == (75, True)

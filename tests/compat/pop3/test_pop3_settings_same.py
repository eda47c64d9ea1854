"""Settings of POP3: with each, the same bytes to the client and the same last log line as Dovecot's.

All cases run on one pair of servers: each has an address of its own, and a `remote` block with its settings.
"""

import re
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance
from tests.support.fixtures import Servers
from tests.support.serverconf import PASSWORD

pytestmark = [pytest.mark.process, pytest.mark.compat]

Pair = tuple[DovecotInstance | Cluster, DovecotInstance | Cluster]
UIDLIST = "3 V1600000000 N{next} G0123456789abcdef0123456789abcdef\n"
PLAIN = {
    "1600000001.M1P1.same": b"Subject: one\n\nbody\n",
    "1600000002.M2P1.same,S=25,W=29:2,S": b"Subject: two\n\n.dot\n..two\n",
    "1600000003.M3P1.same": b"Subject: three",
}
EVERYTHING = (
    "t=%t/%p r=%r/%b d=%d/%m s=%s i=%i o=%o u=%u/%{uidl_change} db=%{deleted_bytes} "
    "%{top_count} %{top_bytes} "
    "%{retr_count} %{retr_bytes} %{deleted_count} %{message_count} %{message_bytes} %{input} %{output} "
    "%{user} %n %{service} %05t %%t"
)


@dataclass(frozen=True)
class Case:
    """Mail as files, and what a client says; `uidlist`: lines behind the header."""

    settings: tuple[str, ...]
    commands: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=lambda: PLAIN)
    uidlist: tuple[str, ...] = ()


def uidl(template: str, **more: object) -> Case:
    return Case((f"pop3_uidl_format = {template}",), ("UIDL", "UIDL 2", "QUIT"), **more)  # type: ignore[arg-type]


FORMATS = (
    "%08Xu%08Xv",  # Dovecot
    "%08Xv%08Xu",  # UW imapd
    "%v-%u",  # Courier
    "%f",  # Courier, with its own names
    "%u",  # Cyrus before 2.1.4
    "%v.%u",  # Cyrus
    "%Mf",  # tpop3d
    "%g", "%Mg", "%Xv", "%5u", "%-2f", "%2.7f", "%05u", "%Uf", "%Nu", "%3Nf",
    "v%v", "%Xu-%Ru", "a b%u", "x%u-%5f", "%Uf %LXu",
)  # fmt: skip

SAME = b"Subject: same\n\nx\n"
CASES: dict[str, Case] = {
    **{f"format {template}": uidl(template) for template in FORMATS},
    "name is no UTF-8": uidl("%f", files={"1600000001.M1P1.\udce4": b"a: b\n\nc\n"}),
    "rename": Case(
        ("pop3_reuse_xuidl = yes", "pop3_uidl_duplicates = rename"),
        ("UIDL", "UIDL 3", "DELE 2", "UIDL", "QUIT"),
        {
            f"16000000{number:02}.M1P1.same": b"X-UIDL: %s\n\nx\n" % name
            for number, name in enumerate(b"x-2 x x x-2-2 x y x-3 y".split())
        },
    ),
    "rename saved": Case(
        ("pop3_uidl_format = same", "pop3_uidl_duplicates = rename", "pop3_uidl_format = %v"),
        ("UIDL", "QUIT"),
        {f"160000000{number}.M1P1.same": SAME for number in range(4)},
        ("1 P1600000000 :1600000001.M1P1.same", "2 Pold :1600000002.M1P1.same"),
    ),
    "x-uidl": Case(
        ("pop3_reuse_xuidl = yes",),
        ("UIDL", "UIDL 4", "QUIT"),
        {
            "1600000001.M1P1.same": b"X-UIDL: abc def\nSubject: a\n\nX-UIDL: z\n",
            "1600000002.M2P1.same": b"Subject: none\n\nX-UIDL: body\n",
            "1600000003.M3P1.same": b"x-uidl : first\nX-UIDL: second\n\n",
            "1600000004.M4P1.same": b"X-UIDL: =?utf-8?q?A=20b?= \t\n\n",
            "1600000005.M5P1.same": b"X-UIDL: a\0b\xff\xe4\rc\n\n",
            "1600000006.M6P1.same": b"X-UIDL: " + b"x" * 99 + b"\n\n",
            "1600000007.M7P1.same": b"A: b\nX-UIDL: no line end",
        },
    ),
    "saved": Case(
        ("pop3_reuse_xuidl = yes",),
        ("UIDL", "QUIT"),
        {"1600000001.M1P1.same": b"X-UIDL: header\n\n", "1600000002.M2P1.same": SAME},
        ("1 W19 Psaved :1600000001.M1P1.same", "2 Pb\udce4 :1600000002.M2P1.same"),
    ),
    "fast sizes": Case(
        ("pop3_fast_size_lookups = yes",),
        ("STAT", "LIST", "LIST 4", "RETR 1", "QUIT"),
        {
            "1600000001.M1P1.same": b"Subject: unknown\n\nx\n",
            "1600000002.M2P1.same,S=21": b"Subject: stored\n\nxxx\n",
            "1600000003.M3P1.same,W=23": b"Subject: both\n\nxxxxx\n",
            "1600000004.M4P1.same,S=23,W=26": b"Subject: both\n\nxxxxxxx\n",
        },
    ),
    "exact sizes": Case(
        (),
        ("LIST", "RETR 2", "QUIT"),
        {
            "1600000001.M1P1.same,S=21": b"Subject: stored\n\nxxx\n",
            "1600000002.M2P1.same": b"a\rb\r\nc\n\n\r.\n",
        },
    ),
    "workarounds": Case(
        ("pop3_client_workarounds = outlook-no-nuls oe-ns-eoh",),
        tuple(
            f"{ask} {number}{lines}"
            for number in range(1, 7)
            for ask, lines in (("RETR", ""), ("TOP", " 0"), ("TOP", " 1"))
        ),
        {
            f"160000000{number}.M1P1.same": body
            for number, body in enumerate(
                [
                    b"Subject: only\n",
                    b"Subject: cut",
                    b"\0\0: x\n\n\0\n.\0",
                    b"",
                    b"A: b\n\n",
                    b"A: b\n\nc\0d\ne\n",
                ]
            )
        },
    ),
    "large messages": Case(
        ("pop3_client_workarounds = outlook-no-nuls oe-ns-eoh",),
        (
            *(f"RETR {number}" for number in range(1, 5)),
            *(f"TOP {number} {lines}" for number in range(1, 5) for lines in (0, 100_000)),
            "QUIT",
        ),
        {
            f"160000000{number}.M1P1.same": body
            for number, body in enumerate(
                [
                    b"Subject: big\n\n" + b".line\n..x\0\n.\n\r.\n" * 90_000,
                    b"X: " + b"no end of the header " * 60_000,
                    b"Subject: header\n" + b"X-Y: z\n" * 180_000,
                    b"a" * 1_200_000 + b"\n.\n\n." + b"b" * 300_000,
                ]
            )
        },
    ),
    "no workarounds": Case(
        (), ("RETR 1", "RETR 2"), {"160.M1P1.same": b"Subject: only\n", "161.M1P1.same": b"a: \0\n\n\0"}
    ),
    "statistics": Case(
        (f"pop3_logout_format = {EVERYTHING}",),
        ("UIDL", "TOP 1 0", "RETR 2", "RETR 3", "DELE 1", "DELE 3", "QUIT"),
    ),
    "statistics without UIDL": Case(
        (f"pop3_logout_format = {EVERYTHING}",), ("STAT", "NOOP", "BAD", "RETR 9", "LIST", "QUIT")
    ),
    "statistics of the same list": Case((f"pop3_logout_format = {EVERYTHING}",), ("UIDL", "QUIT")),
    "statistics without QUIT": Case(
        (f"pop3_logout_format = {EVERYTHING}",), ("UIDL 2", "TOP 2 1", "RETR 1", "DELE 1", "DELE 2")
    ),
    "last": Case(
        ("pop3_enable_last = yes",), ("LAST", "RETR 3", "LAST", "RSET", "LAST", "TOP 1 1", "LAST", "QUIT")
    ),
    "deleted flag": Case(
        ("pop3_deleted_flag = '$Gone'",),
        ("STAT", "LIST", "DELE 1", "DELE 2", "UIDL", "RETR 3", "QUIT"),
    ),
    "deleted flag, expunged": Case(
        ("pop3_deleted_flag = '$Gone'", "pop3_delete_type = expunge"), ("DELE 1", "QUIT")
    ),
}
# A second session of the same user shows what the first has written.
AGAIN = ("STAT", "LIST", "UIDL", "LAST", "RETR 1", "QUIT")


def address(name: str) -> str:
    return f"127.0.9.{1 + list(CASES).index(name)}"


def conf() -> str:
    """One `remote` block for each case."""
    return "".join(
        f"remote {address(name)} {{\n" + "".join(f"  {line}\n" for line in case.settings) + "}\n"
        for name, case in CASES.items()
    )


@pytest.fixture
def pair(servers: Servers) -> Pair:
    return servers.get("dovecot", conf()), servers.get("ours", conf())  # type: ignore[return-value]


class Client:
    """Keeps every byte that it gets."""

    def __init__(self, port: int, user: str, source: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
        self._stream = self._sock.makefile("rb")
        self._stream.readline()
        for line in (f"USER {user}", f"PASS {PASSWORD}"):
            assert self.ask(line).startswith(b"+OK")

    def ask(self, command: str) -> bytes:
        """One command with its whole answer."""
        self._sock.sendall(command.encode() + b"\r\n")
        answer = self._stream.readline()
        words = command.split()
        if answer.startswith(b"+OK") and (words[0] in ("RETR", "TOP") or words in (["UIDL"], ["LIST"])):
            lines = [answer]
            while (line := self._stream.readline()) != b".\r\n":
                assert line, "closed"
                lines.append(line)
            return b"".join(lines)
        return answer

    def close(self) -> None:
        self._stream.close()
        self._sock.close()


def fill(maildir: Path, case: Case) -> None:
    for folder in ("cur", "new", "tmp"):
        (maildir / folder).mkdir(parents=True)
    for name, body in case.files.items():
        (maildir / ("cur" if ":2," in name else "new") / name).write_bytes(body)
    lines = UIDLIST.format(next=len(case.uidlist) + 1) + "".join(f"{line}\n" for line in case.uidlist)
    (maildir / "dovecot-uidlist").write_bytes(lines.encode("utf-8", "surrogateescape"))


def log_lines(server: DovecotInstance | Cluster, user: str, count: int) -> list[str]:
    """What the sessions of a user logged when they ended."""
    pattern = re.compile(rf"pop3\({user}\).*(Disconnected: .*|Error: .*)")
    end = time.monotonic() + 60
    while len(found := pattern.findall(server.place.log_text())) < count:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def talk(server: DovecotInstance | Cluster, name: str) -> tuple[list[bytes], list[str]]:
    """Answers and last log lines of a case."""
    case, user = CASES[name], f"case{list(CASES).index(name)}"
    fill(server.place.maildir(user), case)
    server.place.give_to_mail_user(server.place.home(user))
    answers = []
    for commands in (case.commands, AGAIN):
        client = Client(server.pop3, user, address(name))
        answers += [client.ask(command) for command in commands]
        client.close()
        log_lines(server, user, 1 + (commands is AGAIN))
    return answers, log_lines(server, user, 2)


@pytest.mark.parametrize("name", CASES)
def test_same_as_dovecot(pair: Pair, name: str) -> None:
    (theirs, their_log), (ours, our_log) = (talk(server, name) for server in pair)
    assert [both for both in zip(ours, theirs, strict=True) if both[0] != both[1]] == []
    assert our_log == their_log

"""Settings of IMAP sessions that show in the log, in files or in time: the same on ours and on Dovecot."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.serverconf import ServerDir

Server = Cluster | DovecotInstance

BOTH = pytest.mark.parametrize(
    "program",
    [
        pytest.param(Cluster, id="ours", marks=pytest.mark.process),
        pytest.param(
            DovecotInstance,
            id="dovecot",
            marks=[
                pytest.mark.compat,
                pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing()),
            ],
        ),
    ],
)
WAIT_SECS = 60.0
END = "(the server closed)"
TRASH = "namespace inbox {\n  mailbox Trash {\n    special_use = \\Trash\n  }\n"


@contextmanager
def running(
    program: type[Server], extra: str, place: ServerDir | None = None, *, static_users: bool = True
) -> Iterator[Server]:
    server = program(extra, place=place, static_users=static_users)
    server.start()
    try:
        yield server
    finally:
        server.close()


class Client:
    """A connection that is logged in."""

    def __init__(self, server: Server, user: str = "alice", before: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.imap), WAIT_SECS)
        self._file = self.socket.makefile("rwb")
        self.line()
        if before:
            self.command(before)
        self.login = self.command(f"LOGIN {user} wonder")[-1]

    def line(self) -> str:
        """One line, or END."""
        line = self._file.readline().decode("latin-1") or END
        return re.sub(r" \([^()]* secs\)\.", ".", line).rstrip("\r\n")

    def send(self, text: str) -> None:
        self._file.write(text.encode() + b"\r\n")
        self._file.flush()

    def command(self, text: str) -> list[str]:
        """All lines of the answer."""
        self.send(f"t {text}")
        lines = [self.line()]
        while lines[-1] != END and not lines[-1].startswith("t "):
            lines.append(self.line())
        return lines

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def eventually(look: Callable[[], str]) -> str:
    """What `look` finds, when it finds something."""
    end = time.monotonic() + WAIT_SECS
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def logged(server: Server, pattern: str) -> str:
    """The first group of the first log line that matches, once it is there."""

    def look() -> str:
        found = re.search(pattern, server.place.log_text(), re.MULTILINE)
        return found[1] if found else ""

    return eventually(look)


@BOTH
def test_logout_format(program: type[Server]) -> None:
    form = (
        "END %u d=%{deleted} e=%{expunged} ae=%{autoexpunged} t=%{trashed} a=%{appended} "
        "hc=%{fetch_hdr_count} hb=%{fetch_hdr_bytes} bc=%{fetch_body_count} bb=%{fetch_body_bytes} "
        "in=%i=%{input} out=%o=%{output} ."
    )
    extra = f"imap_logout_format = {form}\n{TRASH}  mailbox Few {{\n    autoexpunge_max_mails = 1\n  }}\n}}\n"
    with running(program, extra) as server:
        with Client(server) as client:
            for text in (
                "CREATE Trash", "CREATE Few", "APPEND INBOX {10+}\r\nSubject: x",
                "APPEND INBOX {16+}\r\nSubject: x\r\n\r\nab", "APPEND Few {1+}\r\nx", "APPEND Few {1+}\r\nx",
                "SELECT INBOX", "FETCH 1:* BODY[]", "FETCH 1:* BODY.PEEK[HEADER]",
                "FETCH 1:* (RFC822.TEXT BODY.PEEK[1])", "FETCH 1:* BINARY[1]", "COPY 1 Trash",
                "STORE 1:2 +FLAGS (\\Deleted)", "STORE 2 -FLAGS (\\Deleted)", "EXPUNGE", "MOVE 1 Trash",
                "LOGOUT",
            ):  # fmt: skip
                assert client.command(text)[-1].startswith("t OK"), text
        line = logged(server, r"Disconnected: Logged out END (.*) \.$")
    counts, *octets = line.rsplit(" ", 2)
    assert counts == "alice d=2 e=1 ae=1 t=2 a=4 hc=2 hb=24 bc=8 bb=32"
    for word in octets:
        name, short, long = word.split("=")
        assert short == long and int(short) > 100, (name, line)


@BOTH
def test_id(program: type[Server]) -> None:
    extra = "imap_id_log = NAME x-thing\nimap_id_send = name * os Plan9 nothing NIL support-url *\n"
    want = '* ID ("name" "Dovecot" "os" "Plan9" "nothing" "NIL" "support-url" "http://www.dovecot.org/")'
    with running(program, extra) as server, Client(server) as client:
        asked = 'ID ("name" "mail reader" "version" "1" "X-Thing" NIL)'
        assert client.command(asked) == [want, "t OK ID completed."]
        assert logged(server, r"imap\(.*: ID sent: (.*)$") == "name=mail reader, X-Thing=NIL"
        assert client.command("ID NIL") == [want, "t OK ID completed."]


@BOTH
def test_id_retain(program: type[Server]) -> None:
    """auth knows the client's ID, here as a part of the home directory."""
    place = ServerDir.make()
    extra = f"""imap_id_retain = yes
passdb {{
  driver = static
  args = password=wonder
}}
userdb {{
  driver = static
  args = uid={place.mail_uid} gid={place.mail_gid} home={place.root}/mail/%{{client_id}}
}}
"""
    with running(program, extra, place, static_users=False) as server:
        with Client(server, before='ID ("name" "reader one" "version" NIL)') as client:
            assert client.command("CREATE Box")[-1].startswith("t OK ")
        names = [path.name for path in (place.root / "mail").iterdir()]
        assert names == ['"name" "reader one" "version" NIL']


@BOTH
def test_idle_notify_interval(program: type[Server]) -> None:
    with running(program, "imap_idle_notify_interval = 1 s\n") as server, Client(server) as client:
        client.send("i IDLE")
        assert client.line() == "+ idling"
        assert [client.line() for _ in range(2)] == ["* OK Still here"] * 2
        client.send("DONE")
        assert client.line() == "i OK Idle completed."


@BOTH
@pytest.mark.parametrize("how", ["disconnect-immediately", "disconnect-after", "no-after"])
def test_fetch_failure(program: type[Server], how: str) -> None:
    """A message that cannot be read, between two that can."""
    if os.geteuid() != 0:
        pytest.skip("needs a mail user of its own, who may not read root's file")
    with running(program, f"imap_fetch_failure = {how}\n") as server, Client(server) as client:
        for word in ("one", "two", "three"):
            client.command(f"APPEND INBOX (\\Seen) {{{len(word)}+}}\r\n{word}")
        client.command("SELECT INBOX")
        for path in (server.place.maildir("alice") / "cur").iterdir():
            if path.read_text() == "two":
                os.chown(path, 0, 0)
                path.chmod(0o600)
        lines = client.command("FETCH 1:3 BODY.PEEK[]")
        told = [line for line in lines if line.startswith("* ") and "FETCH" in line and "BODY" in line]
        rest = [] if how == "disconnect-immediately" else ["* 3 FETCH (BODY[] {5}"]
        assert told == ["* 1 FETCH (BODY[] {3}", *rest], lines
        if how == "no-after":
            assert re.match(r"t NO \[SERVERBUG\] Internal error occurred\.", lines[-1]), lines
            assert client.command("NOOP") == ["t OK NOOP completed."]
        else:
            assert re.match(r"\* BYE FETCH failed: Internal error occurred\.", lines[-2]), lines
            assert lines[-1] == END


@BOTH
def test_max_line_length(program: type[Server]) -> None:
    with running(program, "imap_max_line_length = 1 k\n") as server, Client(server) as client:
        assert client.command(f"STATUS {'x' * 200} (MESSAGES)")[-1].startswith("t NO ")
        long = "t BAD Error in IMAP command STATUS: Too long argument."
        assert client.command(f"STATUS {'x' * 3000} (MESSAGES)") == [long]
        assert client.command("NOOP") == ["t OK NOOP completed."]


@BOTH
def test_userip_connections(program: type[Server]) -> None:
    text = "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)"
    with running(program, "mail_max_userip_connections = 2\n") as server:
        with Client(server) as first, Client(server) as second, Client(server) as third:
            assert first.login.startswith("t OK") and second.login.startswith("t OK")
            assert third.login == f"t NO [LIMIT] {text}"
        with Client(server, "bob") as other:
            assert other.login.startswith("t OK")


@BOTH
def test_rawlog(program: type[Server]) -> None:
    """Both directions, each line with its time, without the password."""
    place = ServerDir.make()
    folder = place.root / "raw-alice"
    folder.mkdir()
    folder.chmod(0o777)
    with running(program, f"rawlog_dir = {place.root}/raw-%u\n", place) as server:
        with Client(server) as client:
            client.socket.sendall(b"a NO")
            time.sleep(0.2)
            client.socket.sendall(b"OP\r\nb APPEND INBOX {3+}\r\nxyz\r\nc LOGOUT\r\n")
            while client.line() != END:
                pass
        with Client(server, "bob") as client:
            client.command("LOGOUT")
        names = eventually(lambda: " ".join(_finished(folder)))
        stem, end = names.split()[0].rsplit(".", 1)
        assert re.fullmatch(r"\d{8}-\d{6}\.\d+\.1", stem) and end == "in"
        assert names == f"{stem}.in {stem}.out"
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        came = (folder / f"{stem}.in").read_text()
        went = (folder / f"{stem}.out").read_text()
        assert not list(place.root.glob("raw-bob*"))
    lines = [re.sub(r"^\d+\.\d{6} ", "", line) for line in came.split("\n")]
    assert lines == ["a NOOP", "b APPEND INBOX {3+}", "xyz", "c LOGOUT", ""]
    assert re.match(r"\d+\.\d{6} t OK \[CAPABILITY .*\] Logged in\n\d+\.\d{6} a OK NOOP completed", went)
    assert went.endswith("\n") and "wonder" not in came + went


def _finished(folder: Path) -> list[str]:
    found = sorted(folder.iterdir())
    return [path.name for path in found] if any("LOGOUT" in path.read_text() for path in found) else []


@BOTH
def test_kicked(program: type[Server]) -> None:
    """Who ends a session's process ends the session: the client is told, whatever it is doing."""
    with (
        running(program, "verbose_proctitle = yes\n") as server,
        Client(server) as client,
        Client(server, "bob") as idling,
        Client(server, "carol") as other,
    ):
        client.command("SELECT INBOX")
        idling.command("SELECT INBOX")
        idling.send("i IDLE")
        assert idling.line() == "+ idling"
        for user in ("alice", "bob"):
            os.kill(_mail_process(server, user), signal.SIGTERM)
        assert (client.line(), client.line()) == ("* BYE Server shutting down.", END)
        assert (idling.line(), idling.line()) == ("* BYE Server shutting down.", END)
        assert other.command("NOOP") == ["t OK NOOP completed."]
        assert logged(server, r"imap\(bob\).*: (Disconnected: Server shutting down\.) in=\d+ out=\d+ ")


def _mail_process(server: Server, user: str) -> int:
    """The process that serves a user's only session, below our master."""
    assert server.master_pid is not None

    def look() -> str:
        listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()[1:]]
        family = {str(server.master_pid)}
        for _ in range(3):
            family |= {pid for pid, parent, _ in rows if parent in family}
        return next((pid for pid, _, args in rows if pid in family and f"imap [{user} " in args), "")

    return int(eventually(look))

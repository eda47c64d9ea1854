"""dovecot-lda's work in the server's process `lda`: who may, what is refused, and when one of both dies."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pydovecot.base import fdpass
from pydovecot.ipc import lda as protocol
from tests.process.test_lmtp import Server
from tests.support.cluster import Cluster
from tests.support.echo_master import wait_until
from tests.support.ordinary import python_for_everyone

pytestmark = pytest.mark.process
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which the MTA has")
NOBODY = 65534
MESSAGE = b"Subject: t\nFrom: A <a@b>\n\nb\n"
SENDMAIL = Path(tempfile.gettempdir()) / f"pd-sendmail-{os.getpid()}"
OWN = f"{tempfile.gettempdir()}/pd-own-{os.getpid()}-"
QUOTA = f"""\
mail_plugins = quota
sendmail_path = {SENDMAIL}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:messages=1
}}
"""


OWN_SERVICE = """\
service lda {
  executable = lda
  client_limit = 1
  unix_listener lda {
  }
}
protocol lda {
  deliver_log_format = of its protocol: %$
}
"""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server("ours", getattr(request, "param", ""))
    yield made
    made.running.close()


def pids(server: Server) -> list[int]:
    assert isinstance(server.running, Cluster)
    return server.running.pids("lda")


def start(
    server: Server, *arguments: str, uid: int | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    command, more = ([sys.executable], {}) if uid is None else python_for_everyone()
    return subprocess.Popen(
        [*command, "-m", "pydovecot.cli.lda", "-c", str(server.running.conf), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        user=uid, group=uid, extra_groups=None if uid is None else [],
        env={**os.environ, **more, **(env or {})},
    )  # fmt: skip


def ask(
    server: Server, fields: Mapping[str, str], message: bytes = MESSAGE, uid: int = -1
) -> tuple[int, str] | None:
    """What the process answers to somebody who sends these options; None: do it yourself."""
    read, write = os.pipe()
    os.write(write, message)
    os.close(write)
    if uid >= 0:
        os.seteuid(uid)
    try:
        return protocol.hand_over(str(server.place.run / "lda"), fields, read)
    finally:
        if uid >= 0:
            os.seteuid(0)
        os.close(read)


def test_deliveries(server: Server) -> None:
    for _ in range(3):
        program = start(server, "-d", "alice")
        assert program.communicate(MESSAGE, timeout=60) == (b"", b"")
        assert program.returncode == 0
    assert pids(server)
    assert [path.read_bytes() for path in server.files("alice")] == [MESSAGE] * 3
    assert {path.stat().st_uid for path in server.files("alice")} == {server.place.mail_uid}
    # In the log it is the program that the MTA has started.
    server.wait_log(rf"lda\(alice\)<{program.pid}><[A-Za-z0-9+/]{{22}}>: Info: .*saved mail to INBOX$")


def test_answers(server: Server) -> None:
    assert ask(server, {"user": "alice", "sender": "<a@b>"}) == (0, "")
    assert ask(server, {"user": "alice", "mailbox": "Work"}) == (0, "")
    server.wait_log("save failed to open mailbox Work: Mailbox doesn't exist: Work$")
    assert len(server.files("alice")) == 2
    if os.geteuid() == 0:
        assert ask(server, {"user": "unknown"}) == (67, "")
        assert ask(server, {"name": "root", "home": "/root"}) is None


@needs_root
def test_others_deliver_to_themselves_only(server: Server) -> None:
    mine = server.place.mail_uid
    assert ask(server, {"user": "alice"}, uid=NOBODY) is None
    assert ask(server, {"user": "unknown"}, uid=NOBODY) is None  # and learn nothing
    assert ask(server, {"user": "alice"}, uid=mine) == (0, "")
    # Without -d: who the system says it is, not who it says it is.
    assert ask(server, {"name": "alice", "home": "/"}, uid=NOBODY) is None
    assert ask(server, {"name": "", "home": ""}, uid=mine) is None  # no such uid in passwd
    assert len(server.files("alice")) == 1


@needs_root
@pytest.mark.parametrize("server", [f"mail_location = maildir:{OWN}%u\n"], ids=["own"], indirect=True)
def test_a_system_user_delivers_to_itself(server: Server) -> None:
    program = start(server, uid=NOBODY, env={"USER": "nobody", "HOME": "/nonexistent"})
    try:
        assert program.communicate(MESSAGE, timeout=60) == (b"", b"")
        assert program.returncode == 0
        assert pids(server)
        files = list(Path(f"{OWN}nobody/new").iterdir())
        assert [(path.read_bytes(), path.stat().st_uid) for path in files] == [(MESSAGE, NOBODY)]
    finally:
        subprocess.run(["rm", "-rf", f"{OWN}nobody"], check=True)


def test_no_request_is_no_delivery(server: Server) -> None:
    for data in (b"pydovecot-lda 1\0user=alice", b"GET / HTTP/1.0\r\n\r\n", b"\0\n"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(60)
            sock.connect(str(server.place.run / "lda"))
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100) == b""
    assert ask(server, {"user": "alice"}) == (0, "")


def test_who_does_not_wait_keeps_its_message(server: Server) -> None:
    """It will read the message by itself: not an octet of it may be taken."""
    read, write = os.pipe()
    os.write(write, MESSAGE)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(server.place.run / "lda"))
        fdpass.send_fds(sock, protocol.encode({"user": "alice"}), [read])
        assert sock.recv(100) == protocol.TAKEN
    os.close(write)
    assert ask(server, {"user": "bob"}) == (0, "")
    assert os.read(read, 1000) == MESSAGE
    os.close(read)
    assert server.files("alice") == []


def test_half_a_message_of_a_killed_program_is_none(server: Server) -> None:
    program = start(server, "-d", "alice")
    assert program.stdin is not None
    program.stdin.write(MESSAGE * 5000)
    program.stdin.flush()
    wait_until(lambda: pids(server), "a process that serves it")
    program.kill()
    program.communicate(timeout=60)
    assert ask(server, {"user": "bob"}) == (0, "")
    assert server.files("alice") == []


def test_a_killed_process_is_a_temporary_failure(server: Server) -> None:
    program = start(server, "-d", "alice")
    assert program.stdin is not None
    program.stdin.write(MESSAGE * 5000)  # more than a pipe holds: somebody has read of it
    program.stdin.flush()
    for pid in pids(server):
        os.kill(pid, signal.SIGKILL)
    program.communicate(timeout=60)
    assert program.returncode == 75
    assert server.files("alice") == []
    assert start(server, "-d", "alice").communicate(MESSAGE, timeout=60) == (b"", b"")
    assert len(server.files("alice")) == 1


@pytest.mark.parametrize("server", [QUOTA], ids=["quota"], indirect=True)
def test_a_full_mailbox(server: Server) -> None:
    assert ask(server, {"user": "alice"}) == (0, "")
    answer = ask(server, {"user": "alice", "stderr": ""})
    assert answer == (77, "Quota exceeded (mailbox for user is full)\n")
    assert ask(server, {"user": "alice"}) == (0, "")  # a bounce: nobody wants to know
    before = set(pids(server))
    sent = server.place.root / "mail" / "sent"
    SENDMAIL.write_text(f"#!/bin/sh\nexec >{sent}\nid -ru; id -u; cat\n")
    SENDMAIL.chmod(0o755)
    try:
        answer = ask(server, {"user": "alice", "sender": "a@b"})
    finally:
        SENDMAIL.unlink()
    assert answer == (0, ""), server.place.log_text()
    # The program is started by a process that is the user's own, for good.
    lines = sent.read_bytes().splitlines()
    assert lines[:2] == [str(server.place.mail_uid).encode()] * 2
    assert b"Content-Type: multipart/report; report-type=delivery-status;" in lines
    wait_until(lambda: before - set(pids(server)), "the end of that process")
    assert ask(server, {"user": "bob"}) == (0, "")
    assert len(server.files("alice")) == 1


@pytest.mark.parametrize(
    ("server", "there"),
    [
        ("service lda {\n  unix_listener lda {\n    mode = 0\n  }\n}\n", False),
        (OWN_SERVICE, True),
    ],
    ids=["off", "own"],
    indirect=["server"],
)
def test_the_configuration_may_have_its_own(server: Server, there: bool) -> None:
    path = server.place.run / "lda"
    assert path.exists() == there
    if there:
        assert path.stat().st_mode & 0o777 == 0o600
    program = start(server, "-d", "alice")
    assert program.communicate(MESSAGE, timeout=60) == (b"", b"")
    assert program.returncode == 0
    assert len(server.files("alice")) == 1
    assert bool(pids(server)) == there
    if there:
        server.wait_log(": Info: of its protocol: saved mail to INBOX$")

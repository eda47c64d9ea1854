"""Quota on running servers, ours and Dovecot's: exits of dovecot-lda, limits of userdb, warnings, dirsize."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_lda import Lda
from tests.process.test_lmtp import PROGRAMS
from tests.support.wire import WireConnection

CONF = """
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:bytes=1000
  quota_grace = 0
  quota_warning = bytes=95%% warn-me 95 %u
  quota_warning2 = bytes=30%% warn-me  over "30 %%"
  quota_warning3 = -bytes=30%% warn-me below
}
"""


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def lda(program: str) -> Iterator[Lda]:
    made = Lda(program, CONF)
    yield made
    made.server.running.close()


def message(octets: int) -> bytes:
    return b"Subject: x\n\n" + b"y" * (octets - 13) + b"\n"


def put(lda: Lda, user: str, octets: int) -> Path:
    """One message more, of just this size."""
    maildir = lda.place.maildir(user)
    for name in ("cur", "tmp", "new"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    path = maildir / "new" / f"{octets}.{len(os.listdir(maildir / 'new'))}"
    path.write_bytes(b"x" * octets)
    lda.place.give_to_mail_user(maildir.parent)
    return path


class Imap:
    """A few commands."""

    def __init__(self, lda: Lda, user: str) -> None:
        self._wire = WireConnection(lda.server.running.imap)
        self._rest = b""
        self._until(b"* OK")
        self.say(f"LOGIN {user} x".encode())

    def _until(self, start: bytes) -> list[bytes]:
        lines: list[bytes] = []
        while not lines or not lines[-1].startswith(start):
            while b"\r\n" not in self._rest:
                more = self._wire.receive()
                assert more, lines
                self._rest += more
            line, _, self._rest = self._rest.partition(b"\r\n")
            lines.append(line)
        return lines

    def say(self, text: bytes) -> list[bytes]:
        """All lines of the answer."""
        self._wire.send(b"t " + text + b"\r\n")
        return self._until(b"t ")

    def append(self, octets: int) -> bytes:
        text = message(octets - 3).replace(b"\n", b"\r\n")
        return self.say(b"APPEND INBOX {%d+}\r\n%b" % (len(text), text))[-1]

    def close(self) -> None:
        self._wire.close()


def test_a_delivery_into_a_full_mailbox(lda: Lda) -> None:
    put(lda, "alice", 900)
    done = lda.run("-d", "alice", "-e", message=message(200))
    assert (done.returncode, done.stderr) == (77, b"Quota exceeded (mailbox for user is full)\n")
    assert lda.run("-d", "alice", "-o", "quota_full_tempfail=yes", message=message(200)).returncode == 75
    # Nobody to reject it to.
    assert lda.run("-d", "alice", message=message(200)).returncode == 0
    lda.server.wait_log("Return-Path missing, rejection reason: Quota exceeded")
    assert len(lda.server.files("alice")) == 1
    assert lda.run("-d", "alice", "-e", message=message(90)).returncode == 0
    assert len(lda.server.files("alice")) == 2


def test_settings_for_one_delivery(lda: Lda) -> None:
    put(lda, "alice", 900)
    quota = "plugin/quota=count:User quota:noenforcing"
    assert lda.run("-d", "alice", "-e", "-o", quota, message=message(200)).returncode == 0
    assert len(lda.server.files("alice")) == 2


def test_limits_from_userdb(lda: Lda) -> None:
    users = lda.place.root / "users"
    lines = users.read_text().splitlines()
    lines = [line + "userdb_quota_rule=*:bytes=5000" if line.startswith("bob:") else line for line in lines]
    users.write_text("\n".join(lines) + "\n")
    os.utime(users, (1, 1))
    put(lda, "bob", 3000)
    client = Imap(lda, "bob")
    assert client.say(b'GETQUOTA "User quota"')[0] == b'* QUOTA "User quota" (STORAGE 3 5)'
    assert client.append(1000).startswith(b"t OK")
    assert client.append(1100).startswith(b"t NO [OVERQUOTA]")
    client.close()
    assert lda.run("-d", "bob", "-e", message=message(900)).returncode == 0


class Listener:
    """A script service's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        path.chmod(0o777)
        self._socket.listen(8)
        self._socket.settimeout(60)
        self._heard: list[bytes] = []
        self._come = threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                client.settimeout(60)
                data = b""
                while more := client.recv(4096):
                    data += more
            self._heard.append(data)
            self._come.release()

    def next(self) -> bytes:
        assert self._come.acquire(timeout=60), "nobody was warned"
        return self._heard.pop(0)

    def nothing_more(self) -> bool:
        return not self._heard

    def close(self) -> None:
        self._socket.close()


def test_warnings(lda: Lda) -> None:
    listener = Listener(lda.place.run / "warn-me")
    begin = b"VERSION\tscript\t4\t0\nnoreply\n"
    client = Imap(lda, "alice")
    assert client.append(100).startswith(b"t OK")
    assert client.append(300).startswith(b"t OK")
    assert listener.next() == begin + b'over\n"30\n%"\n\n'
    assert client.append(200).startswith(b"t OK")
    assert client.append(360).startswith(b"t OK")
    assert listener.next() == begin + b"95\nalice\n\n"
    client.say(b"SELECT INBOX")
    client.say(b"STORE 1:* +FLAGS (\\Deleted)")
    client.say(b"EXPUNGE")
    assert listener.next() == begin + b"below\n\n"
    client.close()
    assert listener.nothing_more()
    listener.close()


def test_a_script_that_is_not_there_keeps_no_mail_away(lda: Lda) -> None:
    client = Imap(lda, "alice")
    assert client.append(400).startswith(b"t OK")
    client.close()
    lda.server.wait_log(r"warn-me\) failed: No such file or directory")


OVER = """
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:bytes=1000
  quota_over_flag_value = y*
  quota_over_script = warn-me flag
%s
}
"""


def with_flag(lda: Lda, user: str, flag: str) -> None:
    """What userdb says of a user."""
    users = lda.place.root / "users"
    lines = [line + f"userdb_quota_over_flag={flag}" if line.startswith(f"{user}:") else line
             for line in users.read_text().splitlines()]  # fmt: skip
    users.write_text("\n".join(lines) + "\n")
    os.utime(users, (1, 1))


def test_a_flag_that_is_wrong_is_told(program: str) -> None:
    made = Lda(program, OVER % "")
    listener = Listener(made.place.run / "warn-me")
    begin = b"VERSION\tscript\t4\t0\nnoreply\nflag\n"
    try:
        with_flag(made, "alice", "YES")
        Imap(made, "alice").close()  # not over, but said to be
        assert listener.next() == begin + b"YES\n\n"
        client = Imap(made, "bob")
        assert client.append(900).startswith(b"t OK")
        client.close()
        Imap(made, "bob").close()  # over (kilobytes are compared), and nobody says so
        assert listener.next() == begin + b"\n"
        with_flag(made, "bob", "yes")
        Imap(made, "bob").close()
        assert listener.nothing_more()
    finally:
        listener.close()
        made.server.running.close()


def test_a_flag_is_looked_at_when_quota_is(program: str) -> None:
    made = Lda(program, OVER % "  quota_over_flag_lazy_check = yes")
    listener = Listener(made.place.run / "warn-me")
    try:
        with_flag(made, "alice", "yes")
        client = Imap(made, "alice")
        client.say(b"STATUS INBOX (MESSAGES)")
        assert listener.nothing_more()
        client.say(b"GETQUOTAROOT INBOX")
        assert listener.next().endswith(b"\nflag\nyes\n\n")
        client.say(b"GETQUOTAROOT INBOX")
        client.close()
        assert listener.nothing_more()
    finally:
        listener.close()
        made.server.running.close()


DIRSIZE = """
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
mail_location = maildir:~/Maildir:INDEX=MEMORY
plugin {
  quota = dirsize:Disk
  quota_rule = *:storage=4k
  quota2 = count:Hidden:hidden
  quota2_rule = *:messages=100
  quota_vsizes = yes
}
"""


@pytest.fixture
def dirsize(program: str) -> Iterator[Lda]:
    made = Lda(program, DIRSIZE)
    yield made
    made.server.running.close()


def test_sizes_of_files_and_a_hidden_root(dirsize: Lda) -> None:
    put(dirsize, "alice", 3000)
    client = Imap(dirsize, "alice")
    roots, disk, end = client.say(b"GETQUOTAROOT INBOX")
    assert roots == b"* QUOTAROOT INBOX Disk"
    assert disk in (b"* QUOTA Disk (STORAGE 3 4)", b"* QUOTA Disk (STORAGE 4 4)")
    assert end.startswith(b"t OK Getquotaroot completed")
    assert client.say(b"GETQUOTA Hidden")[0] == b"* QUOTA Hidden (MESSAGE 1 100)"
    assert client.append(3000).startswith(b"t NO [OVERQUOTA]")
    assert client.append(100).startswith(b"t OK")
    client.close()


def test_settings_that_make_no_sense_end_the_login(program: str) -> None:
    made = Lda(program, "mail_plugins = quota\nplugin {\n  quota = nonsense:User quota\n}\n")
    try:
        wire = WireConnection(made.server.running.imap)
        wire.receive()
        wire.send(b"t LOGIN alice x\r\n")
        told = b""
        while more := wire.receive():
            told += more
        assert b"initialization failed" in told and b"* BYE Internal error occurred" in told
        wire.close()
        made.server.wait_log(
            "Failed to initialize quota: Invalid quota root quota: Unknown quota backend: nonsense"
        )
    finally:
        made.server.running.close()

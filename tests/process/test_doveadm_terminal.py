"""root's doveadm gives its command, with the terminal, to a process of the running server."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.base import fdpass
from pydovecot.ipc import doveadm_terminal
from tests.support.cluster import Cluster
from tests.support.echo_master import wait_until
from tests.support.mailgen import generate
from tests.support.twodoveadms import ours_alone

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="the socket is root's"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


def doveadm(server: Cluster, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pydovecot.cli.doveadm", "-c", str(server.conf), *args]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


def handed_over(server: Cluster, argv: list[str], folder: str = "/") -> tuple[int | None, bytes]:
    """As the program does it, with a file as its standard output."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(write, 1)
            os.dup2(write, 2)
            status = doveadm_terminal.hand_over(f"{server.place.run}/doveadm-server", argv, folder, {})
            os._exit(99 if status is None else status)
        finally:
            os._exit(98)
    os.close(write)
    with open(read, "rb") as stream:
        out = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out


def test_the_server_does_it(server: Cluster) -> None:
    status, out = handed_over(server, ["-c", str(server.conf), "mailbox", "list", "-u", "alice"])
    assert (status, out) == (0, b"INBOX\n")
    # Failures are told where the program's are.
    words = ["mailbox", "status", "-u", "alice", "x", "INBOX"]
    status, out = handed_over(server, ["-c", str(server.conf), *words])
    assert (status, out) == (64, b"Fatal: Unknown status field: x\n")


def test_standard_input_and_folder(server: Cluster, tmp_path: Path) -> None:
    done = doveadm(server, "save", "-u", "bob", stdin=b"Subject: one\n\ntext\n")
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "our.conf").symlink_to(server.conf)
    argv = ["-c", "our.conf", "-f", "tab", "fetch", "-u", "bob", "hdr.subject", "all"]
    assert handed_over(server, argv, str(tmp_path)) == (0, b"hdr.subject\none\n")


def test_files_are_opened_by_the_program(server: Cluster, tmp_path: Path) -> None:
    """With PrivateTmp=yes the server's /tmp is another one."""
    file = tmp_path / "message"
    file.write_bytes(b"Subject: two\n\ntext\n")
    for words in (["save", "-u", "emma", str(file)], ["mailbox", "list", "-F", str(file)]):
        assert handed_over(server, ["-c", str(server.conf), *words])[0] == 99
    assert doveadm(server, "save", "-u", "emma", str(file)).returncode == 0
    done = doveadm(server, "-f", "tab", "fetch", "-u", "emma", "hdr.subject", "all")
    assert done.stdout == b"hdr.subject\ntwo\n"


def test_other_settings_than_the_servers_stay_here(server: Cluster, tmp_path: Path) -> None:
    location = f"mail_location=maildir:{tmp_path}/%u"
    os.chmod(tmp_path, 0o777)
    for folder in tmp_path.parents:  # the mail user may enter them
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o011)
    assert doveadm(server, "-o", location, "mailbox", "create", "-u", "carl", "Here").returncode == 0
    assert (tmp_path / "carl" / ".Here").is_dir()


def test_without_a_server_it_is_the_same(server: Cluster, tmp_path: Path) -> None:
    copy = tmp_path / "other.conf"
    copy.write_text(server.conf.read_text())
    for words in (["mailbox", "list", "-u", "bob"], ["search", "-u", "bob", "foo"], ["fetch"]):
        here, there = ours_alone(copy, *words), ours_alone(server.conf, *words)
        assert (here.status, here.out, here.err) == (there.status, there.out, there.err)


def test_a_program_that_does_not_wait_has_it_done_once(server: Cluster) -> None:
    """It does it by itself then: without its word the server does nothing."""
    argv = ["-c", str(server.conf), "mailbox", "create", "-u", "dora", "Once"]
    with socket.socket(socket.AF_UNIX) as sock, open(os.devnull, "r+b") as null:
        sock.settimeout(20)
        sock.connect(f"{server.place.run}/doveadm-server")
        fdpass.send_fds(sock, doveadm_terminal.encode(argv, "/", {}), [null.fileno()] * 3)
        assert sock.recv(100) == doveadm_terminal.TAKEN
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""  # the process has ended
    assert doveadm(server, "mailbox", "list", "-u", "dora").stdout == b"INBOX\n"


def test_only_root_gives_its_terminal(server: Cluster) -> None:
    path = f"{server.place.run}/doveadm-server"
    request = doveadm_terminal.encode(["-c", str(server.conf), "who"], "/", {})
    os.chmod(path, 0o666)
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(30)
            sock.connect(path)
            fdpass.send_fds(sock, request, (0, 1, 2))
            os._exit(0 if sock.recv(100) == doveadm_terminal.DIRECT else 1)
        finally:
            os._exit(2)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.chmod(path, 0o600)


def test_interrupted_it_ends_between_two_steps(server: Cluster) -> None:
    for number in range(3):
        message = next(generate(seed=number, count=1))
        assert doveadm(server, "save", "-u", "dora", stdin=message).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "pydovecot.cli.doveadm", "-c", str(server.conf), "save", "-u", "dora"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait_until(lambda: server.pids("doveadm"), "a process that waits for the message")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    finally:
        process.kill()
        process.communicate()
    wait_until(lambda: not server.pids("doveadm"), "the end of that process")
    done = doveadm(server, "-f", "tab", "mailbox", "status", "-u", "dora", "messages", "INBOX")
    assert done.stdout.split() == [b"mailbox", b"messages", b"INBOX", b"3"]

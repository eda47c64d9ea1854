"""Deliveries that end badly: kill -9 of lmtp and dovecot-lda at any moment, and a full disk.

What got its 250 (or exit status 0) is in the mailbox, whole; nothing is there by half; the rest got a 4xx, a
temporary exit status or a closed connection, so that the MTA tries again.
PYDOVECOT_DELIVERY_KILLS says how often.
"""

import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_lmtp import Server
from tests.support.cluster import Cluster
from tests.support.killing import LONGEST_SECS, deliver_under_kills, killed_soon

pytestmark = [pytest.mark.process, pytest.mark.slow]

KILLS = int(os.environ.get("PYDOVECOT_DELIVERY_KILLS", "60"))
USERS = ("alice", "bob", "carol@example.org")
DISK_BYTES = 3 << 20


def text_of(ident: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % ident + b"line of %d\r\n" % ident * (ident % 40) + b"end %d\r\n" % ident


def found_in(server: Server, user: str) -> list[int]:
    """The messages of a mailbox; AssertionError when one is not whole."""
    found = []
    for path in server.files(user):
        raw = path.read_bytes()
        subject = re.search(rb"^Subject: (\d+)\n", raw, re.MULTILINE)
        assert subject, f"no message: {path} {raw[:200]!r}"
        ident = int(subject[1])
        assert raw.endswith(text_of(ident).replace(b"\r\n", b"\n")), f"not whole: {path}"
        found.append(ident)
    return found


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("ours")
    yield made
    made.running.close()


def test_lmtp_killed_at_any_moment(server: Server) -> None:
    assert isinstance(server.running, Cluster)
    acked = deliver_under_kills(server.running, server.unix, USERS, text_of, kills=KILLS, seed=4)
    for user in USERS:
        found = found_in(server, user)
        assert acked[user] <= set(found), f"lost: {acked[user] - set(found)}"
        assert len(found) == len(set(found)), "doubled"


def lda(server: Server, ident: int, *options: str) -> "subprocess.Popen[bytes]":
    """dovecot-lda with its message; the options decide whether the server does the work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pydovecot.cli.lda", "-c", str(server.running.conf), "-d", "bob", *options],
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(text_of(ident))
    process.stdin.close()
    return process


def check_bob(server: Server, acked: set[int], options: tuple[str, ...]) -> None:
    found = found_in(server, "bob")
    assert acked <= set(found)
    assert len(found) == len(set(found)), "doubled"
    assert isinstance(server.running, Cluster)
    assert bool(server.running.pids("lda")) == (not options)  # the server's process, or none of it


@pytest.mark.parametrize("options", [(), ("-o", "mail_debug=no")], ids=["by the server", "by itself"])
def test_lda_killed_at_any_moment(server: Server, options: tuple[str, ...]) -> None:
    source = random.Random(5)
    acked: set[int] = set()
    count = max(8, KILLS // 5)
    assert lda(server, count, *options).wait(60) == 0
    begin = time.monotonic()
    assert lda(server, count + 1, *options).wait(60) == 0  # how long one takes that is left alone
    usual = time.monotonic() - begin
    for ident in range(count):
        process = lda(server, ident, *options)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(usual * source.uniform(0.3, 1.2))
        process.kill()
        if process.wait() == 0:
            acked.add(ident)
    check_bob(server, acked | {count, count + 1}, options)


def test_the_process_behind_lda_killed_at_any_moment(server: Server) -> None:
    """The program says EX_TEMPFAIL, or has found out in time and has done it by itself."""
    source = random.Random(6)
    running = server.running
    assert isinstance(running, Cluster)
    statuses: dict[int, int] = {}
    sent = 0
    for _ in range(max(8, KILLS // 5)):
        with killed_soon(running, "lda", source.random() * LONGEST_SECS * 2):
            begin = sent
            while sent < begin + 3:
                sent += 1
                statuses[sent] = lda(server, sent).wait(60)
    assert set(statuses.values()) <= {0, 75}
    assert lda(server, 0).wait(60) == 0
    check_bob(server, {ident for ident, status in statuses.items() if status == 0}, ())


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system that is soon full, where the mail user may go."""
    folder = Path(tempfile.mkdtemp(prefix="pdsmall"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0777", "tmpfs", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        folder.rmdir()
        pytest.skip("a file system cannot be mounted here: " + done.stderr.decode().strip())
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)
    folder.rmdir()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a file system")
def test_a_full_disk(small_disk: Path) -> None:
    server = Server("ours", f"mail_location = maildir:{small_disk}/%u\nmail_temp_dir = {small_disk}\n")
    try:
        client = server.unix()
        client.say("LHLO h")
        answers: list[str] = []
        big = b"x" * 900 + b"\r\n"
        acked = []
        for ident in range(1, 400):
            message = b"Subject: %d\r\n\r\n" % ident + big * (ident % 60) + b"end %d\r\n" % ident
            (answer,) = client.deliver("alice", message=message)
            answers.append(answer)
            if answer.startswith("250"):
                acked.append((ident, message))
            if len(answers) > 20 and all(not one.startswith("250") for one in answers[-15:]):
                break
        refused = [answer for answer in answers if not answer.startswith("250")]
        assert acked and refused, "the disk is too large"
        assert all(answer.startswith("4") for answer in refused), refused[:5]
        full = "452 4.3.1 <alice> Not enough disk space"
        assert any(answer.startswith(full) for answer in refused), refused[:5]
        files = {
            int(re.findall(rb"Subject: (\d+)", path.read_bytes())[0]): path.read_bytes()
            for sub in ("new", "cur")
            for path in (small_disk / "alice" / sub).iterdir()
        }
        assert set(files) == {ident for ident, _ in acked}
        for ident, message in acked:
            assert files[ident].endswith(message.replace(b"\r\n", b"\n"))
        assert list((small_disk / "alice" / "tmp").iterdir()) == []
        # There is room again: mail goes on, and everything can be read.
        for path in sorted((small_disk / "alice" / "new").iterdir())[:20]:
            path.unlink()
        assert client.deliver("alice", message=text_of(9999))[0].startswith("250 ")
        client.close()
    finally:
        server.running.close()

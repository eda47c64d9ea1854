"""Deliveries that end badly: kill -9 of lmtp and dovecot-lda at any moment, and a full disk.

What got its 250 (or exit status 0) is in the mailbox, whole; nothing is there by half; the rest got a 4xx, a
temporary exit status or a closed connection, so that the MTA tries again.
PYDOVECOT_DELIVERY_KILLS says how often.
"""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_lmtp import Server
from tests.support.cluster import Cluster

pytestmark = [pytest.mark.process, pytest.mark.slow]

KILLS = int(os.environ.get("PYDOVECOT_DELIVERY_KILLS", "60"))
LONGEST_SECS = 0.1
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
    source = random.Random(4)
    acked: dict[str, set[int]] = {user: set() for user in USERS}
    sent = 0
    running = server.running
    assert isinstance(running, Cluster)
    for _ in range(KILLS):
        client = server.unix()
        client.say("LHLO h")
        wait = source.random() * LONGEST_SECS

        def kill(wait: float = wait) -> None:
            time.sleep(wait)
            for pid in running.pids("lmtp"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with contextlib.suppress(AssertionError, OSError):
            while True:
                sent += 1
                recipients = source.sample(USERS, source.randrange(1, 4))
                answers = client.deliver(*recipients, message=text_of(sent))
                for recipient, answer in zip(recipients, answers, strict=True):
                    assert answer.startswith("250 "), answer
                    acked[recipient].add(sent)
        killer.join()
        client.close()
    assert sum(map(len, acked.values())) > 5  # it did something
    for user in USERS:
        found = found_in(server, user)
        assert acked[user] <= set(found), f"lost: {acked[user] - set(found)}"
        assert len(found) == len(set(found)), "doubled"


def test_lda_killed_at_any_moment(server: Server) -> None:
    source = random.Random(5)
    acked: set[int] = set()
    count = max(8, KILLS // 5)
    begin = time.monotonic()
    usual = 0.0
    for ident in range(1, count + 1):
        process = subprocess.Popen(
            [sys.executable, "-m", "pydovecot.cli.lda", "-c", str(server.running.conf), "-d", "bob"],
            stdin=subprocess.PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(text_of(ident))
        process.stdin.close()
        if ident == 1:
            assert process.wait(60) == 0  # how long one takes that is left alone
            usual = time.monotonic() - begin
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(usual * source.uniform(0.3, 1.2))
            process.kill()
            process.wait()
        if process.returncode == 0:
            acked.add(ident)
    found = found_in(server, "bob")
    assert acked <= set(found)
    assert len(found) == len(set(found)), "doubled"


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

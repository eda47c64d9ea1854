"""kill -9 of the imap process while a client works: what was answered OK is there, nothing is there by half.

The real server over the network; the storage alone is killed far more often in tests/contract/storage.
PYDOVECOT_IMAP_KILLS sets how often.
"""

import contextlib
import imaplib
import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.cluster import Cluster

pytestmark = [pytest.mark.process, pytest.mark.slow]

KILLS = int(os.environ.get("PYDOVECOT_IMAP_KILLS", "100"))
LONGEST_SECS = 0.02  # of work, from the first commands on
BOXES = ("INBOX", "Box")
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "work")
KEEP = 25  # messages of a mailbox above which the client expunges

Mails = dict[int, tuple[int, frozenset[str]]]  # by UID: which message, and its flags


def text_of(ident: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % ident + b"line of %d\r\n" % ident * (ident % 40) + b"end %d\r\n" % ident


@dataclass
class Step:
    """The command that was running: what it may have done or not."""

    kind: str
    box: str
    ident: int = 0
    uid: int = 0
    target: str = ""
    flags: frozenset[str] = frozenset()


@dataclass
class Client:
    """Works until its imap process is gone, and knows what was acknowledged."""

    port: int
    random: random.Random
    acked: dict[str, Mails] = field(default_factory=lambda: {box: {} for box in BOXES})
    ident: int = 0
    running: Step | None = None
    steps: int = 0

    def work(self, imap: imaplib.IMAP4) -> None:
        with contextlib.suppress(imaplib.IMAP4.abort, OSError):
            while True:
                box = self.random.choice(BOXES)
                imap.select(box)
                for _ in range(self.random.randrange(1, 5)):
                    self.step(imap, box)

    def step(self, imap: imaplib.IMAP4, box: str) -> None:
        mails = self.acked[box]
        kind = self.random.choice(("append", "append", "flags", "flags", "copy", "move", "expunge"))
        if not mails or (kind == "append" and len(mails) > KEEP):
            kind = "append" if not mails else "expunge"
        other = BOXES[1 - BOXES.index(box)]
        uid = self.random.choice(list(mails)) if mails else 0
        self.running = step = Step(kind, box, uid=uid, target=other)
        if kind == "append":
            self.ident += 1
            step.ident = self.ident
            self.ok(imap.append(box, "(\\Seen)", None, text_of(self.ident)))
            mails[self.given(imap, "APPENDUID")] = (self.ident, frozenset({"\\Seen"}))
        elif kind == "flags":
            step.flags = frozenset(self.random.sample(FLAGS, 2))
            self.ok(imap.uid("STORE", str(uid), "FLAGS.SILENT", f"({' '.join(sorted(step.flags))})"))
            mails[uid] = (mails[uid][0], step.flags)
        elif kind == "copy":
            self.ok(imap.uid("COPY", str(uid), other))
            self.acked[other][self.given(imap, "COPYUID")] = mails[uid]
        elif kind == "move":
            self.ok(imap.uid("MOVE", str(uid), other))
            self.acked[other][self.given(imap, "COPYUID")] = mails.pop(uid)
        else:
            # \Deleted is not in the model: both commands are one step.
            self.ok(imap.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)"))
            self.ok(imap.uid("EXPUNGE", str(uid)))
            del mails[uid]
        self.running = None
        self.steps += 1

    @staticmethod
    def ok(answer: tuple[str, list[bytes]]) -> None:
        assert answer[0] == "OK", answer

    @staticmethod
    def given(imap: imaplib.IMAP4, code: str) -> int:
        """The UID that a response code names last: that of the new message."""
        _, found = imap.response(code)
        assert found[-1] is not None, code
        return int(found[-1].split()[-1])


def read(imap: imaplib.IMAP4, box: str) -> Mails:
    """All messages of a mailbox; each must be whole."""
    imap.select(box, readonly=True)
    found: Mails = {}
    _, data = imap.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
    for item in data:
        if not isinstance(item, tuple):
            continue
        head = re.search(rb"UID (\d+) FLAGS \(([^)]*)\)", item[0])
        assert head is not None, item[0]
        ident = int(item[1][9 : item[1].index(b"\r")])
        assert item[1] == text_of(ident), f"{box} {head[1]!r} is not whole"
        # An expunge that did not come to its end leaves \\Deleted, which the model does not have.
        flags = frozenset(head[2].decode().split()) - {"\\Recent", "\\Deleted"}
        found[int(head[1])] = (ident, flags)
    return found


def judge(client: Client, found: dict[str, Mails]) -> None:
    """Acknowledged changes are there; the running command may have happened or not, as a whole."""
    step = client.running
    for box, mails in client.acked.items():
        for uid, mail in mails.items():
            now = found[box].get(uid)
            touched = step is not None and step.box == box and step.uid == uid
            if not touched or step is None or step.kind in ("append", "copy"):
                assert now == mail, f"{box} {uid}: {now} instead of {mail}, in {step}"
            elif step.kind == "flags":
                assert now in (mail, (mail[0], step.flags)), f"{now} in {step}"
            elif now is not None:
                assert now == mail, f"{now} in {step}"
        for uid in found[box].keys() - mails.keys():
            assert step is not None, f"{box} {uid}: nobody made it"
            assert step.kind in ("append", "copy", "move"), f"{box} {uid} in {step}"
            wanted = step.ident if step.kind == "append" else client.acked[step.box][step.uid][0]
            assert found[box][uid][0] == wanted
            assert box == (step.box if step.kind == "append" else step.target)
    if step is not None and step.kind == "move":
        ident = client.acked[step.box][step.uid][0]
        assert any(ident == mail[0] for mails in found.values() for mail in mails.values()), f"lost by {step}"
    client.acked = found
    client.running = None


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # fsync protects from power loss, not from kill -9.
    with Cluster("mail_fsync = never\nverbose_proctitle = yes\n") as running:
        yield running


def login(cluster: Cluster) -> imaplib.IMAP4:
    imap = imaplib.IMAP4("127.0.0.1", cluster.imap, timeout=60)
    # imaplib sends a literal and its line end apart: without this each APPEND waits for a delayed ACK.
    imap.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    imap.login("crash", "wonder")
    return imap


def kill_all(cluster: Cluster, worker: threading.Thread) -> None:
    """Kill our client's processes until its thread ends: a title may come late, or be of the last session."""
    end = time.monotonic() + 60
    while worker.is_alive():
        assert time.monotonic() < end, f"no imap process: {cluster.titles()}"
        for pid, title in cluster.titles().items():
            if title.startswith("pydovecot/imap [crash"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        worker.join(0.005)


def test_killed_at_random_points(cluster: Cluster) -> None:
    client, chance = Client(cluster.imap, random.Random(7)), random.Random(8)
    with login(cluster) as imap:
        imap.create("Box")
    for number in range(KILLS):
        imap = login(cluster)
        worker = threading.Thread(target=client.work, args=(imap,))
        after = client.steps + chance.randrange(4)
        worker.start()
        while client.steps < after and worker.is_alive():
            time.sleep(0.001)
        time.sleep(chance.random() * LONGEST_SECS)
        kill_all(cluster, worker)
        imap.shutdown()
        with login(cluster) as reader:
            found = {box: read(reader, box) for box in BOXES}
        judge(client, found)
        if number == KILLS - 1:
            assert client.steps > KILLS, "the client hardly worked"
    assert cluster.place.log_text().count("killed with signal 9") >= KILLS * 0.9

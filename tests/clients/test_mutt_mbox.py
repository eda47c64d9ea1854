"""mutt itself, our sessions and a program that appends, on one mbox at once.

mutt reads the file into memory, changes flags and writes all of it again, over and over. No message may be
lost, split or doubled, no UID may change, no flag of ours or of mutt's may be lost.
"""

import contextlib
import os
import pty
import random
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from pydovecot.base.dotlock import Dotlock
from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, ExpungedError, View
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.support.clients import need
from tests.support.terminal import client_environment, run_in_terminal

pytestmark = [pytest.mark.process, pytest.mark.clients]

ALL = SeqSet(((1, 1_000_000),))
SETTINGS = """\
set header_cache="" delete=yes quit=yes wait_key=no sleep_time=0 mark_old=no move=no beep=no auto_tag=no
set confirmappend=no confirmcreate=no sort=mailbox-order check_new=no
"""
MUTT_SECS = 3.0
ROUNDS = int(os.environ.get("PYDOVECOT_MUTT_ROUNDS", "8"))
# mutt sets a flag for its own messages and removes some of them; it needs a moment between the two.
KEYS = (
    "<tag-pattern>~s mutt<enter><tag-prefix><set-flag>!<untag-pattern>~A<enter><sync-mailbox>"
    "<delete-pattern>~s 'drop'<enter><sync-mailbox><quit>"
)


class Box:
    """Our session, and what others write."""

    def __init__(self, root: Path) -> None:
        self.root, self.spool = root, root / "spool"

    def store(self) -> UserStore:
        location = f"mbox:{self.root}/mail:INBOX={self.spool}"
        view = MemoryView({"mail_location": location, "mail_fsync": "never"}, NamespaceSettings(inbox=True))
        return open_store(StorageUser("alice", str(self.root)), view)

    def deliver(self, subject: str) -> None:
        text = f"From other@example Tue Nov 24 06:04:15 2026\nSubject: {subject}\n\nbody of {subject}\n\n"
        with Dotlock(str(self.spool)), self.spool.open("ab") as spool:
            spool.write(text.encode())

    def append(self, store: UserStore, subject: str) -> int:
        save = store.save("INBOX")
        save.begin(FlagSet(), None)
        save.write(f"Subject: {subject}\r\n\r\nbody of {subject}\r\n".encode())
        save.finish()
        return int(save.commit().uids[0])


def rows(view: View) -> dict[int, tuple[str, int, frozenset[str]]]:
    """Subject, flags and keywords by UID; a message that is not whole fails."""
    view.sync()
    found = {}
    columns = (Column.UID, Column.SEQ, Column.SYSTEM_FLAGS, Column.KEYWORDS)
    for uid, seq, system, keywords in view.rows(ALL, columns):
        text = view.message(seq).crlf().decode()  # type: ignore[arg-type]
        match = re.fullmatch(r"Subject: (.*)\r\n(?:Lines: \d+\r\n)?\r\nbody of (.*)\r\n", text)
        assert match and match[1] == match[2], text
        found[uid] = (match[1], system, frozenset(keywords))  # type: ignore[arg-type]
    return found  # type: ignore[return-value]


def ours(box: Box, end: Path) -> None:
    """Appends, flags and removes messages of its own as long as mutt works."""
    chance = random.Random(1)
    store = box.store()
    view = store.open("INBOX")
    mine: dict[int, tuple[str, int, frozenset[str]]] = {}
    seen: dict[int, str] = {}
    count = 0
    while not end.exists():
        step = chance.choice(["append", "flag", "deliver", "look", "expunge"])
        count += 1
        if step == "append":
            mine[box.append(store, f"ours {count}")] = (f"ours {count}", 0, frozenset())
        elif step == "deliver":
            box.deliver(f"{chance.choice(['mutt', 'drop', 'other'])} {count}")
            (box.root / "last").write_text(str(count))
        elif step == "flag" and mine:
            uid = chance.choice(list(mine))
            system = chance.choice([Flag.SEEN, Flag.ANSWERED, Flag.FLAGGED])
            view.sync()
            words = frozenset(("Work", "Later")[: count % 3])
            view.store(view.seqs_of(SeqSet.of([uid])), StoreOp.REPLACE, FlagSet(system, words))
            mine[uid] = (mine[uid][0], int(system), words)
        elif step == "expunge" and len(mine) > 10:
            uid = chance.choice(list(mine))
            view.sync()
            view.expunge_seqs(view.seqs_of(SeqSet.of([uid])))
            del mine[uid]
        else:
            with contextlib.suppress(ExpungedError):  # mutt was quicker
                for uid, (subject, _, _) in rows(view).items():
                    assert seen.setdefault(uid, subject) == subject
        time.sleep(0.02)
    found = rows(view)
    assert {uid: row for uid, row in found.items() if row[0].startswith("ours")} == mine
    subjects = [row[0] for row in found.values()]
    assert len(subjects) == len(set(subjects)), "doubled"
    view.close()
    store.close()


def run_once(mutt: str, box: Box) -> None:
    """mutt forgets the keys that are still to come when new mail arrives; then it is told to leave."""
    master, slave = pty.openpty()
    command = [mutt, "-n", "-F", "muttrc", "-f", str(box.spool)]
    process = subprocess.Popen(
        command, cwd=box.root, env=client_environment(box.root), stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    deadline = time.monotonic() + MUTT_SECS
    while process.poll() is None:
        if select.select([master], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                os.read(master, 65536)
        if time.monotonic() > deadline:
            process.terminate()
            deadline += MUTT_SECS
    os.close(master)


def test_all_at_once(tmp_path: Path) -> None:
    mutt = need("mutt")
    box = Box(tmp_path)
    box.spool.write_bytes(b"")
    box.deliver("other 0")
    end = tmp_path / "end"
    (tmp_path / "muttrc").write_text(f'{SETTINGS}push "{KEYS}"\n')
    pid = os.fork()
    if pid == 0:
        try:
            ours(box, end)
            os._exit(0)
        except BaseException as exc:  # noqa: BLE001 - told to the parent
            (tmp_path / "failed").write_text(repr(exc))
            os._exit(1)
    try:
        for _ in range(ROUNDS):
            run_once(mutt, box)
    finally:
        end.touch()
        _, status = os.waitpid(pid, 0)
    assert status == 0, (tmp_path / "failed").read_text()
    # Nobody else is there now: mutt must have flagged what is its own, once it looks.
    run_in_terminal([mutt, "-n", "-F", "muttrc", "-f", str(box.spool)], tmp_path)
    view = box.store().open("INBOX")
    for subject, system, _ in rows(view).values():
        assert not subject.startswith("drop")
        assert system & Flag.FLAGGED or not subject.startswith("mutt")
    view.close()

"""Dovecot, pydovecot and other programs on one mbox: alternately and at once.

No UID may ever change, no message may be lost, split or doubled, and no flag lost. The other programs are
one that appends under a dotlock, as procmail does, and one that writes the whole file anew under its locks,
as mutt does.
"""

import fcntl
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from pydovecot.base.dotlock import Dotlock
from pydovecot.model.flags import StoreOp
from tests.support.coexisting import DovecotSession, Mails, OurSession, diff, soon
from tests.support.dovecot_imap import NO_LOG, DovecotImap, as_ordinary_user, missing, user_directory
from tests.support.storage_check import check_store

pytestmark = [pytest.mark.compat, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "alpha", "Beta", "$Forwarded")
ALTERNATE_STEPS = int(os.environ.get("PYDOVECOT_ALTERNATE", "100"))
AT_ONCE_SECS = float(os.environ.get("PYDOVECOT_AT_ONCE", "6"))
_LINES = re.compile(rb"Lines: \d+\r\n")  # what the rewriting program adds
EAGER = "mbox_lazy_writes = no\n"
# As it comes Dovecot believes that others only append, and fails for a moment when they do more.
CAREFUL = EAGER + "mbox_dirty_syncs = no\n"


def text_of(ident: int) -> bytes:
    """Never empty: Dovecot adds a line to what has no body. Some have lines that look like a new message."""
    body = b"text\r\n" * (1 + ident % 7)
    if ident % 5 == 0:
        body += b"\r\nFrom here on it is nothing\r\n"
        body += b"From me@example  Tue Nov 24 06:04:15 2026\r\nSubject: no\r\n\r\n"
    return b"Subject: %d\r\n\r\n" % ident + body


def location(root: Path) -> str:
    return f"mbox:{root}/mail:INBOX={root}/spool"


class Ours(OurSession):
    """A session of ours on INBOX, which checks all content."""

    def __init__(self, root: Path, lazy: str = "no") -> None:
        self.root = root
        super().__init__(location(root), str(root), mbox_lazy_writes=lazy)

    def text_of(self, ident: int) -> bytes:
        return text_of(ident)

    def content(self, uid: int, seq: int) -> bytes:
        text = _LINES.sub(b"", self.view.message(seq).crlf(), 1)  # type: ignore[arg-type]
        ident = int(text[9 : text.index(b"\r")])
        assert text == text_of(ident), (uid, text, (self.root / "spool").read_bytes())
        return text


class Dovecot(DovecotSession):
    """The same with Dovecot."""

    def __init__(self, root: Path, name: str = "d", more: str = EAGER) -> None:
        super().__init__(DovecotImap(root, root, name, location=location(root), more=more))

    def text_of(self, ident: int) -> bytes:
        return text_of(ident)

    def rows(self) -> Mails:
        self.imap.command(b"CHECK")
        return super().rows()


class Other:
    """A program that knows mbox and its locks, but nothing of UIDs."""

    def __init__(self, root: Path) -> None:
        self.spool = root / "spool"

    @contextmanager
    def locked(self) -> Iterator[int]:
        fd = os.open(self.spool, os.O_RDWR)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX)
            with Dotlock(str(self.spool)):
                yield fd
        finally:
            os.close(fd)

    def deliver(self, ident: int) -> None:
        """As procmail: append, a blank line behind it."""
        text = text_of(ident).replace(b"\r\n", b"\n").replace(b"\nFrom ", b"\n>From ")
        with self.locked() as fd:
            os.lseek(fd, 0, os.SEEK_END)
            os.write(fd, b"From other@example Tue Nov 24 06:04:15 2026\n" + text + b"\n")

    def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """As mutt: all of it, in place."""
        with self.locked() as fd:
            data = os.pread(fd, os.fstat(fd).st_size, 0)
            new = change(data)
            before = os.fstat(fd).st_mtime_ns
            os.pwrite(fd, new, 0)
            os.ftruncate(fd, len(new))
            # Dovecot compares whole seconds: what happens twice within one it does not see.
            os.utime(fd, ns=(before, max(time.time_ns(), before + 1_000_000_000)))

    def flag(self, ident: int) -> None:
        """Seen and flagged."""

        def change(data: bytes) -> bytes:
            at = data.index(b"\nSubject: %d\n" % ident) + 1
            end = data.index(b"\n\n", at) + 1
            head = re.sub(rb"(?m)^(X-)?Status:.*\n", b"", data[at:end])
            return data[:at] + head + b"Status: RO\nX-Status: F\n" + data[end:]

        self.rewrite(change)


@contextmanager
def new_root() -> Iterator[Path]:
    """A directory of the ordinary user with an empty spool file."""
    path = user_directory()
    (path / "spool").touch()
    (path / "mail").mkdir()
    for name in ("spool", "mail"):
        shutil.chown(path / name, path.stat().st_uid, path.stat().st_gid)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def root() -> Iterator[Path]:
    with new_root() as path:
        yield path


def alternate(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    dovecot: Dovecot | None = None
    ours: Ours | None = None
    other = Other(root)
    # Of an empty file each program would think of its own UIDVALIDITY until there is a message.
    other.deliver(1)
    model: Mails = {1: (1, frozenset())}
    for ident in range(2, ALTERNATE_STEPS):
        if ours is None or chance.random() < 0.1:
            if ours is not None:
                ours.close()
            ours = Ours(root)
        if dovecot is None or chance.random() < 0.1:
            if dovecot is not None:
                dovecot.close()
            dovecot = Dovecot(root)
        actor: Ours | Dovecot = chance.choice([ours, dovecot])
        step = chance.choice(["append", "append", "flag", "flag", "expunge", "deliver", "foreign"])
        if step == "append":
            flags = frozenset(flag for flag in FLAGS if chance.random() < 0.3)
            uid = actor.append(ident, flags)
            assert uid not in model and uid > max(model, default=0)
            model[uid] = (ident, flags)
        elif step == "deliver" and ident % 5:
            other.deliver(ident)
            found = actor.rows()
            (uid,) = found.keys() - model.keys()
            assert uid > max(model, default=0)
            model[uid] = (ident, frozenset())
        elif step == "flag" and model:
            uid = chance.choice(list(model))
            op = chance.choice(list(StoreOp))
            flags = frozenset(flag for flag in FLAGS if chance.random() < 0.3)
            actor.flag(uid, op, flags)
            number, old = model[uid]
            new = flags if op is StoreOp.REPLACE else old | flags if op is StoreOp.ADD else old - flags
            model[uid] = (number, new)
        elif step == "expunge" and model:
            uid = chance.choice(list(model))
            actor.expunge(uid)
            del model[uid]
        elif step == "foreign" and model:
            uid = chance.choice(list(model))
            number, old = model[uid]
            other.flag(number)
            words = frozenset(flag for flag in old if not flag.startswith("\\"))
            model[uid] = (number, words | {"\\Seen", "\\Flagged"})
        for who in chance.sample([ours, dovecot], 2):
            soon(who.rows, lambda: model, f"seed {seed}, step {ident} {step} by {actor}: {who}")
    assert ours is not None and dovecot is not None
    check_store(ours.store)
    ours.close()
    dovecot.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_alternately(root: Path, seed: int) -> None:
    as_ordinary_user(lambda: alternate(root, seed))


def lazily(root: Path) -> None:
    """Both as they come: they write when they close the mailbox."""
    model: Mails = {}
    Other(root).deliver(1)
    for ident in range(2, 40):
        actor: Ours | Dovecot = Ours(root, "yes") if ident % 2 else Dovecot(root, more="")
        found = actor.rows()
        model = model or found
        assert found == model, diff(found, model)
        flags = frozenset(FLAGS[ident % 4 : ident % 6 + 1])
        model[actor.append(ident, flags)] = (ident, flags)
        uid = list(model)[ident % len(model)]
        actor.flag(uid, StoreOp.ADD, frozenset([FLAGS[ident % len(FLAGS)]]))
        model[uid] = (model[uid][0], model[uid][1] | {FLAGS[ident % len(FLAGS)]})
        if ident % 3 == 0:
            actor.expunge(min(model))
            del model[min(model)]
        actor.close()
        # Dovecot compares whole seconds.
        spool = root / "spool"
        os.utime(spool, (time.time(), spool.stat().st_mtime + 1))


def test_one_after_the_other(root: Path) -> None:
    as_ordinary_user(lambda: lazily(root))


def one_of_many(root: Path, number: int, end: float) -> None:
    """Works on messages of its own, watches that UIDs of all others stay; at last all its own are right."""
    chance = random.Random(number)
    lazy = "yes" if number == 1 else "no"
    actor: Ours | Dovecot = Ours(root, lazy) if number % 2 else Dovecot(root, f"d{number}", CAREFUL)
    mine: Mails = {}
    seen: dict[int, int] = {}
    ident = number * 100_000
    while time.monotonic() < end:
        step = chance.choice(["append", "flag", "flag", "look", "expunge"])
        if step == "append" or not mine:
            ident += 1
            flags = frozenset(flag for flag in FLAGS if chance.random() < 0.3)
            mine[actor.append(ident, flags)] = (ident, flags)
        elif step == "flag":
            uid = chance.choice(list(mine))
            flags = frozenset(flag for flag in FLAGS if chance.random() < 0.3)
            actor.flag(uid, StoreOp.REPLACE, flags)
            mine[uid] = (mine[uid][0], flags)
        elif step == "expunge" and len(mine) > 10:
            uid = chance.choice(list(mine))
            actor.expunge(uid)
            del mine[uid]
        else:
            for uid, (subject, _) in actor.rows().items():
                assert seen.setdefault(uid, subject) == subject, f"UID {uid} changed its message"
    lost = "-"
    deadline = time.monotonic() + 60
    while lost and time.monotonic() < deadline:
        rows = actor.rows()
        lost = diff({uid: mail for uid, mail in rows.items() if mail[0] // 100_000 == number}, mine)
        time.sleep(0.1)
    assert not lost, f"{number}: {lost}"
    actor.close()


def appending(root: Path, number: int, end: float) -> None:
    """As procmail; the messages are counted at the end."""
    other = Other(root)
    ident = number * 100_000
    while time.monotonic() < end:
        ident += 1 + (ident % 5 == 4)
        other.deliver(ident)
        time.sleep(0.01)
    (root / f"delivered{number}").write_text(str(ident))


def rewriting(root: Path, end: float) -> None:
    """As mutt: all octets written again under its locks, now and then longer by a field of its own."""
    other = Other(root)
    subject = re.compile(rb"^Subject: (\d+)\n(?:Lines: \d+\n)?", re.MULTILINE)
    count = 0
    while time.monotonic() < end:
        count += 1
        field = b"Subject: \\1\nLines: %d\n" % count if count % 2 else b"Subject: \\1\n"
        other.rewrite(partial(subject.sub, field))
        time.sleep(0.05)


def at_once(root: Path) -> None:
    Other(root).deliver(1)
    Ours(root).close()
    end = time.monotonic() + AT_ONCE_SECS
    works: list[Callable[[], None]] = [
        lambda: one_of_many(root, 1, end),
        lambda: one_of_many(root, 2, end),
        lambda: one_of_many(root, 3, end),
        lambda: appending(root, 4, end),
        lambda: rewriting(root, end),
    ]
    children = []
    for number, work in enumerate(works):
        pid = os.fork()
        if pid == 0:
            try:
                as_ordinary_user(work)
                os._exit(0)
            except BaseException as exc:  # noqa: BLE001 - told to the parent
                (root / f"failed{number}").write_text(str(exc))
                os._exit(1)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    failed = "\n".join(path.read_text() for path in root.glob("failed*"))
    assert not failed, failed
    last = int((root / "delivered4").read_text())
    ours = Ours(root)
    rows = ours.rows()
    wanted = {ident for ident in range(400_001, last + 1) if ident % 5}
    found = [ident for ident, _ in rows.values() if ident // 100_000 == 4]
    assert sorted(found) == sorted(wanted)
    check_store(ours.store)
    ours.close()
    dovecot = Dovecot(root, "last", CAREFUL)
    assert dovecot.rows() == rows
    dovecot.close()


def test_all_at_once() -> None:
    """Tried again when a Dovecot process left without a word: that says nothing of the mailbox."""
    for last in (False, False, True):
        with new_root() as root:
            try:
                as_ordinary_user(partial(at_once, root))
            except AssertionError as exc:
                if last or NO_LOG not in str(exc):
                    raise
            else:
                return

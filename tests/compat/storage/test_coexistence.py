"""Dovecot, pydovecot and other programs on one Maildir: alternately and at once (H-35).

No UID may ever change, and no message or flag may be lost. The other program delivers, moves mail from
new/ to cur/, renames for flags and unlinks, as mutt and procmail do, without any lock.
"""

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pydovecot.model.flags import StoreOp
from pydovecot.storage.drivers.maildir import filename
from tests.support.coexisting import DovecotSession, Mails, OurSession, diff, soon
from tests.support.dovecot_imap import DovecotImap, as_ordinary_user, missing, user_directory
from tests.support.storage_check import check_store

pytestmark = [pytest.mark.compat, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "alpha", "Beta", "$Forwarded")
ALTERNATE_STEPS = 150
AT_ONCE_SECS = float(os.environ.get("PYDOVECOT_AT_ONCE", "8"))


def text_of(ident: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % ident + b"text\r\n" * (ident % 7)


class Ours(OurSession):
    """A session of ours on INBOX."""

    def __init__(self, maildir: Path) -> None:
        super().__init__(f"maildir:{maildir}")

    def text_of(self, ident: int) -> bytes:
        return text_of(ident)


class Dovecot(DovecotSession):
    """The same with Dovecot."""

    def __init__(self, root: Path, maildir: Path, name: str) -> None:
        super().__init__(DovecotImap(root, maildir, name))

    def text_of(self, ident: int) -> bytes:
        return text_of(ident)


class Other:
    """A program that knows Maildir and nothing of UIDs. Messages are found by their base name."""

    def __init__(self, maildir: Path) -> None:
        self.maildir = maildir
        self.names = filename.Generator("other.example")

    def deliver(self, ident: int) -> str:
        name = self.names.next()
        (self.maildir / "tmp" / name).write_bytes(text_of(ident).replace(b"\r\n", b"\n"))
        os.rename(self.maildir / "tmp" / name, self.maildir / "new" / name)
        return name

    def find(self, base: str) -> Path | None:
        for folder in ("cur", "new"):
            for name in os.listdir(self.maildir / folder):
                if filename.base_of(name) == base:
                    return self.maildir / folder / name
        return None

    def set_letters(self, base: str, letters: str) -> None:
        """Try until the rename succeeds: others may rename the file meanwhile."""
        for _ in range(1000):
            path = self.find(base)
            if path is None:
                time.sleep(0.001)
                continue
            keep = [c for c in path.name.partition(":2,")[2] if c.islower()]
            target = self.maildir / "cur" / f"{base}:2,{''.join(sorted(letters + ''.join(keep)))}"
            try:
                os.rename(path, target)
            except FileNotFoundError:
                continue
            return
        raise AssertionError(f"{base} is lost")

    def remove(self, base: str) -> None:
        for _ in range(1000):
            path = self.find(base)
            if path is not None:
                try:
                    path.unlink()
                except FileNotFoundError:
                    continue
                return
        raise AssertionError(f"{base} is lost")


@pytest.fixture
def root() -> Iterator[Path]:
    path = user_directory()
    yield path
    shutil.rmtree(path)


def make_maildir(root: Path) -> Path:
    maildir = root / "Maildir"
    for folder in ("cur", "new", "tmp"):
        (maildir / folder).mkdir(parents=True)
    return maildir


def alternate(root: Path, seed: int) -> None:
    maildir = make_maildir(root)
    chance = random.Random(seed)
    dovecot: Dovecot | None = None
    ours: Ours | None = None
    other = Other(maildir)
    model: Mails = {}
    bases: dict[int, str] = {}  # number to file, for what the other program delivered
    for ident in range(1, ALTERNATE_STEPS):
        # Sessions come and go: each program starts again on what the others left.
        if ours is None or chance.random() < 0.1:
            if ours is not None:
                ours.close()
            ours = Ours(maildir)
        if dovecot is None or chance.random() < 0.1:
            if dovecot is not None:
                dovecot.close()
            dovecot = Dovecot(root, maildir, "d")
        actor: Ours | Dovecot = chance.choice([ours, dovecot])
        step = chance.choice(["append", "append", "flag", "flag", "expunge", "deliver", "letters", "remove"])
        foreign = [uid for uid, (number, _) in model.items() if number in bases]
        if step == "append":
            flags = frozenset(flag for flag in FLAGS if chance.random() < 0.3)
            uid = actor.append(ident, flags)
            assert uid not in model and uid > max(model, default=0)
            model[uid] = (ident, flags)
        elif step == "deliver":
            bases[ident] = other.deliver(ident)
            found = actor.rows()
            (uid,) = found.keys() - model.keys()
            assert uid > max(model, default=0)
            model[uid] = (ident, frozenset())
        elif step == "flag" and model:
            uid = chance.choice(list(model))
            op = chance.choice(list(StoreOp))
            flags = frozenset(flag for flag in FLAGS if chance.random() < 0.3)
            actor.flag(uid, op, flags)
            number, before = model[uid]
            after = (
                flags if op is StoreOp.REPLACE else before | flags if op is StoreOp.ADD else before - flags
            )
            model[uid] = (number, after)
        elif step == "expunge" and model:
            uid = chance.choice(list(model))
            actor.expunge(uid)
            del model[uid]
        elif step == "letters" and foreign:
            uid = chance.choice(foreign)
            other.set_letters(bases[model[uid][0]], "FS")
            number, before = model[uid]
            words = frozenset(flag for flag in before if not flag.startswith("\\"))
            model[uid] = (number, words | {"\\Seen", "\\Flagged"})
        elif step == "remove" and foreign:
            uid = chance.choice(foreign)
            other.remove(bases[model[uid][0]])
            del model[uid]
        for who in chance.sample([ours, dovecot], 2):
            soon(who.rows, lambda: model, f"seed {seed}, step {ident} {step} by {actor}: {who}")
    assert ours is not None and dovecot is not None
    check_store(ours.store)
    ours.close()
    dovecot.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_alternately(root: Path, seed: int) -> None:
    as_ordinary_user(lambda: alternate(root, seed))


def test_index_lost_or_dovecot_reset(root: Path) -> None:
    """Either program starts without its own files on what the other left: same UIDs, same flags."""

    def work() -> None:
        maildir = make_maildir(root)
        ours, other = Ours(maildir), Other(maildir)
        model: Mails = {}
        for ident in range(1, 20):
            flags = frozenset(FLAGS[: ident % 5] + FLAGS[4 : 4 + ident % 3])
            model[ours.append(ident, flags)] = (ident, flags)
        other.deliver(20)
        model[max(ours.rows())] = (20, frozenset())
        ours.expunge(3)
        del model[3]
        validity = ours.view.uidvalidity
        ours.close()
        for _ in range(2):
            for name in os.listdir(maildir):
                if name.startswith(("dovecot.index", "pydovecot.index")):
                    (maildir / name).unlink()
            dovecot = Dovecot(root, maildir, "d")
            assert dovecot.rows() == model
            assert b"[UIDVALIDITY %d]" % validity in dovecot.imap.command(b"SELECT INBOX")
            dovecot.flag(5, StoreOp.REPLACE, frozenset(["\\Seen", "alpha", "late"]))
            model[5] = (5, frozenset(["\\Seen", "alpha", "late"]))
            dovecot.close()
            ours = Ours(maildir)
            assert ours.rows() == model
            assert ours.view.uidvalidity == validity
            check_store(ours.store)
            ours.close()

    as_ordinary_user(work)


def one_of_many(root: Path, maildir: Path, number: int, end: float) -> None:
    """Works on messages of its own, watches that UIDs of all others stay; at last all its own are right."""
    chance = random.Random(number)
    actor: Ours | Dovecot = Ours(maildir) if number % 2 else Dovecot(root, maildir, f"d{number}")
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
    while time.monotonic() < deadline:
        rows = actor.rows()
        shown = {uid: mail for uid, mail in rows.items() if mail[0] // 100_000 == number}
        lost = diff(shown, mine)
        if not lost:
            break
        time.sleep(0.1)
    assert not lost, f"{type(actor).__name__} {number}: {lost}"
    actor.close()


def deliverer(maildir: Path, end: float) -> None:
    """The other program: delivers, sets letters on its own messages, removes some."""
    chance = random.Random(99)
    other = Other(maildir)
    bases: dict[str, str] = {}
    ident = 9_900_000
    while time.monotonic() < end:
        ident += 1
        bases[other.deliver(ident)] = ""
        base = chance.choice(list(bases))
        bases[base] = chance.choice(["S", "FS", "F", "RS"])
        other.set_letters(base, bases[base])
        if len(bases) > 20:
            base = chance.choice(list(bases))
            other.remove(base)
            del bases[base]
        time.sleep(0.01)
    for base, letters in bases.items():
        path = other.find(base)
        assert path is not None, f"{base} is lost"
        assert not letters or set(letters) == set(path.name.partition(":2,")[2]), (
            f"{path}, {letters} expected"
        )


def test_at_once(root: Path) -> None:
    def work() -> None:
        maildir = make_maildir(root)
        end = time.monotonic() + AT_ONCE_SECS
        jobs: list[Callable[[], None]] = [lambda: deliverer(maildir, end)]
        jobs += [lambda n=n: one_of_many(root, maildir, n, end) for n in range(1, 5)]  # type: ignore[misc]
        pids = []
        for number, job in enumerate(jobs):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    job()
                    status = 0
                except BaseException as exc:  # noqa: BLE001 - told to the parent
                    (root / f"trouble{number}").write_text(f"{type(exc).__name__}: {exc}")
                finally:
                    os._exit(status)
            pids.append(pid)
        failed = [number for number, pid in enumerate(pids) if os.waitpid(pid, 0)[1]]
        told = [path.read_text() for path in root.glob("trouble*")]
        assert not failed and not told, "\n".join(told)
        ours, dovecot = Ours(maildir), Dovecot(root, maildir, "last")
        assert ours.rows() == dovecot.rows()
        check_store(ours.store)
        ours.close()
        dovecot.close()

    as_ordinary_user(work)

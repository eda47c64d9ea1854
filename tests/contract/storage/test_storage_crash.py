"""kill -9 at random moments of APPEND, STORE, COPY, MOVE, REPLACE and EXPUNGE on a Maildir.

A child works through storage.api and writes down each step before and after it; the parent kills it.
Afterwards every acknowledged step must have happened, the step in the middle may have happened for any of
its messages, and the index must equal the Maildir. PYDOVECOT_CRASHES sets how often.
"""

import os
import random
import select
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.numbers import Seq
from pydovecot.model.seqset import SeqSet
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, View
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser
from tests.support.storage_check import check_store

CRASHES = int(os.environ.get("PYDOVECOT_CRASHES", "1000"))
BOXES = ("INBOX", "Box")
LONGEST_SECS = 0.012  # of a child's work, from its first step on
SYSTEM = (Flag.SEEN, Flag.FLAGGED, Flag.ANSWERED, Flag.DRAFT)
KEYWORDS = ("k1", "k2")
KEEP = 30  # messages of a mailbox above which the child expunges

Where = tuple[str, int]  # mailbox and UID


def open_it(root: Path) -> UserStore:
    # fsync protects from power loss, not from kill -9; without it there are more crashes a second.
    settings = MemoryView(
        {"mail_location": f"maildir:{root}", "mail_fsync": "never"}, NamespaceSettings(inbox=True)
    )
    return open_store(StorageUser("crash"), settings)


def text_of(ident: int) -> bytes:
    return b"Subject: %d\n\n" % ident + b"line of message %d\n" % ident * (ident % 50) + b"end %d\n" % ident


@dataclass
class Model:
    """What was acknowledged: content and flags of each message, and what the step in the middle touches."""

    mails: dict[Where, tuple[int, frozenset[str]]] = field(default_factory=dict)
    idents: int = 0


# -- the child ---------------------------------------------------------------------------------------------


class Child:
    """Works until it is killed. Lines: `b step` before and `a step result` after each step."""

    def __init__(self, root: Path, pipe: int, seed: int, ident: int) -> None:
        self.random = random.Random(seed)
        self.pipe, self.ident = pipe, ident
        self.store = open_it(root)
        self.views = {name: self.store.open(name) for name in BOXES}

    def say(self, *words: object) -> None:
        os.write(self.pipe, " ".join(map(str, words)).encode() + b"\n")

    def run(self) -> None:
        self.say("r")
        while True:
            name = self.random.choice(BOXES)
            view = self.views[name]
            view.sync()
            count = len(view.uids)
            steps = [
                self.append,
                self.append,
                self.flags,
                self.flags,
                self.copy,
                self.move,
                self.expunge,
                self.replace,
            ]
            if not count:
                steps = [self.append]
            elif count > KEEP:
                steps = [self.expunge, self.flags, self.move, self.replace]
            self.random.choice(steps)(name, view)

    def some(self, view: View) -> SeqSet:
        count = len(view.uids)
        return SeqSet.of(
            sorted(self.random.sample(range(1, count + 1), self.random.randint(1, min(count, 8))))
        )

    def uids(self, view: View, seqs: SeqSet) -> str:
        return ",".join(str(view.uids[seq - 1]) for seq in seqs)

    def append(self, name: str, _view: View) -> None:
        count = self.random.randint(1, 3)
        seen = self.random.random() < 0.5
        self.say("b", "append", name, self.ident, count, int(seen))
        save = self.store.save(name)
        for _ in range(count):
            save.begin(FlagSet(Flag.SEEN if seen else Flag(0)), None)
            text = text_of(self.ident)
            cut = len(text) // 2
            save.write(text[:cut])
            save.write(text[cut:])
            save.finish()
            self.ident += 1
        self.say("a", ",".join(map(str, save.commit().uids)))

    def flags(self, name: str, view: View) -> None:
        seqs = self.some(view)
        op = self.random.choice(list(StoreOp))
        system = [flag for flag in SYSTEM if self.random.random() < 0.5]
        keywords = [word for word in KEYWORDS if self.random.random() < 0.3]
        words = ",".join([flag.name or "" for flag in system] + keywords)
        self.say("b", "flags", name, self.uids(view, seqs), op.value, words or "-")
        flags = Flag(0)
        for flag in system:
            flags |= flag
        view.store(seqs, op, FlagSet(flags, frozenset(keywords)))
        self.say("a")

    def copy(self, name: str, view: View) -> None:
        self._transfer("copy", name, view)

    def move(self, name: str, view: View) -> None:
        self._transfer("move", name, view)

    def _transfer(self, kind: str, name: str, view: View) -> None:
        seqs = self.some(view)
        target = BOXES[1 - BOXES.index(name)]
        self.say("b", kind, name, self.uids(view, seqs), target)
        result = view.move(seqs, target) if kind == "move" else view.copy(seqs, target)
        self.say("a", ",".join(map(str, result.target)))

    def replace(self, name: str, view: View) -> None:
        seq = Seq(self.random.randint(1, len(view.uids)))
        target = self.random.choice(BOXES)
        self.say("b", "replace", name, view.uids[seq - 1], target, self.ident)
        save = self.store.save(target)
        save.begin(FlagSet(), None)
        save.write(text_of(self.ident))
        save.finish()
        self.ident += 1
        self.say("a", view.replace(seq, save).uids[0])

    def expunge(self, name: str, view: View) -> None:
        seqs = self.some(view)
        self.say("b", "expunge", name, self.uids(view, seqs))
        view.expunge_seqs(seqs)
        self.say("a")


def run_child(root: Path, seed: int, ident: int, delay: float) -> list[list[str]]:
    """Start a child, kill it `delay` seconds after its first word, return its words."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            Child(root, writing, seed, ident).run()
        finally:
            os._exit(3)  # never reached unless a step failed
    os.close(writing)
    try:
        ready = select.select([reading], [], [], 30)[0]
        assert ready, "the child does not start"
        end = time.perf_counter() + delay
        data = b""
        while (left := end - time.perf_counter()) > 0:
            if select.select([reading], [], [], left)[0]:
                chunk = os.read(reading, 65536)
                if not chunk:
                    break
                data += chunk
    finally:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    while chunk := os.read(reading, 65536):
        data += chunk
    os.close(reading)
    assert os.WIFSIGNALED(status), f"the child failed by itself, seed {seed}"
    return [line.split() for line in data.decode().split("\n") if line]


# -- the judge ---------------------------------------------------------------------------------------------


def apply_flags(flags: frozenset[str], op: str, words: frozenset[str]) -> frozenset[str]:
    if op == StoreOp.ADD.value:
        return flags | words
    return flags - words if op == StoreOp.REMOVE.value else words


def take_step(model: Model, begin: list[str], result: list[str]) -> None:
    """An acknowledged step."""
    kind, name = begin[1], begin[2]
    given = [int(uid) for uid in result[1].split(",")] if len(result) > 1 else []
    if kind == "append":
        first, count = int(begin[3]), int(begin[4])
        assert len(given) == count
        for at, uid in enumerate(given):
            model.mails[name, uid] = (first + at, frozenset(["SEEN"] if begin[5] == "1" else []))
        return
    sources = [int(uid) for uid in begin[3].split(",")]
    if kind == "flags":
        words = frozenset(begin[5].split(",")) - {"-"}
        for uid in sources:
            ident, flags = model.mails[name, uid]
            model.mails[name, uid] = (ident, apply_flags(flags, begin[4], words))
        return
    if kind in ("copy", "move"):
        assert len(given) == len(sources)
        for uid, target in zip(sources, given, strict=True):
            model.mails[begin[4], target] = model.mails[name, uid]
    if kind == "replace":
        model.mails[begin[4], given[0]] = (int(begin[5]), frozenset())
    if kind in ("move", "expunge", "replace"):
        for uid in sources:
            del model.mails[name, uid]


def read_mails(store: UserStore) -> dict[Where, tuple[int, frozenset[str]]]:
    """All messages; each must be whole."""
    found: dict[Where, tuple[int, frozenset[str]]] = {}
    for name in BOXES:
        view = store.open(name)
        columns = (Column.SEQ, Column.UID, Column.SYSTEM_FLAGS, Column.KEYWORDS, Column.PHYSICAL_SIZE)
        for seq, uid, system, keywords, size in list(view.rows(SeqSet(((1, 100000),)), columns)):
            text = view.message(seq).stored()
            ident = int(text[9 : text.index(b"\n")])
            assert text == text_of(ident), f"{name} {uid} is not whole"
            assert size == len(text)
            flags = {flag.name for flag in SYSTEM if system & flag}
            found[name, uid] = (ident, frozenset(flags | set(keywords)))
        view.close()
    return found


def judge(model: Model, begin: list[str] | None, found: dict[Where, tuple[int, frozenset[str]]]) -> None:
    """Compare; `begin` is the step that was not acknowledged."""
    kind = begin[1] if begin else ""
    touched: set[Where] = set()
    if begin and kind != "append":
        touched = {(begin[2], int(uid)) for uid in begin[3].split(",")}
    for where, (ident, flags) in model.mails.items():
        now = found.get(where)
        if where not in touched or kind == "copy":
            assert now == (ident, flags), f"{where}: {now}, acknowledged {(ident, flags)}, in {begin}"
        elif kind == "flags":
            assert begin is not None
            after = apply_flags(flags, begin[4], frozenset(begin[5].split(",")) - {"-"})
            assert now in ((ident, flags), (ident, after)), f"{where}: {now} in {begin}"
        elif now is not None:
            assert now == (ident, flags)
    extra = {where: mail for where, mail in found.items() if where not in model.mails}
    if kind == "append":
        assert begin is not None
        allowed = set(range(int(begin[3]), int(begin[3]) + int(begin[4])))
        assert {where[0] for where in extra} <= {begin[2]}
    elif kind in ("copy", "move"):
        assert begin is not None
        allowed = {model.mails[where][0] for where in touched}
        assert {where[0] for where in extra} <= {begin[4]}
    elif kind == "replace":
        assert begin is not None
        allowed = {int(begin[5])}
        assert {where[0] for where in extra} <= {begin[4]}
        assert extra or touched <= found.keys(), f"neither old nor new after {begin}"
    else:
        allowed = set()
    assert {mail[0] for mail in extra.values()} <= allowed, f"{extra} in {begin}"
    if kind == "move":
        here = {mail[0] for mail in found.values()}
        assert {model.mails[where][0] for where in touched} <= here, f"lost by {begin}"


@pytest.mark.slow
def test_kill_at_random_points(tmp_path: Path) -> None:
    root = tmp_path / "Maildir"
    store = open_it(root)
    store.create("Box")
    store.close()
    model = Model()
    chance = random.Random(2)
    interrupted: dict[str, int] = {}
    for crash in range(CRASHES):
        words = run_child(root, crash, model.idents, chance.random() * LONGEST_SECS)
        begin: list[str] | None = None
        for line in words:
            if line[0] == "b":
                begin = line
                if line[1] == "append":
                    model.idents = int(line[3]) + int(line[4])
                elif line[1] == "replace":
                    model.idents = int(line[5]) + 1
            elif line[0] == "a":
                assert begin is not None
                take_step(model, begin, line)
                begin = None
        store = open_it(root)
        check_store(store, locks=False)  # the next writer breaks those of the dead
        found = read_mails(store)
        judge(model, begin, found)
        model.mails = found
        store.close()
        if begin:
            interrupted[begin[1]] = interrupted.get(begin[1], 0) + 1
    print("interrupted:", interrupted)
    if CRASHES >= 500:
        assert (
            min(
                interrupted.get(kind, 0) for kind in ("append", "flags", "copy", "move", "expunge", "replace")
            )
            > 5
        )

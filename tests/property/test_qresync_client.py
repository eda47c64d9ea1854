"""A QRESYNC client that loses its connection at any moment knows the same mailbox after it came back."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.model.seqset import SeqSet
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support.lost_history import lose_history

FETCH = re.compile(rb"\* \d+ FETCH \((.*)\)\Z")
UID = re.compile(rb"UID (\d+)")
MODSEQ = re.compile(rb"MODSEQ \((\d+)\)")
FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
HIGHEST = re.compile(rb"\[HIGHESTMODSEQ (\d+)\]")
VANISHED = re.compile(rb"\* VANISHED (?:\(EARLIER\) )?([0-9:,]+)\Z")
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"

flag_words = st.sampled_from([b"\\Seen", b"\\Flagged", b"\\Deleted", b"\\Deleted \\Seen", b"work", b""])
places = st.integers(1, 9)
cuts = st.none() | st.integers(0, 4)  # how many lines of an answer arrive before the line breaks


class Line:
    """One connection in memory."""

    def __init__(self, machine: "Machine") -> None:
        self.pump = ImapConnection(make_session(machine.store(), machine.view, machine.event, "m"))
        list(self.pump.start())

    def ask(self, command: bytes, literal: bytes = b"") -> list[bytes]:
        """The lines of the answer, the tagged one last."""
        line = b"t " + command + (b" {%d+}\r\n%b" % (len(literal), literal) if literal else b"") + b"\r\n"
        return b"".join(self.pump.feed(line)).split(b"\r\n")[:-1]

    def done(self, command: bytes, literal: bytes = b"") -> list[bytes]:
        """As `ask`, and it was OK (or a MOVE of what was gone already)."""
        lines = self.ask(command, literal)
        assert lines[-1].startswith((b"t OK", b"t NO [EXPUNGEISSUED]")), lines
        return lines


class Client:
    """What a client keeps between its connections, and how it learns.

    `careful`: it believes HIGHESTMODSEQ alone; another goes by the MODSEQs of FETCH responses as well, once
    their command is done, unless it is told a HIGHESTMODSEQ.
    """

    def __init__(self, careful: bool) -> None:
        self.careful = careful
        self.uidvalidity = 0
        self.modseq = 0
        self.uids: list[int] = []  # in the order of sequence numbers
        self.flags: dict[int, frozenset[bytes]] = {}
        self.fetched = 0
        self.exists = 0

    def take(self, lines: list[bytes]) -> None:
        """Learn from an answer, or from what arrived of it."""
        for line in lines:
            self._line(line)
        self.fetched = 0

    def _line(self, line: bytes) -> None:
        if found := VANISHED.match(line):
            self._vanished(found[1], earlier=b"EARLIER" in line)
        elif found := re.match(rb"\* (\d+) EXISTS", line):
            self.exists = int(found[1])
        elif found := FETCH.match(line):
            self._fetch(found[1])
        told = HIGHEST.search(line)
        if told:
            self.modseq, self.fetched = int(told[1]), 0
        elif line.startswith(b"t OK") and not self.careful:
            self.modseq = max(self.modseq, self.fetched)

    def _vanished(self, text: bytes, earlier: bool) -> None:
        gone = set(uids_in(text))
        assert earlier or gone <= set(self.uids) or self.exists > len(self.uids)
        if not earlier:
            self.exists -= len(gone)
        self.uids = [uid for uid in self.uids if uid not in gone]
        for uid in gone:
            self.flags.pop(uid, None)

    def _fetch(self, text: bytes) -> None:
        uid, modseq, flags = UID.search(text), MODSEQ.search(text), FLAGS.search(text)
        if modseq:
            self.fetched = max(self.fetched, int(modseq[1]))
        if uid and flags:
            self.flags[int(uid[1])] = frozenset(flags[1].split()) - {b"\\Recent"}
            if int(uid[1]) not in self.uids:
                self.uids = sorted([*self.uids, int(uid[1])])


def uids_in(text: bytes) -> Iterator[int]:
    """The numbers of a set."""
    for part in text.split(b","):
        low, _, high = part.partition(b":")
        yield from range(int(low), int(high or low) + 1)


class Machine(RuleBasedStateMachine):
    """A client with QRESYNC, another without, and a line that breaks."""

    location = "memory:qresync"

    @initialize(careful=st.booleans())
    def begin(self, careful: bool) -> None:
        forget_all()
        self.root = Path(tempfile.mkdtemp(prefix="qresync-"))
        location = self.location.format(root=self.root)
        self.view = MemoryView(
            {"mail_location": location, "mail_fsync": "never"}, NamespaceSettings(inbox=True, separator="/")
        )
        self.sink = ListSink()
        self.event = Event(self.sink)
        self.stores: list[Any] = []
        self.other = Line(self)
        for _ in range(6):
            self.other.done(b"APPEND INBOX (\\Seen)", MESSAGE)
        self.other.done(b"SELECT INBOX")
        self.other.done(b"CREATE Box")
        self.client = Client(careful)
        self.line: Line | None = None
        self.come_back("all")

    def store(self) -> Any:
        self.stores.append(open_store(StorageUser("m"), self.view))
        return self.stores[-1]

    # What the other client does

    @rule(count=st.integers(1, 3), flags=flag_words)
    def other_appends(self, count: int, flags: bytes) -> None:
        for _ in range(count):
            self.other.done(b"APPEND INBOX (%b)" % flags, MESSAGE)

    @rule(low=places, high=places, flags=flag_words, how=st.sampled_from([b"+", b"-", b""]))
    def other_stores(self, low: int, high: int, flags: bytes, how: bytes) -> None:
        self.other.done(b"UID STORE %d:%d %bFLAGS.SILENT (%b)" % (low, high, how, flags))

    @rule(move=st.booleans(), uid=places)
    def other_removes(self, move: bool, uid: int) -> None:
        if move:
            self.other.done(b"UID MOVE %d Box" % uid)
        else:
            self.other.done(b"UID STORE %d +FLAGS.SILENT (\\Deleted)" % uid)
            self.other.done(b"EXPUNGE")

    @rule(uid=places, flags=flag_words, then=st.sampled_from([b"FETCH 1:* MODSEQ", b"SEARCH ALL"]))
    def held_back(self, uid: int, flags: bytes, then: bytes) -> None:
        """The client learns newer modseqs while it must not be told of an expunge, and is cut off."""
        self.other_removes(True, uid)
        if self.line is not None and self.client.uids:
            self.client_says(b"STORE 1 +FLAGS (%b)" % flags, None)
            self.client_says(then, None)
            self.comes_back("uids", True)

    @rule(uid=places, lost=st.booleans(), known=st.sampled_from(["all", "uids", "match"]))
    def away(self, uid: int, lost: bool, known: str) -> None:
        """Something goes while the client is away, and perhaps nobody remembers it."""
        self.break_line()
        self.other_removes(False, uid)
        if lost:
            self.history_is_lost()
        self.comes_back(known, False)

    @rule()
    def history_is_lost(self) -> None:
        self.other.done(b"NOOP")
        view = self.other.pump.session.view
        assert view is not None
        lose_history(view)

    # What the client does

    @rule(
        command=st.sampled_from(
            [
                b"NOOP", b"CHECK", b"EXPUNGE", b"SEARCH ALL", b"UID SEARCH ALL", b"FETCH 1:* (MODSEQ)",
                b"UID FETCH 1:* (FLAGS MODSEQ)", b"FETCH 1 (FLAGS)", b"UID MOVE 3,5 Box",
            ]
        ),
        cut=cuts,
    )  # fmt: skip
    def client_asks(self, command: bytes, cut: int | None) -> None:
        self.client_says(command, cut)

    @rule(
        uid=st.booleans(),
        low=places,
        high=places,
        flags=flag_words,
        how=st.sampled_from([b"+FLAGS", b"-FLAGS.SILENT", b"FLAGS", b"+FLAGS.SILENT"]),
        cut=cuts,
    )
    def client_stores(
        self, uid: bool, low: int, high: int, flags: bytes, how: bytes, cut: int | None
    ) -> None:
        if how.endswith(b".SILENT"):
            cut = 0  # a client that does not know whether it was done: the flags are told when it is back
        if self.line is None:
            self.come_back("all")
        known = len(self.client.uids)
        if uid or max(low, high) <= known:
            self.client_says(b"%bSTORE %d:%d %b (%b)" % (b"UID " * uid, low, high, how, flags), cut)

    def client_says(self, command: bytes, cut: int | None) -> None:
        if self.line is None:
            self.come_back("all")
        line = self.line
        assert line is not None
        if not self.client.uids and b" 1" in command and not command.startswith(b"UID"):
            return
        lines = line.done(command)
        if cut is None:
            self.client.take(lines)
            if self.client.exists > len(self.client.uids):
                self.fetch_new(max(self.client.uids, default=0))
            assert self.client.exists == len(self.client.uids)
        else:
            self.client.take(lines[:cut])
            self.break_line()

    def fetch_new(self, last: int) -> None:
        """Messages after the last known one, and those whose news did not arrive."""
        assert self.line is not None
        self.client.take(self.line.done(b"UID FETCH %d:* (FLAGS)" % (last + 1)))

    def break_line(self) -> None:
        if self.line is not None:
            self.line.pump.close()
        self.line = None

    @rule(known=st.sampled_from(["all", "uids", "match"]), breaks=st.booleans())
    def comes_back(self, known: str, breaks: bool) -> None:
        if breaks:
            self.break_line()
        self.come_back(known)
        self.compare()

    def come_back(self, known: str) -> None:
        """Select again, with more or less of what is known."""
        client = self.client
        if self.line is None:
            self.line = Line(self)
            self.line.done(b"ENABLE QRESYNC")
        words = b"(QRESYNC (%d %d%b))" % (client.uidvalidity or 1, client.modseq, self.what_is_known(known))
        lines = self.line.done(b"SELECT INBOX " + words)
        last = max(client.uids, default=0)
        found = re.search(rb"UIDVALIDITY (\d+)", b"".join(lines))
        assert found
        client.uidvalidity = int(found[1])
        client.take(lines)
        self.fetch_new(last)

    def what_is_known(self, known: str) -> bytes:
        uids = self.client.uids
        if known == "all" or not uids:
            return b""
        text = b" " + SeqSet.of(uids).encode()
        if known == "match":
            text += b" (1:%d %b)" % (len(uids), SeqSet.of(uids).encode())
        return text

    @rule()
    def client_looks(self) -> None:
        """Whoever is connected and has asked for news knows everything."""
        if self.line is not None:
            self.client_says(b"NOOP", None)
            self.compare()

    def compare(self) -> None:
        """The same as a client that reads all of it."""
        fresh = Line(self)
        fresh.done(b"EXAMINE INBOX")
        truth = Client(careful=True)
        truth.take(fresh.done(b"UID FETCH 1:* (FLAGS)"))
        fresh.pump.close()
        assert self.client.uids == truth.uids
        assert self.client.flags == truth.flags

    def teardown(self) -> None:
        if not hasattr(self, "root"):
            return
        self.break_line()
        self.other.pump.close()
        for store in self.stores:
            store.close()
        shutil.rmtree(self.root)
        errors = [text for level, text, *_ in self.sink.lines if level >= 3]
        assert not errors, errors


class MaildirMachine(Machine):
    """The same over the index."""

    location = "maildir:{root}/Maildir"


STEPS = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
TestInMemory = Machine.TestCase
TestInMemory.settings = STEPS
TestOverTheIndex = MaildirMachine.TestCase
TestOverTheIndex.settings = STEPS

"""The same questions to our IMAP session and to Dovecot's imap process, each on its copy of one Maildir."""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support.preauth import DovecotEndedError, PreauthImap

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_TIMING = re.compile(rb" \([^()]* secs\)\.?")
_FETCH = re.compile(rb"\* (\d+) FETCH \(")
AROUND = 60  # octets shown before and behind the first difference


class OurImap:
    """Our session on a copy of another server's Maildir, INBOX selected."""

    def __init__(self, maildir: Path) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="ourimap-"))
        shutil.copytree(maildir / "cur", self.home / "Maildir/cur")
        for sub in ("new", "tmp"):
            (self.home / "Maildir" / sub).mkdir()
        view = MemoryView(
            {"mail_location": f"maildir:{self.home}/Maildir"},
            NamespaceSettings(section_name="inbox", inbox=True),
        )
        self.sink = ListSink()
        self._store = open_store(StorageUser("tester", str(self.home)), view)
        self._pump = ImapConnection(make_session(self._store, view, Event(self.sink), "tester"))
        list(self._pump.start())
        self.ask(b"SELECT INBOX")

    def ask(self, text: bytes) -> list[bytes]:
        """All responses of one command; the last is the status without tag and timing."""
        return responses(b"".join(self._pump.feed(b"t " + text + b"\r\n")))

    def command(self, text: bytes) -> bytes:
        """All untagged responses of one command, which must succeed."""
        *untagged, status = self.ask(text)
        assert status.startswith(b"OK"), status
        return b"".join(untagged)

    def close(self) -> None:
        """Forget everything."""
        self._pump.close()
        self._store.close()
        shutil.rmtree(self.home)


def responses(data: bytes) -> list[bytes]:
    """What a server said to the command `t`: whole responses, and the status without tag and timing."""
    out: list[bytes] = []
    pos = start = 0
    while pos < len(data):
        end = data.index(b"\n", pos) + 1
        literal = _LITERAL.search(data, max(pos, end - 24), end)
        pos = end
        if literal is not None:
            pos += int(literal[1])
            continue
        out.append(data[start:pos])
        start = pos
    assert out and out[-1].startswith(b"t "), data[-200:]
    out[-1] = status(out[-1])
    return out


def status(line: bytes) -> bytes:
    """A tagged line without its tag and timing."""
    return _TIMING.sub(b"", line.partition(b" ")[2]).rstrip(b"\r\n")


@dataclass(frozen=True, slots=True)
class Difference:
    """One answer that is not the same. `number` is the message's, 0 for the whole mailbox's answers."""

    number: int
    question: bytes
    ours: bytes
    theirs: bytes

    def __str__(self) -> str:
        at = next(
            (i for i, (a, b) in enumerate(zip(self.ours, self.theirs, strict=False)) if a != b),
            min(len(self.ours), len(self.theirs)),
        )
        around = slice(max(0, at - AROUND), at + AROUND)
        return (
            f"{self.number} {self.question[:100]!r} at {at}: "
            f"ours {self.ours[around]!r} theirs {self.theirs[around]!r}"
        )


class Duel:
    """Both servers over the same messages, numbered 1, 2, …

    `answers` counts what was compared; `ended` are the questions that ended Dovecot, which have no answer.
    """

    def __init__(self, messages: Sequence[bytes]) -> None:
        self.count = len(messages)
        self.dovecot = PreauthImap(messages)
        self.ours = OurImap(self.dovecot.root / "Maildir")
        self.answers = 0
        self.ended: list[tuple[int, bytes]] = []

    def close(self) -> None:
        """Stop both."""
        self.ours.close()
        self.dovecot.close()

    def __enter__(self) -> "Duel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def items(self, number: int, items: Sequence[bytes]) -> Iterator[Difference]:
        """FETCH items of one message: all at once, and one by one where the answers are not equal."""
        if self._same(b"FETCH %d (%b)" % (number, b" ".join(items))):
            self.answers += len(items)
            return
        for item in items:
            yield from self._one(number, b"FETCH %d (%b)" % (number, item))

    def each(self, number: int, items: Sequence[bytes]) -> Iterator[Difference]:
        """FETCH items of one message, each in a command of its own: they may fail."""
        for item in items:
            yield from self._one(number, b"FETCH %d (%b)" % (number, item))

    def _same(self, command: bytes) -> bool:
        return self.ours.ask(command) == self._theirs(0, command)

    def _theirs(self, number: int, command: bytes) -> list[bytes]:
        """Dovecot's answer; none when the question ended it."""
        try:
            return self.dovecot.ask(command)
        except DovecotEndedError:
            if number:
                self.ended.append((number, command))
            self.dovecot.restart()
            return []

    def _one(self, number: int, command: bytes) -> Iterator[Difference]:
        ours, theirs = b"".join(self.ours.ask(command)), b"".join(self._theirs(number, command))
        if not theirs:
            return
        self.answers += 1
        if ours != theirs:
            yield Difference(number, command, ours, theirs)

    def item_of_all(self, item: bytes) -> Iterator[Difference]:
        """One FETCH item of every message in one command."""
        command = b"FETCH 1:* (" + item + b")"
        ours, theirs = self.ours.ask(command), self.dovecot.ask(command)
        self.answers += self.count
        if ours == theirs:
            return
        mine, other = by_message(ours), by_message(theirs)
        for number in range(1, self.count + 1):
            if mine.get(number) != other.get(number):
                question = b"FETCH %d (%b)" % (number, item)
                yield Difference(number, question, mine.get(number, b""), other.get(number, b""))

    def mailbox(self, commands: Iterable[bytes]) -> Iterator[Difference]:
        """Questions with one answer for the whole mailbox: SEARCH, SORT, THREAD."""
        for command in commands:
            yield from self._one(0, command)

    def matches(self, command: bytes) -> Iterator[Difference]:
        """SEARCH, compared message by message."""
        self.answers += 1
        ours, theirs = self.ours.ask(command), self.dovecot.ask(command)
        if ours == theirs:
            return
        mine, other = numbers(ours), numbers(theirs)
        if mine == other:
            yield Difference(0, command, b"".join(ours), b"".join(theirs))
        for number in sorted(mine ^ other):
            found = (b"yes" if number in mine else b"no", b"yes" if number in other else b"no")
            yield Difference(number, command, *found)


def by_message(answer: list[bytes]) -> dict[int, bytes]:
    """FETCH responses by sequence number."""
    found = ((_FETCH.match(response), response) for response in answer)
    return {int(match[1]): response for match, response in found if match is not None}


def numbers(answer: list[bytes]) -> set[int]:
    """Message numbers of a SEARCH response."""
    return {int(word) for line in answer if line.startswith(b"* SEARCH") for word in line.split()[2:]}

"""Transcripts in memory: the protocol cores with the memory storage driver, input cut in every way."""

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.model.flags import FLAG_BY_NAME, NO_FLAGS, FlagSet
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.services.pop3.connection import Pop3Connection
from pydovecot.services.pop3.session import Session as Pop3Session
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support import lmtp_memory
from tests.support.transcript import SetupMessage, Transcript

Cut = Callable[[bytes], Iterable[bytes]]
_serial = itertools.count(1)


def whole(data: bytes) -> Iterable[bytes]:
    """As it was sent."""
    return [data]


def byte_by_byte(data: bytes) -> Iterable[bytes]:
    """The slowest client."""
    return (data[i : i + 1] for i in range(len(data)))


def at_random(seed: int) -> Cut:
    """Pieces of 1 to 17 bytes."""
    source = random.Random(seed)

    def cut(data: bytes) -> Iterable[bytes]:
        at = 0
        while at < len(data):
            size = source.randrange(1, 18)
            yield data[at : at + size]
            at += size

    return cut


CUTS: tuple[Cut, ...] = (whole, byte_by_byte, at_random(1), at_random(2), at_random(3))


class Pump(Protocol):
    """A protocol core after the login."""

    closed: bool

    def feed(self, data: bytes) -> Iterable[bytes]: ...


class MemoryConnection:
    """Feeds a pump and keeps what it says."""

    def __init__(
        self, pump: Pump, cut: Cut, wakeup: Callable[[], Iterable[bytes]], end: Callable[[], None]
    ) -> None:
        self._pump, self._cut, self._wakeup, self._end = pump, cut, wakeup, end
        self._output: deque[bytes] = deque()

    def send(self, data: bytes) -> None:
        """The pump's answers wait until they are asked for."""
        for piece in self._cut(data):
            if self._pump.closed:
                return
            self._output.extend(chunk for chunk in self._pump.feed(piece) if chunk)

    def receive(self) -> bytes:
        """Answers; b"" when the server closed. TimeoutError when it has nothing to say."""
        if not self._output and not self._pump.closed:
            self._output.extend(chunk for chunk in self._wakeup() if chunk)
        if self._output:
            return self._output.popleft()
        if self._pump.closed:
            return b""
        raise TimeoutError

    def close(self) -> None:
        """The client is gone."""
        self._end()


def memory_settings(transcript: Transcript) -> tuple[dict[str, str], dict[str, str]]:
    """Its settings, and those of plugin { }; of protocol { } sections only the transcript's own."""
    texts, plugin = {"mail_location": "memory:"}, dict[str, str]()
    section = ""
    for line in transcript.settings:
        name, equals, value = line.partition("=")
        if equals:
            target = plugin if section == "plugin" else texts
            if section in ("", "plugin", f"protocol {transcript.protocol}"):
                target[name.strip()] = value.strip()
        else:
            section = line.partition("{")[0].strip() if "{" in line else ""
    return texts, plugin


class MemoryHarness:
    """One transcript's mail in memory, for one way of cutting."""

    label = "memory"

    def __init__(self, transcript: Transcript, cut: Cut) -> None:
        self._transcript, self._cut = transcript, cut
        texts, plugin = memory_settings(transcript)
        space = NamespaceSettings(section_name="inbox", inbox=True, separator=".")
        self.view = MemoryView(texts, space, plugin=plugin)
        self.user = f"memory{next(_serial)}"
        self.storage_user = StorageUser(self.user, "/nonexistent", transcript.protocol)
        self.sink = ListSink()
        self.event = Event(self.sink)
        store = open_store(self.storage_user, self.view)
        for name in transcript.mailboxes:
            store.create(name)
        for message in transcript.messages:
            save = store.save(message.mailbox)
            save.begin(flag_set(message.flags), received(message))
            save.write(message.body)
            save.finish()
            save.commit()
        store.close()

    def open(self, conn: int) -> MemoryConnection:
        """A connection after its login."""
        del conn
        if self._transcript.protocol == "pop3":
            return self._open_pop3()
        if self._transcript.protocol == "lmtp":
            return self._open_lmtp()
        return self._open_imap()

    def _open_pop3(self) -> MemoryConnection:
        store = open_store(self.storage_user, self.view)
        settings = self.view.get(Pop3Settings)
        pump = Pop3Connection(
            lambda: Pop3Session(store, settings, self.event), settings, self.event, lambda: "Internal error"
        )
        assert b"".join(pump.start()) == b"+OK Logged in.\r\n"

        def end() -> None:
            pump.close("Connection closed")
            store.close()

        return MemoryConnection(pump, self._cut, lambda: (), end)

    def _open_lmtp(self) -> MemoryConnection:
        pump = lmtp_memory.connection(self.view, self.event)
        assert pump.greeting().startswith(b"220 ")
        return MemoryConnection(pump, self._cut, lambda: (), lambda: pump.close("Connection closed"))

    def _open_imap(self) -> MemoryConnection:


        store = open_store(self.storage_user, self.view)
        pump = ImapConnection(make_session(store, self.view, self.event, self.user))
        for _greeting in pump.start():
            pass

        def end() -> None:
            pump.close()
            store.close()

        return MemoryConnection(pump, self._cut, lambda: pump.wakeup() if pump.idling else (), end)

    def close(self) -> None:
        """An error line in the log is a failure the client may not have seen."""
        errors = [text for level, text, *_ in self.sink.lines if level >= 3]
        assert not errors, errors


def flag_set(names: Iterable[str]) -> FlagSet:
    """Flags as in a transcript's @message line."""
    system = NO_FLAGS
    keywords = set()
    for name in names:
        if name.startswith("\\"):
            system |= FLAG_BY_NAME[name.lower()]
        else:
            keywords.add(name)
    return FlagSet(system, frozenset(keywords))


def received(message: SetupMessage) -> int | None:
    """INTERNALDATE of a @message line as seconds UTC."""
    if not message.received:
        return None
    return int(datetime.strptime(message.received.strip(), "%d-%b-%Y %H:%M:%S %z").timestamp())

"""One client: its socket, the commands that are on their way, and the routing of what the server says."""

import re
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.stress.model import TEMPORARY, World
from tests.stress.parse import Reader, Value, Violation, code, numbers, response_end
from tests.stress.selected import FROZEN, Selected, vanished_uids

RECV_BYTES = 1 << 18
KEPT_LINES = 60  # of the talk, for the report
SHOWN_BYTES = 300  # of a line
LEGAL_STATUS = frozenset((b"OK", b"NO", b"BAD"))
_NUMBERED = re.compile(rb"\* (\d+) (EXISTS|RECENT|EXPUNGE|FETCH)\b ?", re.IGNORECASE)
_TAGGED = re.compile(rb"(S\d+) (\w+) (.*)\r\n\Z", re.DOTALL)

Finish = Callable[["Connection", "Command", "Answer"], None]
Tamper = Callable[["Connection", bytes], list[bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A tagged status."""

    status: bytes
    code: bytes
    argument: bytes
    text: bytes

    @property
    def ok(self) -> bool:
        return self.status == b"OK"


@dataclass(slots=True)
class Command:
    """`parts` are sent one after the other, each but the first when the server says `+`."""

    verb: bytes
    parts: list[bytes]
    finish: Finish | None = None
    uids: list[int] = field(default_factory=list)  # whose keywords it changes
    untagged: list[tuple[bytes, list[Value]]] = field(default_factory=list)  # SEARCH, STATUS, LIST, ...
    tag: bytes = b""
    sent: int = 0  # tick
    sent_at: float = 0.0
    selecting: list[bytes] | None = None  # SELECT: all responses, for its end
    view: list[tuple[int | None, frozenset[bytes] | None]] = field(default_factory=list)  # at its result
    may_fail: bool = False
    result: object = None  # what `finish` needs to know

    @property
    def frozen(self) -> bool:
        return self.verb in FROZEN


class Closed(Exception):
    """The server has closed the connection."""


class Connection:
    """Commands go out by `send`; `pump` takes what has come."""

    def __init__(
        self, world: World, index: int, user: str, server: str, port: int, tamper: Tamper | None
    ) -> None:
        self.world, self.index, self.user, self.server = world, index, user, server
        self.name = f"c{index}"
        self._tamper = tamper
        self.talk: deque[str] = deque(maxlen=KEPT_LINES)
        self.pending: deque[Command] = deque()
        self.selected: Selected | None = None
        self.mailbox = b""
        self.capabilities: frozenset[bytes] = frozenset()
        self.outgoing: Callable[[bytes], bytes] | None = None
        self.qresync = False
        self.idling = False
        self.expect_close = False
        self.ready_at = 0.0
        self.sessions = 0
        self._tags = 0
        self._buffer = b""
        self._at = 0
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- out -----------------------------------------------------------------------------------------------

    def send(self, *commands: Command) -> None:
        """All at once."""
        if self.selected is not None and not self.pending:
            self.selected.changed = type(self.selected.changed)()
        data = b""
        for command in commands:
            self._tags += 1
            self.world.tick += 1
            command.tag, command.sent, command.sent_at = (
                b"S%d" % self._tags,
                self.world.tick,
                time.monotonic(),
            )
            line = command.tag + b" " + command.parts.pop(0)
            line = self.outgoing(line) if self.outgoing is not None else line
            self.pending.append(command)
            self.note("C", line)
            data += line
            if command.uids and self.selected is not None:
                self.selected.box.fly(command.uids, 1)
                command.result = self.selected.box
        if self.selected is not None and commands[0] is self.pending[0]:
            self.selected.changed.first = commands[0].tag
        self.sock.sendall(data)

    def more(self, data: bytes) -> None:
        """The next part of the running command."""
        self.note("C", data)
        self.sock.sendall(data)

    def note(self, who: str, data: bytes) -> None:
        text = (
            data[:SHOWN_BYTES].decode("utf-8", "backslashreplace").rstrip("\r\n").replace("\r\n", "\n     ")
        )
        more = f" ... ({len(data)} octets)" if len(data) > SHOWN_BYTES else ""
        line = f"{self.world.tick:6} {self.name} {who}: {text}{more}"
        self.talk.append(line)
        self.world.talk.append(line)

    def close(self) -> None:
        """Hang up, whatever runs."""
        for command in self.pending:
            if isinstance(command.result, type(None)):
                continue
            box = getattr(command.result, "forget", None)
            if command.uids and box is not None:
                box(command.uids)
        self.pending.clear()
        self.sock.close()

    # -- in ------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Take what has come. Raises Closed, Violation."""
        try:
            data = self.sock.recv(RECV_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            self.note("S", b"(closed)")
            raise Closed
        self._buffer += data
        while (end := response_end(self._buffer, 0)) > 0:
            response, self._buffer = self._buffer[:end], self._buffer[end:]
            self.world.tick += 1
            for one in self._tamper(self, response) if self._tamper else [response]:
                self.note("S", one)
                self.response(one)

    def response(self, data: bytes) -> None:
        """One response with its literals."""
        if data.startswith(b"* "):
            command = self.pending[0] if self.pending else None
            if command is not None and command.selecting is not None:
                command.selecting.append(data)
            else:
                self.untagged(data)
        elif data.startswith(b"+"):
            self._continue()
        else:
            self._tagged(data)

    def _continue(self) -> None:
        if not self.pending:
            raise Violation("`+` without a command")
        command = next((one for one in self.pending if one.parts or one.verb == b"IDLE"), self.pending[0])
        if command.verb == b"IDLE":
            self.idling = True
        elif command.parts:
            self.more(command.parts.pop(0))
        else:
            raise Violation(f"`+` in answer to {command.verb.decode()}")

    def _tagged(self, data: bytes) -> None:
        found = _TAGGED.match(data)
        if found is None or found[2] not in LEGAL_STATUS:
            raise Violation(f"not a response: {data[:200]!r}")
        command = next((one for one in self.pending if one.tag == found[1]), None)
        if command is None:
            raise Violation(f"answer to {found[1].decode()}, which nobody waits for")
        self.pending.remove(command)  # Dovecot runs searches at the same time and may answer the second first
        text = found[3]
        answer = Answer(found[2], *code(text), text)
        crossed = answer.code == b"SERVERBUG" and self.server != "dovecot"  # its races with DELETE end so
        if answer.status == b"BAD" or crossed:
            raise Violation(f"{command.verb.decode()} was answered with {text.decode('utf-8', 'replace')}")
        may_fail = command.may_fail or self.mailbox in TEMPORARY  # which others delete
        if not answer.ok and not may_fail and answer.code not in (b"EXPUNGEISSUED", b"SERVERBUG"):
            raise Violation(f"{command.verb.decode()} failed: {text.decode('utf-8', 'replace')}")
        if command.verb == b"IDLE":
            self.idling = False
        if command.finish is not None:
            command.finish(self, command, answer)

    def untagged(self, data: bytes) -> None:
        """One untagged response, not of SELECT."""
        numbered = _NUMBERED.match(data)
        if numbered is not None:
            self._about_messages(data, int(numbered[1]), numbered[2].upper(), numbered.end())
            return
        reader = Reader(data, 2)
        word = reader.word().upper()
        if word in (b"OK", b"NO", b"BAD"):
            self._status(data)
        elif word == b"BYE":
            return
        elif word == b"VANISHED":
            uids, earlier = vanished_uids(reader.rest())
            if not earlier:
                self._may_expunge(b"VANISHED")
            self._chosen().vanished(uids, earlier=earlier)
        elif word == b"CAPABILITY":
            self.capabilities = frozenset(data[2:].upper().split())
        elif word in (b"SEARCH", b"ESEARCH", b"SORT", b"THREAD", b"STATUS", b"LIST", b"LSUB"):
            self._result(word, reader.rest())
        elif word not in (b"FLAGS", b"ENABLED", b"ID", b"NAMESPACE"):
            raise Violation(f"what is {word.decode('utf-8', 'replace')}?")

    def _chosen(self) -> Selected:
        if self.selected is None:
            raise Violation("a response about messages without a selected mailbox")
        return self.selected

    def _about_messages(self, data: bytes, number: int, what: bytes, start: int) -> None:
        selected = self._chosen()
        if what == b"EXISTS":
            selected.exists(number)
        elif what == b"RECENT":
            selected.told_recent(number)
        elif what == b"EXPUNGE":
            self._may_expunge(what)
            selected.expunge(number)
        else:
            items = Reader(data, start).value()
            if not isinstance(items, list):
                raise Violation(f"FETCH without items: {data[:200]!r}")
            selected.fetch(number, items)

    def _may_expunge(self, what: bytes) -> None:
        if not self.pending:
            raise Violation(f"{what.decode()} while no command runs")
        if all(command.frozen for command in self.pending):
            raise Violation(f"{what.decode()} while {self.pending[0].verb.decode()} runs")

    def _status(self, data: bytes) -> None:
        name, argument = code(data[2:].partition(b" ")[2])
        if name == b"HIGHESTMODSEQ" and self.selected is not None:
            self.selected.highest = int(argument)
        elif name in (b"COPYUID", b"APPENDUID") and self.pending:
            self.pending[0].untagged.append((name, [argument]))

    def _result(self, word: bytes, values: list[Value]) -> None:
        if word == b"ESEARCH" and values and isinstance(values[0], list) and len(values[0]) == 2:
            tag = values[0][1]
            command = next((one for one in self.pending if one.tag == tag), None)
        else:
            # Dovecot runs several at once, and answers them in their order.
            fitting = [one for one in self.pending if word in one.verb]
            command = next((one for one in fitting if not one.untagged), fitting[0] if fitting else None)
        if command is None:
            raise Violation(f"{word.decode()} without a command that asks for it")
        command.untagged.append((word, values))
        if self.selected is not None and not command.view:
            command.view = [(message.uid, message.flags) for message in self.selected.messages]


def select_codes(responses: list[bytes]) -> dict[bytes, bytes]:
    """Response codes of SELECT's untagged OKs."""
    found = {}
    for data in responses:
        if data[:5] == b"* OK ":
            name, argument = code(data[5:])
            found[name] = argument
    return found


def single(values: list[Value]) -> list[int]:
    """The numbers of a SEARCH or SORT response."""
    found = []
    for value in values:
        if isinstance(value, list):
            continue  # (MODSEQ n)
        if value is None or not value.isdigit():
            raise Violation(f"not a number: {value!r}")
        found += numbers(value)
    return found

"""Plays a transcript on a harness and says where it went differently."""

import re
import time
from typing import Protocol

from tests.support import matcher
from tests.support.transcript import Action, Expect, Send, Step, Transcript

# RFC 8474, which Dovecot lacks: in SELECT and CREATE. Compared only in transcripts that speak of it.
_ID_LINE = re.compile(rb"\* OK \[MAILBOXID \([^)]*\)\] [^\r]*\r\n")
_ID_CODE = re.compile(rb"\A(\S+ OK )\[MAILBOXID \([^)]*\)\] ")


class Connection(Protocol):
    """One client's connection."""

    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes:
        """More bytes; b"" when the server closed. Raises TimeoutError when nothing comes."""
        ...

    def close(self) -> None: ...


class Harness(Protocol):
    """A server with one transcript's mail in it."""

    label: str  # memory, ours or dovecot

    @property
    def user(self) -> str:
        """Whose mail it is: %{user} in a transcript."""
        ...

    def open(self, conn: int) -> Connection:
        """A connection where the transcript's stage begins."""
        ...

    def close(self) -> None: ...


class Different(AssertionError):
    """The server's answer is not the transcript's."""


class _Talk:
    """One connection's unread bytes, cut into responses."""

    def __init__(self, connection: Connection, literals: bool) -> None:
        self.connection = connection
        self._literals = literals
        self._buffer = b""
        self._closed = False

    def response(self) -> bytes | None:
        """The next whole response with its literals; None: the server closed. TimeoutError: silence."""
        end = -1
        while (end := self._end()) < 0:
            if self._closed:
                rest, self._buffer = self._buffer, b""
                return rest or None
            more = self.connection.receive()
            self._closed = not more
            self._buffer += more
        found, self._buffer = self._buffer[:end], self._buffer[end:]
        return found

    def _end(self) -> int:
        """Where the first response ends; -1 when it is not all here."""
        at = 0
        while True:
            eol = self._buffer.find(b"\r\n", at)
            if eol < 0:
                return -1
            size = re.search(rb"\{(\d+)\}\Z", self._buffer[at:eol]) if self._literals else None
            if size is None:
                return eol + 2
            at = eol + 2 + int(size[1])
            if len(self._buffer) < at:
                return -1

    def pending(self) -> bytes:
        return self._buffer


def play(transcript: Transcript, harness: Harness) -> None:
    """Raises Different at the first answer that is not the expected one."""
    _Play(transcript, harness).run()


class _Play:
    def __init__(self, transcript: Transcript, harness: Harness) -> None:
        self.transcript, self.harness = transcript, harness
        self.talks: dict[int, _Talk] = {}
        self.names: dict[bytes, bytes] = {b"user": harness.user.encode()}
        self.seen: list[bytes] = []
        self.mailbox_ids = b"MAILBOXID" in transcript.path.read_bytes()

    def run(self) -> None:
        try:
            for step in self.transcript.steps_for(self.harness.label):
                self._step(step)
            self._nothing_left()
        finally:
            for talk in self.talks.values():
                talk.connection.close()

    def talk(self, conn: int) -> _Talk:
        if conn not in self.talks:
            self.talks[conn] = _Talk(self.harness.open(conn), self.transcript.protocol == "imap")
        return self.talks[conn]

    def _step(self, step: Step) -> None:
        if isinstance(step, Send):
            data = matcher.substitute(step.data, self.names)
            self.seen.append(b"C%d: %s" % (step.conn, data))
            self.talk(step.conn).connection.send(data)
        elif isinstance(step, Expect):
            self._expect(step)
        else:
            self._act(step)

    def _expect(self, step: Expect) -> None:
        wanted = list(step.patterns)
        while wanted:
            response = self._response(step, wanted)
            for pattern in wanted:
                captured = matcher.match(pattern, response, self.names)
                if captured is not None:
                    self.names.update(captured)
                    wanted.remove(pattern)
                    break
            else:
                raise self._different(step, wanted, response)

    def _response(self, step: Expect, wanted: list[bytes]) -> bytes:
        try:
            response = self.talk(step.conn).response()
            while response is not None and not self.mailbox_ids and _ID_LINE.fullmatch(response):
                response = self.talk(step.conn).response()
        except TimeoutError:
            raise self._different(step, wanted, b"(nothing)") from None
        if response is None:
            raise self._different(step, wanted, b"(closed)")
        self.seen.append(b"S%d: %s" % (step.conn, response))
        return response if self.mailbox_ids else _ID_CODE.sub(rb"\1", response)

    def _act(self, step: Action) -> None:
        if step.what == "sleep":
            time.sleep(float(step.argument))
        elif step.what == "close":
            self.talks.pop(step.conn).connection.close()
        elif step.what == "closed":
            try:
                response = self.talk(step.conn).response()
            except TimeoutError:
                response = b"(nothing)"
            if response is not None:
                raise self._different(step, [b"(closed)"], response)
        else:
            raise self._different(step, [], b"unknown action " + step.what.encode())

    def _nothing_left(self) -> None:
        for conn, talk in self.talks.items():
            if talk.pending():
                raise Different(f"{self.transcript.path}: left over on {conn}: {talk.pending()!r}")

    def _different(self, step: Step, wanted: list[bytes], got: bytes) -> Different:
        before = "".join(f"  {_text(part[:400])}\n" for part in self.seen[-8:])
        expected = "".join(f"  {_text(pattern)}\n" for pattern in wanted)
        return Different(
            f"{self.transcript.path}:{step.line} on {self.harness.label}\n"
            f"talk so far:\n{before}expected:\n{expected}got:\n  {_text(matcher.normalise(got))}"
        )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace").rstrip("\r\n").replace("\r\n", "\n  ")

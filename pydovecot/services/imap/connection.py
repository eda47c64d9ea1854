"""The pump: bytes of the client in, commands run, bytes out. The only file that knows both ends.

No socket here. `feed` is given what arrived and yields what is to be sent, as slowly as it is taken: a
slow reader stops the running command, nothing else. `wakeup` and `tick` say that the mailbox may have changed
and that time has passed. serve.py drives it with descriptors, tests with lists.
"""

from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Final

from pydovecot.model.errors import InternalError, UserError
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.parser import BadCommand, Command, LiteralStart, Parser, Signal
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.proto.imap.tokens import arguments
from pydovecot.services.imap.dispatch import COMMANDS, STREAMING, Verb
from pydovecot.services.imap.errors import refusal
from pydovecot.services.imap.reply import Conversation, EndSession, Need, Tagged, bad, no
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import MailboxGoneError

MAX_BAD_COMMANDS: Final = 20  # Dovecot: CLIENT_MAX_BAD_COMMANDS, in a row
IDLE_TIMEOUT_SECS: Final = 30 * 60  # RFC 3501 5.4: at least 30 minutes
CONTINUE: Final = b"+ OK\r\n"


class _Wait(Enum):
    INPUT = "input"


_Pump = Generator[bytes | _Wait, None, None]


class ImapConnection:
    """One client. After `closed` turns True nothing more is read; the caller then calls `close`."""

    def __init__(self, session: Session, *, greeting: bytes = b"") -> None:
        self.session = session
        self.closed = False
        self.reason = "Connection closed"  # for the log
        self.bytes_in = 0
        self.bytes_out = 0
        self.running = ""  # the command that runs
        self.idling = False  # IDLE runs: the mailbox is to be watched
        more = session.more_commands
        self._verbs: Mapping[bytes, Verb] = {**COMMANDS, **more} if more else COMMANDS
        self._parser = Parser(
            session.settings.imap_max_line_length,
            streaming=STREAMING,
            known=self._verbs.keys(),
            literal_minus=session.literal_minus,
        )
        self._woken = False
        self._bad_commands = 0
        self._finished = ("", 0.0)  # the last command and when
        self._started = 0.0
        self._bytes_before = (0, 0)  # in and out as the running command began
        self._last_input = session.world.monotonic()
        self._last_output = self._last_input
        self._waited = 0.0  # for input, within the running command
        self._main: _Pump = self._run(greeting)

    # What the caller does

    def start(self) -> Iterator[bytes]:
        """The greeting, and what input that came with the login already asks for."""
        return self._pull()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Bytes of the client."""
        self.bytes_in += len(data)
        self._last_input = self.session.world.monotonic()
        self._parser.feed(data)
        return self._pull()

    def wakeup(self) -> Iterator[bytes]:
        """The selected mailbox may have changed."""
        self._woken = True
        return self._pull()

    def tick(self) -> Iterator[bytes]:
        """The deadline has come."""
        now = self.session.world.monotonic()
        if self.idling:
            notify = self.session.settings.imap_idle_notify_interval
            if notify and now - self._last_output >= notify:
                yield self._sent(b"* OK Still here\r\n")
            yield from self.wakeup()
        elif now - self._last_input >= IDLE_TIMEOUT_SECS:
            yield self.bye("Disconnected for inactivity.", "Disconnected for inactivity")

    def deadline(self, watched: bool = False) -> float:
        """When `tick` is due, by `world.monotonic`. `watched`: `wakeup` will be called on every change."""
        if not self.idling:
            return self._last_input + IDLE_TIMEOUT_SECS
        settings = self.session.settings
        enough = watched and not self.session.polls
        check = IDLE_TIMEOUT_SECS if enough else max(1, settings.mailbox_idle_check_interval)
        due = self.session.world.monotonic() + check
        notify = settings.imap_idle_notify_interval
        return min(self._last_output + notify, due) if notify else due

    def bye(self, text: str, reason: str = "") -> bytes:
        """End the session from our side."""
        self.closed = True
        self.reason = reason or text
        return self._sent(b"* BYE %b\r\n" % text.encode())

    def disconnected(self, why: str = "") -> None:
        """The client is gone: whatever runs is broken off. `why`: what the system said, for the log."""
        self.closed = True
        words = f"Connection closed: {why}" if why else "Connection closed"
        self.reason = f"{words} ({self._history()})"

    def _history(self) -> str:
        """What the client was doing, as Dovecot's log says it."""
        now = self.session.world.monotonic()
        if self.running:
            came = self.bytes_in - self._bytes_before[0]
            went = self.bytes_out - self._bytes_before[1]
            spent = now - self._started - self._waited
            return (
                f"{self.running} running for {spent:.3f} + waiting input for {self._waited:.3f} secs, "
                f"{came} B in + {went} B out, state=wait-input"
            )
        name, when = self._finished
        return f"{name} finished {now - when:.3f} secs ago" if name else "No commands sent"

    def close(self) -> None:
        """End the running command (an unfinished APPEND leaves nothing) and give the mailbox back."""
        self.closed = True
        self._main.close()
        self.session.close()

    # The pump

    def _pull(self) -> Iterator[bytes]:
        for chunk in self._main:
            if chunk is _Wait.INPUT:
                return
            assert isinstance(chunk, bytes)
            yield self._sent(chunk)

    def _sent(self, chunk: bytes) -> bytes:
        self.bytes_out += len(chunk)
        self._last_output = self.session.world.monotonic()
        return chunk

    def _run(self, greeting: bytes) -> _Pump:
        if greeting:
            yield greeting
        while not self.closed:
            try:
                event = self._parser.next_event()
            except BadSyntax as exc:
                yield self._goodbye(exc.text)
                return
            if event is Signal.NEED_DATA:
                yield _Wait.INPUT
            elif event is Signal.CONTINUE:
                yield CONTINUE
            elif isinstance(event, BadCommand):
                yield from self._answer(event.tag, bad(f"Error in {event.where}: {event.text}"), 0.0)
            elif isinstance(event, Command):
                yield from self._command(event)

    def _goodbye(self, text: str) -> bytes:
        """As `bye`, from inside the pump (which counts the bytes)."""
        self.closed = True
        self.reason = text
        return b"* BYE %b\r\n" % text.encode()

    def _command(self, command: Command) -> _Pump:
        started = self._started = self.session.world.monotonic()
        self._waited = 0.0
        self._bytes_before = (self.bytes_in, self.bytes_out)
        self.session.modseqs.last = None
        self.running = command.name.decode("latin-1")
        verb = self._verbs.get(command.name)
        if verb is None:
            answer = bad(f"Error in IMAP command {self.running}: Unknown command")
        elif verb.selected and self.session.view is None:
            answer = bad("No mailbox selected")
            if command.stream is not None:
                self._parser.abandon(sent=not command.stream.sync)
        else:
            try:
                answer = yield from self._attempt(verb, command)
            except MailboxGoneError:
                # No tagged line: nothing that was said of the mailbox holds any more. As Dovecot.
                yield self._goodbye("IMAP session state is inconsistent, please relogin.")
                return
        self._finished = (self.running, self.session.world.monotonic())
        self.running = ""
        if self.session.logged_out:
            self.closed = True
            self.reason = "Logged out"
        if self.closed and not self.session.logged_out:
            return  # after BYE, or in the middle of a response
        modseq = self.session.modseqs.due() if self.session.qresync else 0
        if modseq:
            code = b"HIGHESTMODSEQ %d" % modseq
            if answer.status == b"OK" and not answer.code:
                answer = Tagged(answer.status, answer.text, code)
            else:
                yield b"* OK [%b] Highest\r\n" % code
        yield from self._answer(command.tag, answer, started)
        if self.session.farewell and not self.closed:
            yield self._goodbye(self.session.farewell)

    def _attempt(self, verb: Verb, command: Command) -> Generator[bytes | _Wait, None, Tagged]:
        """Run one command; every failure becomes an answer here and nowhere else."""
        try:
            args: object = None
            if command.stream is not None:
                args = command.text, command.stream
            elif verb.parse is not None:
                args = verb.parse(self._cursor(command))
            conversation = verb.run(self.session, args)
            return (yield from self._converse(conversation, command.stream))
        except BadSyntax as exc:
            if exc.fatal:
                yield self._goodbye(exc.text)
            return bad(f"Error in IMAP command {self.running}: {exc.text}")
        except UserError as exc:
            return refusal(exc, verb.missing, rev2=self.session.rev2)
        except MailboxGoneError:
            raise
        except EndSession as exc:
            cause = exc.__cause__ if isinstance(exc.__cause__, Exception) else exc
            answer = self._internal_error(cause)
            if not exc.torn:
                yield self._goodbye(f"{exc.what}: {answer.text.decode()}")
            self.closed, self.reason = True, f"{exc.what}: {cause}"
            return answer
        except Exception as exc:  # noqa: BLE001 - the command edge: log once, answer NO, keep the session
            return self._internal_error(exc)

    def _cursor(self, command: Command) -> Cursor:
        args = arguments(command.text, command.literals)
        return Cursor(args, command.tag, self.session.mailbox_name)

    def _internal_error(self, exc: Exception) -> Tagged:
        event = self.session.event
        if isinstance(exc, InternalError):
            event.error(str(exc))
            if exc.shown:
                return no(exc.shown, b"SERVERBUG")
        else:
            event.exception(f"{self.running} failed", exc)
        now = datetime.fromtimestamp(self.session.world.now()).strftime("%Y-%m-%d %H:%M:%S")
        text = f"Internal error occurred. Refer to server log for more information. [{now}]"
        return no(text, b"SERVERBUG")

    def _converse(
        self, conversation: Conversation, literal: LiteralStart | None
    ) -> Generator[bytes | _Wait, None, Tagged]:
        """Give the handler what it needs until it returns."""
        begun = literal is not None and not literal.sync  # the literal's octets are on their way
        in_literal = literal is not None
        answer: object = None
        try:
            while True:
                try:
                    item = conversation.send(answer)
                except StopIteration as end:
                    tagged: Tagged = end.value
                    return tagged
                answer = None
                if isinstance(item, bytes):
                    yield item
                elif item is Need.LITERAL:
                    if not begun:
                        begun = True
                        yield CONTINUE
                    answer = yield from self._literal_chunk()
                    in_literal = answer is not None
                elif item is Need.PIECE:
                    piece = yield from self._piece()
                    answer, literal = piece, piece[1]
                    in_literal = literal is not None
                    begun = literal is not None and not literal.sync
                else:
                    answer = yield from self._wakeup()
        finally:
            conversation.close()
            if in_literal:
                self._parser.abandon(sent=begun)
            elif literal is not None:
                self._parser.skip_rest()

    def _literal_chunk(self) -> Generator[bytes | _Wait, None, bytes | None]:
        while True:
            chunk = self._parser.literal_chunk()
            if chunk is None or chunk:
                return chunk
            yield from self._wait()

    def _piece(self) -> Generator[bytes | _Wait, None, tuple[bytes, LiteralStart | None]]:
        while (piece := self._parser.next_piece()) is None:
            yield from self._wait()
        return piece

    def _wakeup(self) -> Generator[bytes | _Wait, None, bytes | None]:
        self.idling = True
        try:
            while True:
                line = self._parser.next_line()
                if line is not None:
                    return line
                if self._woken:
                    self._woken = False
                    return None
                yield from self._wait()
        finally:
            self.idling = False

    def _wait(self) -> _Pump:
        clock = self.session.world.monotonic
        before = clock()
        yield _Wait.INPUT
        self._waited += clock() - before

    def _answer(self, tag: bytes, answer: Tagged, started: float) -> _Pump:
        """The tagged line, with the time it took: `(running + waiting for the client secs)`."""
        running = self.session.world.monotonic() - started - self._waited if started else 0.001
        code = b"[%b] " % answer.code if answer.code else b""
        yield b"%b %b %b%b (%.3f + %.3f secs).\r\n" % (
            tag or b"*",
            answer.status,
            code,
            answer.text,
            max(running, 0.001),
            self._waited,
        )
        if answer.status != b"BAD":
            self._bad_commands = 0
        else:
            self._bad_commands += 1
            if self._bad_commands >= MAX_BAD_COMMANDS and not self.closed:
                yield self._goodbye("Too many invalid IMAP commands.")

"""The conversation with one client: bytes in, chunks of answers out; no socket, no clock of its own.

connection = Pop3Connection(open_session, settings, event)
for chunk in connection.start(): send(chunk)
while not connection.closed: for chunk in connection.feed(recv()): send(chunk)
connection.close("Connection closed")
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pydovecot.event.event import Event
from pydovecot.model.errors import Code, UserError
from pydovecot.proto.pop3 import encode
from pydovecot.proto.pop3.parser import Command, CommandReader, Wanted, text
from pydovecot.services.pop3.commands import COMMANDS, WITH_LAST, BadCommand, GoneMessage
from pydovecot.services.pop3.logout import NOTHING, Counters, logout_text
from pydovecot.services.pop3.session import Session
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.storage.api import MailboxGoneError

MAX_BAD_COMMANDS: Final = 20  # in a row, as Dovecot's CLIENT_MAX_BAD_COMMANDS

# What a client may mend by trying again; RFC 3206 4.
_TEMPORARY: Final = frozenset({Code.INUSE, Code.OVERQUOTA, Code.UNAVAILABLE, Code.LIMIT})


class Pop3Connection:
    """One client after its login. `internal_error` gives what a client is told of a fault of ours.

    `answer_login`: False on stdin and stdout, where nobody has logged in. `variables`: the user's, to log.
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        settings: Pop3Settings,
        event: Event,
        internal_error: Callable[[], str],
        *,
        answer_login: bool = True,
        variables: Mapping[str, str] = {},
    ) -> None:
        self._answer_login = answer_login
        self._open_session = open_session
        self._event = event
        self._internal_error = internal_error
        self._reader = CommandReader()
        self._commands = WITH_LAST if settings.pop3_enable_last else COMMANDS
        self._bad_commands = 0
        self._settings, self._variables = settings, variables
        self._bytes_in = self._bytes_out = 0
        self.session: Session | None = None
        self.closed = False

    @property
    def unsaved(self) -> bool:
        """There are flags that should be written when the client pauses."""
        return self.session is not None and bool(self.session.retrieved)

    def start(self) -> Iterator[bytes]:
        """Open the mailbox and say so. Answers the login."""
        try:
            self.session = self._open_session()
        except UserError as exc:
            yield self._count(_user_error(exc))
            no_lock = exc.code in (Code.INUSE, Code.UNAVAILABLE)
            self.close("Couldn't lock POP3 session" if no_lock else exc.text)
            return
        except Exception as exc:  # noqa: BLE001 - the edge: log once, tell the client, end
            self._event.exception("Couldn't open INBOX", exc)
            yield self._count(encode.error(f"[SYS/TEMP] {self._internal_error()}"))
            self.close("Couldn't open INBOX")
            return
        if self._answer_login:
            yield self._count(encode.ok("Logged in."))

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in what the client sent; the answers to all commands that are whole."""
        self._bytes_in += len(data)
        self._reader.feed(data)
        while not self.closed:
            event = self._reader.next_event()
            if isinstance(event, Command):
                yield from self._run(event)
            elif event is Wanted.LINE_TOO_LONG:
                yield self._count(encode.error("Input line too long."))
                self.close("Input line too long")
            else:
                return

    def _count(self, chunk: bytes) -> bytes:
        self._bytes_out += len(chunk)
        return chunk

    def _run(self, command: Command) -> Iterator[bytes]:
        assert self.session is not None
        if command.name == b"QUIT":
            yield from self._quit(self.session)
            return
        handler = self._commands.get(command.name)
        try:
            if handler is None:
                name = f": {text(command.name)}" if command.name else "."
                raise BadCommand(f"Unknown command{name}")
            for chunk in handler(self.session, command.args):
                yield self._count(chunk)
            self._bad_commands = 0
        except BadCommand as exc:
            yield self._count(encode.error(str(exc)))
            self._bad_commands += 1
            if self._bad_commands > MAX_BAD_COMMANDS:
                yield self._count(encode.error("Too many bad commands."))
                self.close("Too many bad commands.")
        except GoneMessage as exc:
            self._bad_commands = 0
            yield self._count(encode.error(str(exc)))
        except UserError as exc:
            yield self._count(_user_error(exc))
        except MailboxGoneError:
            yield self._inconsistent()
        except Exception as exc:  # noqa: BLE001 - the command edge: log, answer -ERR
            self._event.exception(f"{text(command.name)} failed", exc)
            yield self._count(encode.error(f"[SYS/TEMP] {self._internal_error()}"))
            self.close("Internal error")

    def _inconsistent(self) -> bytes:
        """The mailbox was made anew, or removed: what this session knows of it means nothing."""
        answer = self._count(encode.error("[SYS/TEMP] Mailbox is in inconsistent state, please relogin."))
        self.close("Mailbox is in inconsistent state.")
        return answer

    def _quit(self, session: Session) -> Iterator[bytes]:
        """RFC 1939 6: the answer comes after everything is on disk."""
        try:
            session.update()
        except UserError as exc:
            yield self._count(_user_error(exc))
            self.close("Storage error during logout.")
            return
        except MailboxGoneError:
            yield self._inconsistent()
            return
        except Exception as exc:  # noqa: BLE001 - the command edge: log, answer -ERR
            self._event.exception("QUIT failed", exc)
            yield self._count(encode.error(f"[SYS/TEMP] {self._internal_error()}"))
            self.close("Storage error during logout.")
            return
        yield self._count(encode.ok("Logging out, messages deleted." if session.deleted else "Logging out."))
        self.close("Logged out")

    def pause(self) -> None:
        r"""The client has been quiet for a while: write its \Seen flags."""
        if self.session is not None:
            try:
                self.session.flush_seen()
            except MailboxGoneError:
                pass  # the next command tells the client
            except Exception as exc:  # noqa: BLE001 - nobody waits for an answer
                self._event.exception("Saving flags failed", exc)

    def goodbye(self, line: str, reason: str) -> bytes:
        """End the session from our side: the last line for the client."""
        last = self._count(encode.error(line))
        self.close(reason)
        return last

    def close(self, reason: str) -> None:
        """Write what is left, let go of the mailbox, log the last line. Harmless when closed already."""
        if self.closed:
            return
        self.closed = True
        counters, totals = Counters(), NOTHING
        if self.session is not None:
            counters, totals = self.session.counters, self.session.totals()
            try:
                self.session.close()
            except MailboxGoneError:
                pass  # nothing left to write to
            except Exception as exc:  # noqa: BLE001 - the end: log, nobody is left to tell
                self._event.exception("Closing INBOX failed", exc)
        counters.bytes_in, counters.bytes_out = self._bytes_in, self._bytes_out
        statistics = logout_text(self._settings, self._variables, counters, totals)
        self._event.info(f"Disconnected: {reason} {statistics}")


def _user_error(exc: UserError) -> bytes:
    if exc.code is Code.INUSE:
        return encode.error(f"[IN-USE] {exc.text}")
    return encode.error(f"[{'SYS/TEMP' if exc.code in _TEMPORARY else 'SYS/PERM'}] {exc.text}")

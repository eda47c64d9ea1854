"""The conversation with one MTA: bytes in, replies out; no socket, no clock, no users of its own.

    connection = LmtpConnection(client, backend, settings, hostname)
    send(connection.greeting())
    while not connection.closed: for reply in connection.feed(recv()): send(reply)

`wants_tls` after a STARTTLS: the caller makes the handshake and calls `tls_started`.
"""

from collections.abc import Iterator
from typing import Final

from pydovecot.event.event import Event
from pydovecot.model.errors import InternalError
from pydovecot.proto.smtp.reader import BadCommand, Chunk, Command, End, SmtpReader
from pydovecot.services.lmtp import replies
from pydovecot.services.lmtp.commands import COMMANDS
from pydovecot.services.lmtp.settings import LmtpSettings
from pydovecot.services.lmtp.transaction import Backend, Client, Incoming, Transaction

MAX_BAD_COMMANDS: Final = 10  # in a row; Dovecot: smtp_server_settings.max_bad_commands


class LmtpConnection:
    """One client. Commands are in commands.py; here is what they change."""

    def __init__(
        self,
        client: Client,
        backend: Backend,
        settings: LmtpSettings,
        event: Event,
        *,
        hostname: str,
        welcome: str = "Dovecot ready.",
        tls_offered: bool = False,
        max_size: int = 0,
    ) -> None:
        self.client, self.backend, self.settings, self.event = client, backend, settings, event
        self.hostname, self.welcome, self.tls_offered = hostname, welcome, tls_offered
        self.max_size = max_size  # of a message, 0: any
        self.transaction: Transaction | None = None
        self.transactions = 0
        self.closed = False
        self.close_reason = ""
        self.last_state = ""
        self.wants_tls = False
        self.incoming: Incoming | None = None
        self.reader = SmtpReader()
        self._bad_commands = 0

    def greeting(self) -> bytes:
        """The first line."""
        return f"220 {self.hostname} {self.welcome}\r\n".encode()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in what the client sent; replies to all of it."""
        self.reader.feed(data)
        while not self.closed and not self.wants_tls:
            event = self.reader.next_event()
            if event is None:
                return
            if isinstance(event, Command):
                yield from self._command(event)
            elif isinstance(event, Chunk):
                self._take(event.data)
            elif isinstance(event, End):
                yield from self._end_of_data()
            else:
                yield self._bad(event)

    def tls_started(self, description: str) -> None:
        """The handshake is done: everything begins anew, RFC 3207 4.2."""
        self.wants_tls = False
        self.reader.drop_input()
        self.reset()
        self.client.tls = description
        self.client.helo = ""

    def reset(self) -> None:
        """RSET: no message is on its way."""
        if self.transaction is not None:
            self.transaction.close()
            self.transaction = None
            self.backend.forget()

    def close(self, reason: str) -> None:
        """The connection is over."""
        if not self.closed:
            self.closed, self.close_reason, self.last_state = True, reason, self.state
        self.reset()

    def goodbye(self, code: str, text: str) -> bytes:
        """421 for a client that is sent away."""
        self.close(text)
        return f"421 {code} {self.hostname} {text}\r\n".encode()

    @property
    def state(self) -> str:
        """For the log line of the end, in Dovecot's words."""
        if self.reader.in_data:
            return "DATA"
        transaction = self.transaction
        if transaction is None:
            return "READY"
        if transaction.spool is not None:
            return "DATA"
        return "RCPT TO" if transaction.recipients else "MAIL FROM"

    @property
    def idle(self) -> bool:
        """No message is on its way: the client may be sent away without harm."""
        return self.transaction is None and not self.reader.in_data

    # -- commands

    def _command(self, command: Command) -> Iterator[bytes]:
        handler = COMMANDS.get(command.verb)
        if handler is None:
            yield self._bad(None)
            return
        self._bad_commands = 0
        yield from handler(self, command.args)

    def _bad(self, bad: BadCommand | None) -> bytes:
        self._bad_commands += 1
        if self._bad_commands > MAX_BAD_COMMANDS:
            return self.goodbye("4.7.0", "Too many invalid commands.")
        return replies.UNKNOWN_COMMAND if bad is None else replies.BAD_SYNTAX

    # -- the message

    def _take(self, data: bytes) -> None:
        transaction, incoming = self.transaction, self.incoming
        if transaction is None or transaction.spool is None or incoming is None:
            return
        if incoming.refused or incoming.broken:
            return
        if self.too_large(len(data)):
            incoming.broken, transaction.failed = replies.TOO_LARGE, True
            return
        try:
            transaction.spool.write(data)
        except InternalError as exc:
            self.event.error(str(exc))
            incoming.broken, transaction.failed = replies.NO_SPOOL, True

    def too_large(self, octets: int) -> bool:
        """True if the message may not have so many more."""
        transaction = self.transaction
        if not self.max_size or transaction is None:
            return False
        return (transaction.spool.size if transaction.spool is not None else 0) + octets > self.max_size

    def _end_of_data(self) -> Iterator[bytes]:
        transaction, incoming = self.transaction, self.incoming
        self.incoming = None
        assert incoming is not None
        if incoming.refused or transaction is None:
            return  # answered before
        if incoming.broken:
            # Nobody has it: at the end each recipient is told, RFC 2033 4.2.
            yield incoming.broken * (len(transaction.recipients) if incoming.last else 1)
            if incoming.last:
                self.reset()
        elif not incoming.last:
            yield replies.reply(250, "2.0.0", f"Added {incoming.octets} octets")
        else:
            yield replies.FLUSH
            try:
                answers = self.backend.deliver(self.client, transaction)
            finally:
                self.reset()
            yield b"".join(answers)

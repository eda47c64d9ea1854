"""A client that is not logged in yet: what all protocols share. Bytes in, calls of `Host` out; no sockets.

A protocol's class adds the grammar and the wording: `greet`, `process`, `send_result`, `send_bye`. Order of
a login: `begin_auth` asks the auth process; challenges go to the client and its lines back; after OK anvil is
asked for the number of sessions, then the host gives the client to a mail worker. Input is left alone
meanwhile, so that pipelined commands travel with the client.
"""

from urllib.parse import quote

from pydovecot.login.authentication import Authenticating
from pydovecot.login.limits import MAX_BAD_COMMANDS
from pydovecot.login.result import AUTH_WAITING, Bye


class LoginClient(Authenticating):
    """One client until it is logged in. `feed` takes its bytes in any pieces."""

    __slots__ = ()

    # --- what the host calls ----------------------------------------------------------------------------

    @property
    def is_logging_in(self) -> bool:
        """True once the password was right: such a client is not dropped to make room."""
        return self._finishing

    def auth_ready(self) -> None:
        """The auth process can be asked: greet, or go on with what has arrived."""
        if not self._greeted:
            self._greeted = True
            self.greet()
        self.run()

    def feed(self, data: bytes) -> None:
        """Bytes of the client."""
        self._buffer += data
        if not self.host.auth_ready and not self.closed:
            self.send_status(AUTH_WAITING)
            return
        self.run()

    def lost(self, why: str = "Connection closed") -> None:
        """The client has closed the connection."""
        self.end(f"Disconnected: {why}")

    def timed_out(self) -> None:
        """No login within LOGIN_TIMEOUT_SECS."""
        if self._finishing:
            self.bye(Bye.TIMEOUT, "Timeout while finishing login.", "Timeout while finishing login")
        elif self._request is not None:
            text = "Disconnected for inactivity during authentication."
            self.bye(Bye.TIMEOUT, text, "Disconnected: Inactivity during authentication")
        else:
            self.bye(Bye.TIMEOUT, "Disconnected for inactivity.", "Disconnected: Inactivity")

    def starttls_done(self) -> None:
        """Output is flushed and TLS begins; what came unencrypted behind the command is forgotten."""
        # CVE-2011-0411, CVE-2021-33515: a man in the middle could have put commands there.
        self._buffer.clear()
        self.starting_tls = False
        self.tls = self.secured = True
        self.tls_started()

    # --- for the protocols ------------------------------------------------------------------------------

    def begin_tls(self) -> None:
        """The client's STARTTLS was answered: switch once the answer is out."""
        self.starting_tls = True
        self.host.start_tls()

    def referral_url(self, usual_port: int) -> str:
        """Where the user's mail is, as `imap://user;AUTH=PLAIN@host:port/` (RFC 2192, RFC 2221)."""
        fields = self._passdb
        user = quote(fields.get("destuser") or self.user, safe="")
        port = fields.get("port", "")
        where = fields.get("host", "") + (f":{port}" if port and port != str(usual_port) else "")
        return f"{self.service}://{user};AUTH={self._mechanism}@{where}/"

    def bad_command(self) -> bool:
        """Count a bad command; True when it was one too many."""
        self.bad_commands += 1
        return self.bad_commands >= MAX_BAD_COMMANDS

    def buffer_full(self) -> None:
        """The client sent something longer than it has reason for."""
        self.bye(Bye.FULL, "Input buffer full, aborting", "Disconnected: Input buffer full")

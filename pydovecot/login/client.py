"""A client that is not logged in yet: what all protocols share. Bytes in, calls of `Host` out; no sockets.

A protocol's class adds the grammar and the wording: `greet`, `process`, `send_result`, `send_bye`. Order of
a login: `begin_auth` asks the auth process; challenges go to the client and its lines back; after OK anvil is
asked for the number of sessions, then the host gives the client to a mail worker. Input is left alone
meanwhile, so that pipelined commands travel with the client.
"""

import binascii
import os
import re
from collections.abc import Mapping
from typing import ClassVar, Final
from urllib.parse import quote

from pydovecot.event.event import Event
from pydovecot.login import log_line, peer
from pydovecot.login.handover import HandoverReply
from pydovecot.login.history import History, Now
from pydovecot.login.host import AuthRequest, Given, Host
from pydovecot.login.peer import Peer
from pydovecot.login.result import (
    AUTH_ABORTED,
    AUTH_WAITING,
    LOGIN_FAILURE,
    MAX_SESSIONS,
    NO_LOGIN,
    OTHER_SERVER,
    PLAINTEXT_DISABLED,
    PLAINTEXT_MECHANISM,
    TLS_FIRST,
    UNSUPPORTED,
    Bye,
    Result,
    of_failure,
)
from pydovecot.login.settings import LoginSettings, SslSettings
from pydovecot.proto.auth.client import Mechanism, Reply, Status
from pydovecot.settings.view import SettingsView

MAX_TOKEN_BYTES: Final = 1026  # Dovecot: LOGIN_MAX_INBUF_SIZE; a line or an argument before login
MAX_AUTH_LINE_BYTES: Final = 8192  # Dovecot: LOGIN_MAX_AUTH_BUF_SIZE; tickets and tokens are long
MAX_BAD_COMMANDS: Final = 3  # Dovecot: CLIENT_MAX_BAD_COMMANDS
LOGIN_TIMEOUT_SECS: Final = 180  # Dovecot: CLIENT_LOGIN_TIMEOUT_MSECS
MAX_NAME_IN_AUTH: Final = 255  # a local_name longer than a DNS name is none

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=]*")


class LoginClient:
    """One client until it is logged in. `feed` takes its bytes in any pieces."""

    service: ClassVar[str] = ""  # as auth and log know it: "imap"

    __slots__ = (
        "_auth_id", "_buffer", "_finishing", "_greeted", "_history", "_in_auth", "_mechanism",
        "_passdb", "_request", "_session", "_waiting_answer", "bad_commands", "closed", "event",
        "host", "login_settings", "mail_pid", "peer", "secured", "ssl_settings", "starting_tls",
        "tls", "trusted", "user", "user_fields",
    )  # fmt: skip

    def __init__(self, host: Host, who: Peer, view: SettingsView, event: Event, *, tls: bool) -> None:
        self.host, self.peer, self.event, self.tls = host, who, event, tls
        self.configure(view)
        self.trusted = self._is_trusted()
        self.secured = tls or self.trusted or who.is_local
        self.closed = self.starting_tls = False
        self.bad_commands = 0
        self.user = ""
        self.user_fields: Mapping[str, str] = {}
        self.mail_pid = 0
        self._buffer = bytearray()
        self._history = History(host.now())
        self._session = ""
        self._greeted = False
        self._in_auth = False  # between the start of an authentication and its end
        self._waiting_answer = False  # ... and the client is to speak
        self._finishing = False  # ... and a mail worker is asked
        self._request: AuthRequest | None = None
        self._auth_id = 0
        self._mechanism = ""
        self._passdb: Mapping[str, str] = {}

    # --- what a protocol defines -----------------------------------------------------------------------

    def greet(self) -> None:
        """Send the greeting."""
        raise NotImplementedError

    def process(self) -> bool:
        """Handle one command of the buffer; False when more bytes are needed."""
        raise NotImplementedError

    def send_result(self, result: Result, text: str) -> None:
        """Tell the client that its authentication failed."""
        raise NotImplementedError

    def send_bye(self, why: Bye, text: str) -> None:
        """Tell the client why it is disconnected."""
        raise NotImplementedError

    def send_status(self, text: str) -> None:
        """An untagged word in between, in protocols that have such."""

    def handover_tag(self) -> tuple[bytes, bool]:
        """IMAP: tag of the command that logged in, and whether the capabilities go into its answer."""
        return b"", True

    def tls_started(self) -> None:
        """The connection is encrypted from here on."""

    # --- what the host calls ---------------------------------------------------------------------------

    @property
    def wants_input(self) -> bool:
        """False while bytes of the client are better left in the socket."""
        return not (self.closed or self.starting_tls or (self._in_auth and not self._waiting_answer))

    @property
    def is_logging_in(self) -> bool:
        """True once the password was right: such a client is not dropped to make room."""
        return self._finishing

    def configure(self, view: SettingsView) -> None:
        """Take the settings of this connection; again when TLS told the server's name."""
        self.login_settings = view.get(LoginSettings)
        self.ssl_settings = view.get(SslSettings)

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

    def run(self) -> None:
        """Handle what has arrived, as far as it goes."""
        while self._buffer and self.wants_input:
            if not (self._auth_line() if self._waiting_answer else self.process()):
                return

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

    def bye(self, why: Bye, text: str, log_text: str) -> None:
        """Say why, and close."""
        if not self.closed:
            self.send_bye(why, text)
            self.end(log_text)

    def starttls_done(self) -> None:
        """Output is flushed and TLS begins; what came unencrypted behind the command is forgotten."""
        # CVE-2011-0411, CVE-2021-33515: a man in the middle could have put commands there.
        self._buffer.clear()
        self.starting_tls = False
        self.tls = self.secured = True
        self.tls_started()

    def end(self, log_text: str) -> None:
        """Log, and close the connection after what was sent."""
        if self.closed:
            return
        self.log(f"{log_text} {self._why_not_logged_in()}")
        self._close()

    # --- for the protocols -----------------------------------------------------------------------------

    @property
    def session(self) -> str:
        """The session id: made at the first use, or told by a trusted proxy."""
        if not self._session:
            self._session = peer.session_id(self._history.created, self.peer)
        return self._session

    @session.setter
    def session(self, text: str) -> None:
        if text and len(text) <= peer.MAX_SESSION_ID:
            self._session = text

    @property
    def tls_possible(self) -> bool:
        """STARTTLS may be offered."""
        return self.host.tls_available and self.ssl_settings.ssl != "no" and not self.tls

    @property
    def plaintext_allowed(self) -> bool:
        """LOGIN and USER may be used."""
        return self.secured or not (
            self.login_settings.disable_plaintext_auth or self.ssl_settings.ssl == "required"
        )

    def advertised(self) -> list[str]:
        """Names of the mechanisms to offer on this connection, in the auth process's order."""
        if not self.secured and self.ssl_settings.ssl == "required":
            return []
        plaintext = self.secured or not self.login_settings.disable_plaintext_auth
        return [
            mech.name
            for mech in self.host.mechanisms.values()
            if not mech.private and (plaintext or not mech.plaintext)
        ]

    def begin_tls(self) -> None:
        """The client's STARTTLS was answered: switch once the answer is out."""
        self.starting_tls = True
        self.host.start_tls()

    def refuse_plaintext(self, *, exposed: bool) -> bool:
        """True (and the client is told) when a password must not come over this connection."""
        if self.plaintext_allowed:
            return False
        if self.login_settings.auth_verbose:
            self.log("Login failed: Plaintext authentication disabled")
        if exposed:
            self.send_exposed()
        self.send_result(Result.TLS_REQUIRED, PLAINTEXT_DISABLED)
        self._history.attempts += 1
        return True

    def referral_url(self, usual_port: int) -> str:
        """Where the user's mail is, as `imap://user;AUTH=PLAIN@host:port/` (RFC 2192, RFC 2221)."""
        fields = self._passdb
        user = quote(fields.get("destuser") or self.user, safe="")
        port = fields.get("port", "")
        where = fields.get("host", "") + (f":{port}" if port and port != str(usual_port) else "")
        return f"{self.service}://{user};AUTH={self._mechanism}@{where}/"

    def send_exposed(self) -> None:
        """Warn that the password was sent readable, in protocols that have such a warning."""

    def begin_auth(self, mechanism: str, initial: bytes | None) -> None:
        """Authenticate; `initial` is base64 as the client sent it, None when there is no initial response."""
        if not self.secured and self.ssl_settings.ssl == "required":
            self._mechanism = mechanism.upper()
            if self.login_settings.auth_verbose:
                self.log("Login failed: SSL required for authentication")
            self._history.attempts += 1
            self.send_result(Result.TLS_REQUIRED, TLS_FIRST)
            return
        decoded: bytes | None = None
        if initial is not None and initial != b"=":
            decoded = decode_base64(initial)
        elif initial is not None:
            decoded = b""
        self._start_auth(mechanism, decoded, initial is not None and decoded is None, False)

    def begin_plain(self, user: bytes, password: bytes) -> None:
        """LOGIN, USER and PASS: the mechanism PLAIN with what they gave."""
        self._start_auth("PLAIN", b"\0" + user + b"\0" + password, False, False)

    def begin_private(self, mechanism: str, data: bytes) -> None:
        """A mechanism that only a command of its own may use (APOP)."""
        self._start_auth(mechanism, data, False, True)

    def note_user(self, user: str) -> None:
        """A user name that the client gave, for the log."""
        self.user = user

    def bad_command(self) -> bool:
        """Count a bad command; True when it was one too many."""
        self.bad_commands += 1
        return self.bad_commands >= MAX_BAD_COMMANDS

    def buffer_full(self) -> None:
        """The client sent something longer than it has reason for."""
        self.bye(Bye.FULL, "Input buffer full, aborting", "Disconnected: Input buffer full")

    def log(self, text: str, *, error: bool = False) -> None:
        """One line about this client."""
        settings = self.login_settings
        line = log_line.format_line(
            settings.login_log_format,
            settings.login_log_format_elements,
            text,
            self._variables(),
            self._passdb.get,
        )
        if error:
            self.event.error(line)
        else:
            self.event.info(line)

    # --- authentication --------------------------------------------------------------------------------

    def _start_auth(self, mechanism: str, initial: bytes | None, broken: bool, private: bool) -> None:
        self._history.begin(self.host.now())
        self._mechanism = mechanism.upper()
        mech = self.host.mechanisms.get(self._mechanism)
        if mech is None or mech.private != private:
            self._history.unsupported = True
            self._refused(Result.BAD_MECHANISM, UNSUPPORTED)
        elif mech.plaintext and not self.secured and self.login_settings.disable_plaintext_auth:
            self._refused(Result.TLS_REQUIRED, PLAINTEXT_MECHANISM)
        elif broken:
            self._history.bad_base64 = True
            self.send_result(Result.BAD_BASE64, "Invalid base64 data in initial response")
        else:
            self._in_auth = True
            self._request = self.host.authenticate(mech.name, self._auth_fields(mech), initial, self._reply)

    def _refused(self, result: Result, text: str) -> None:
        if self.login_settings.auth_verbose:
            name = log_line.sanitize(self._mechanism, log_line.MAX_MECH_IN_LOG)
            self.log(f"Authenticate {name} failed: {text}")
        self.send_result(result, text)

    def _auth_fields(self, mech: Mechanism) -> dict[str, str | None]:
        """The parameters of an AUTH request, in Dovecot's order."""
        who, state = self.peer, self.host.tls_state
        fields: dict[str, str | None] = {"service": self.service}
        if self.secured:
            fields["secured"] = "tls" if self.tls else None
        if self.trusted:  # webmail: one user's wrong password is not to slow down all the others
            fields["no-penalty"] = None
        if state.certificate == "valid":
            fields["valid-client-cert"] = None
        if state.certificate_name:
            fields["cert_username"] = state.certificate_name
        fields |= {
            "session": self.session,
            "lip": who.local_ip,
            "rip": who.remote_ip,
            "lport": str(who.local_port),
            "rport": str(who.remote_port),
        }
        if who.is_forwarded:
            fields |= {
                "real_lip": who.real_local_ip,
                "real_rip": who.real_remote_ip,
                "real_lport": str(who.real_local_port),
                "real_rport": str(who.real_remote_port),
            }
        if state.server_name:
            fields["local_name"] = state.server_name[:MAX_NAME_IN_AUTH]
        return fields | dict(self.user_fields)

    def _reply(self, reply: Reply) -> None:
        """An answer of the auth process."""
        if self.closed or not self._in_auth:
            return
        if reply.status is Status.CONT:
            self._waiting_answer = True
            self.host.send(b"+ " + binascii.b2a_base64(reply.data, newline=False) + b"\r\n")
            self.run()
            return
        self._waiting_answer = False
        self._take_user(reply)
        if reply.status is Status.OK:
            self._succeeded(reply)
        else:
            self._request = None
            self._failed(reply)

    def _take_user(self, reply: Reply) -> None:
        if reply.user or "user" in reply.fields:
            self.user = reply.user

    def _succeeded(self, reply: Reply) -> None:
        self._history.successes += 1
        self._passdb = reply.fields
        self._auth_id = self._request.id if self._request is not None else reply.id
        if reply.nologin or "proxy" in reply.fields:
            self._request = None
            if reply.nologin and reply.fields.get("host"):
                self._finish(Result.REFERRAL, reply.reason or OTHER_SERVER)
            else:
                self._finish(Result.LOGIN_DISABLED, reply.reason or NO_LOGIN)
            return
        self._finishing = True
        if self.user and self.login_settings.mail_max_userip_connections:
            self.host.count_sessions(self.user, self.peer.remote_ip, self._counted)
        else:
            self._counted(0)

    def _failed(self, reply: Reply) -> None:
        history = self._history
        history.user_disabled = reply.code == "user_disabled"
        history.pass_expired = reply.code == "pass_expired"
        history.temp_failed = reply.temporary
        history.comm_failed = reply.temporary and not self.host.auth_ready
        self._finish(*of_failure(reply, self.host.now()))

    def _finish(self, result: Result, text: str) -> None:
        """An authentication is over without a session; the client may try again."""
        self._in_auth = self._waiting_answer = self._finishing = False
        self.send_result(result, text)
        self.run()

    def _auth_line(self) -> bool:
        """A line of the client in answer to a challenge."""
        end = self._buffer.find(b"\n")
        if end < 0 and len(self._buffer) <= MAX_AUTH_LINE_BYTES:
            return False
        if end < 0 or end > MAX_AUTH_LINE_BYTES:
            self.end("Disconnected: Authentication response too large")
            return False
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        request = self._request
        if request is None:  # cannot be: a challenge has a request
            return False
        if line == b"*":
            self._history.retry_aborted = True
            self._drop_request()
            self._finish(Result.ABORTED, AUTH_ABORTED)
        elif _BASE64.fullmatch(line) is None:
            self._history.bad_base64 = True
            self._drop_request()
            self._in_auth = self._waiting_answer = False
            self._refused(Result.BAD_RESPONSE, "Invalid base64 in response")
        elif (data := decode_base64(line)) is None:
            self._history.bad_base64 = True
            self._drop_request()
            self._finish(Result.BAD_BASE64, "Invalid base64 data in continued response")
        else:
            self._waiting_answer = False
            request.proceed(data)
        return True

    def _drop_request(self) -> None:
        if self._request is not None:
            self._request.cancel()
            self._request = None

    # --- the way to the mail worker --------------------------------------------------------------------

    def _counted(self, sessions: int) -> None:
        """anvil's answer: how many sessions this user has from here already."""
        if self.closed:
            return
        limit = self.login_settings.mail_max_userip_connections
        if limit and sessions >= limit:
            self._drop_request()
            text = MAX_SESSIONS % limit
            self.send_result(Result.TOO_MANY, text)
            self.log(f"Disconnected: {text}")
            self._close()
            return
        tag, send_capability = self.handover_tag()
        given = Given(
            self._auth_id, self.secured, self.tls, self.session, tag, send_capability, bytes(self._buffer)
        )
        self.host.hand_over(given, self._handed_over)

    def _handed_over(self, reply: HandoverReply | None) -> None:
        if self.closed:
            return
        if reply is None:
            self._drop_request()
        self._request = None
        if reply is not None and reply.ok:
            self.mail_pid = reply.mail_pid
            self.log("Login")
            self._buffer.clear()
            self.closed = True
            self.host.released()
            return
        why = f"Internal login failure (pid={os.getpid()} id={self._auth_id})"
        if reply is None:
            self.send_bye(Bye.INTERNAL, LOGIN_FAILURE)
        else:
            self.mail_pid = reply.mail_pid  # the worker has told the client itself
        self.log(f"Disconnected: {why}" + ("" if reply is not None else f" {self._why_not_logged_in()}"))
        self._close()

    def _close(self) -> None:
        self.closed = True
        self._drop_request()
        self._buffer.clear()
        self.host.close()
        self.host.released()

    # --- the log ---------------------------------------------------------------------------------------

    def _variables(self) -> dict[str, str]:
        who, state = self.peer, self.host.tls_state
        secured = "secured" if self.secured else ""
        if self.tls:
            secured = "TLS" if state.handshaked else "TLS handshaking"
            if state.error:
                secured = f"{secured}: {state.error}"
        table = {
            "service": self.service,
            "home": "",
            "pid": str(os.getpid()),
            "lip": who.local_ip,
            "rip": who.remote_ip,
            "lport": str(who.local_port),
            "rport": str(who.remote_port),
            "mech": log_line.sanitize(self._mechanism, log_line.MAX_MECH_IN_LOG),
            "secured": secured,
            "ssl_security": state.security,
            "mail_pid": str(self.mail_pid) if self.mail_pid else "",
            "session": self.session,
            "real_lip": who.real_local_ip,
            "real_rip": who.real_remote_ip,
            "real_lport": str(who.real_local_port),
            "real_rport": str(who.real_remote_port),
            "listener": who.listener,
            "local_name": state.server_name,
        }
        original = self._passdb.get("original_user", self.user)
        table |= log_line.user_variables("", self.user)
        table |= log_line.user_variables("orig_", original)
        table |= log_line.user_variables("auth_", self._passdb.get("auth_user", original))
        return table

    def _why_not_logged_in(self) -> str:
        return self._history.reason(
            Now(
                self.host.now(),
                # A client that never finished its TLS handshake was not greeted for a reason of its own.
                self._greeted or self.host.auth_ready,
                self._waiting_answer,
                self._finishing,
                self._in_auth,
                self.tls,
                self.host.tls_state.certificate,
                self.login_settings.auth_ssl_require_client_cert,
            )
        )

    def _is_trusted(self) -> bool:
        inside, broken = peer.in_networks(self.peer.remote_ip, self.login_settings.login_trusted_networks)
        if broken:
            self.event.error(f"login_trusted_networks: Invalid network '{broken}'")
        return inside


def decode_base64(text: bytes) -> bytes | None:
    """Strict base64; None when it is none."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None

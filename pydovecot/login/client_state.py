"""What is known of a client before its login, what a protocol says to it, and its lines in the log."""

import os
from collections.abc import Mapping
from typing import ClassVar

from pydovecot.base.networks import in_networks
from pydovecot.event.event import Event
from pydovecot.login import log_line, peer
from pydovecot.login.history import History, Now
from pydovecot.login.host import AuthRequest, Host
from pydovecot.login.peer import Peer
from pydovecot.login.result import Bye, Result
from pydovecot.login.settings import LoginSettings, SslSettings
from pydovecot.settings.view import SettingsView


class ClientState:
    """The base of `LoginClient`; the protocols' words are not filled in yet."""

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
        # Behind a proxy it is the proxy's word that counts, not that the proxy is on this host.
        local = who.is_local and who.proxied is None
        self.secured = tls or self.trusted or local or self.proxied_tls
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

    def configure(self, view: SettingsView) -> None:
        """Take the settings of this connection; again when TLS told the server's name."""
        self.login_settings = view.get(LoginSettings)
        self.ssl_settings = view.get(SslSettings)

    # --- what a protocol defines ------------------------------------------------------------------------

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

    def send_exposed(self) -> None:
        """Warn that the password was sent readable, in protocols that have such a warning."""

    def handover_tag(self) -> tuple[bytes, bool]:
        """IMAP: tag of the command that logged in, and whether the capabilities go into its answer."""
        return b"", True

    def tls_started(self) -> None:
        """The connection is encrypted from here on."""

    # --- what is known ----------------------------------------------------------------------------------

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
    def proxied_tls(self) -> bool:
        """A proxy carries the client's TLS connection."""
        return self.peer.proxied is not None and self.peer.proxied.tls

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

    def note_user(self, user: str) -> None:
        """A user name that the client gave, for the log."""
        self.user = user

    def _is_trusted(self) -> bool:
        inside, broken = in_networks(self.peer.remote_ip, self.login_settings.login_trusted_networks)
        if broken:
            self.event.error(f"login_trusted_networks: Invalid network '{broken}'")
        return inside

    # --- the end ----------------------------------------------------------------------------------------

    def bye(self, why: Bye, text: str, log_text: str) -> None:
        """Say why, and close."""
        if not self.closed:
            self.send_bye(why, text)
            self.end(log_text)

    def end(self, log_text: str) -> None:
        """Log, and close the connection after what was sent."""
        if self.closed:
            return
        self.log(f"{log_text} {self._why_not_logged_in()}")
        self._close()

    def _close(self) -> None:
        self.closed = True
        self._drop_request()
        self._buffer.clear()
        self.host.close()
        self.host.released()

    def _drop_request(self) -> None:
        if self._request is not None:
            self._request.cancel()
            self._request = None

    # --- the log ----------------------------------------------------------------------------------------

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
            "local_name": state.server_name or who.hostname,
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

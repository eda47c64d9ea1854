"""Authentication of a client: what may be offered, the dialog with auth, the way to a mail worker."""

import binascii
import os
import re
from typing import Final

from pydovecot.login import log_line
from pydovecot.login.client_state import ClientState
from pydovecot.login.handover import HandoverReply
from pydovecot.login.host import Given
from pydovecot.login.limits import MAX_AUTH_LINE_BYTES, MAX_NAME_IN_AUTH
from pydovecot.login.result import (
    AUTH_ABORTED,
    BAD_CERTIFICATE,
    LOGIN_FAILURE,
    MAX_SESSIONS,
    NO_LOGIN,
    NO_NAME,
    OTHER_SERVER,
    PLAINTEXT_DISABLED,
    PLAINTEXT_MECHANISM,
    TLS_FIRST,
    UNSUPPORTED,
    Bye,
    Result,
    of_failure,
)
from pydovecot.proto.auth.client import Mechanism, Reply, Status

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=]*")


class Authenticating(ClientState):
    """A client that can be authenticated; `begin_...` are for the protocols' commands."""

    __slots__ = ()

    @property
    def wants_input(self) -> bool:
        """False while bytes of the client are better left in the socket."""
        return not (self.closed or self.starting_tls or (self._in_auth and not self._waiting_answer))

    def run(self) -> None:
        """Handle what has arrived, as far as it goes."""
        while self._buffer and self.wants_input:
            if not (self._auth_line() if self._waiting_answer else self.process()):
                return

    # --- what is allowed --------------------------------------------------------------------------------

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

    # --- beginnings -------------------------------------------------------------------------------------

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

    def _start_auth(self, mechanism: str, initial: bytes | None, broken: bool, private: bool) -> None:
        self._history.begin(self.host.now())
        self._mechanism = mechanism.upper()
        mech = self.host.mechanisms.get(self._mechanism)
        if mech is None or mech.private != private:
            self._history.unsupported = True
            self._refused(Result.BAD_MECHANISM, UNSUPPORTED)
        elif mech.plaintext and not self.secured and self.login_settings.disable_plaintext_auth:
            self._history.plaintext = True
            self._refused(Result.TLS_REQUIRED, PLAINTEXT_MECHANISM)
        elif self._nameless_certificate():
            self._history.not_authorized = True
            self.log(f"Cannot get username from certificate: {NO_NAME}", error=True)
            self._refused(Result.NOT_AUTHORIZED, BAD_CERTIFICATE)
        elif broken:
            self._history.bad_base64 = True
            self.send_result(Result.BAD_BASE64, "Invalid base64 data in initial response")
        else:
            self._in_auth = True
            self._request = self.host.authenticate(mech.name, self._auth_fields(mech), initial, self._reply)

    def _nameless_certificate(self) -> bool:
        """A certificate is demanded and is to name the user; there is a good one, without a name."""
        settings = self.login_settings
        if not (settings.auth_ssl_require_client_cert and settings.auth_ssl_username_from_cert):
            return False
        state = self.host.tls_state
        return state.certificate == "valid" and not state.certificate_name

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
            fields["secured"] = "tls" if self.tls or self.proxied_tls else None
        if self.trusted:  # webmail: one user's wrong password is not to slow down all the others
            fields["no-penalty"] = None
        if state.certificate == "valid":
            fields["valid-client-cert"] = None
        name = state.certificate_name or self._proxied_certificate()
        if name:
            fields["cert_username"] = name
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

    # --- the dialog -------------------------------------------------------------------------------------

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
        history.not_authorized = reply.code == "authz_fail"
        history.plaintext = False
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

    # --- the way to the mail worker ---------------------------------------------------------------------

    def _proxied_certificate(self) -> str:
        if self.peer.proxied is None or not self.login_settings.auth_ssl_username_from_cert:
            return ""
        return self.peer.proxied.certificate_name

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
            self._auth_id,
            self.secured,
            self.tls or self.proxied_tls,
            self.session,
            tag,
            send_capability,
            bytes(self._buffer),
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


def decode_base64(text: bytes) -> bytes | None:
    """Strict base64; None when it is none."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None

"""A POP3 client before login (RFC 1939, 2449, 2595, 5034): commands and the words of the answers."""

import base64
import hashlib
import os
from collections.abc import Callable
from typing import ClassVar, Final

from pydovecot.base.networks import valid_ip, valid_port
from pydovecot.login.client import LoginClient
from pydovecot.login.limits import MAX_AUTH_LINE_BYTES, MAX_TOKEN_BYTES
from pydovecot.login.result import Bye, Result
from pydovecot.login.settings import Pop3LoginSettings
from pydovecot.settings.view import SettingsView

CAPABILITIES: Final = "CAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n"
NOT_TRUSTED: Final = "+OK You are not from trusted IP - ignoring"
MD5_HEX_CHARS: Final = 32
RESERVED_PORTS: Final = 1024  # below it only root may bind on most hosts; RFC 1081 builds on that

_RESULTS: Final[dict[Result, str]] = {
    Result.TEMPORARY: "-ERR [SYS/TEMP]",
    Result.ABORTED: "-ERR",
    Result.REFERRAL: "-ERR",
    Result.TOO_MANY: "-ERR [IN-USE]",
}


class Pop3LoginClient(LoginClient):
    """One POP3 client until it is logged in."""

    service: ClassVar[str] = "pop3"

    __slots__ = ("_challenge", "_last_user", "_rpop_settings")

    def configure(self, view: SettingsView) -> None:
        super().configure(view)
        self._rpop_settings = view.get(Pop3LoginSettings)
        if not hasattr(self, "_challenge"):
            self._challenge = ""
            self._last_user: bytes | None = None

    # --- words -----------------------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        # A reason of a database must not add lines.
        self.host.send(text.replace("\r", " ").replace("\n", " ").encode("utf-8", "replace") + b"\r\n")

    def greet(self) -> None:
        words = ["+OK"]
        if self.trusted:
            words.append("[XCLIENT]")
        words.append(self.login_settings.login_greeting)
        if "APOP" in self.host.mechanisms:
            self._challenge = self._make_challenge()
            words.append(self._challenge)
        self._line(" ".join(words))

    def _make_challenge(self) -> str:
        """A msg-id that never comes twice (RFC 1939 7); auth will check its first two parts."""
        pid, connection = self.host.auth_identity
        unique = base64.b64encode(os.urandom(16)).decode()
        return f"<{pid:x}.{connection:x}.{int(self.host.now()):x}.{unique}@{os.uname().nodename}>"

    def send_result(self, result: Result, text: str) -> None:
        self._line(f"{_RESULTS.get(result, '-ERR [AUTH]')} {text}")

    def send_bye(self, why: Bye, text: str) -> None:
        code = "[SYS/TEMP] " if why in (Bye.INTERNAL, Bye.SHUTDOWN) else ""
        self._line(f"-ERR {code}{text}")

    # --- commands --------------------------------------------------------------------------------------

    def process(self) -> bool:
        end = self._buffer.find(b"\n")
        size = len(self._buffer) if end < 0 else end
        if size > MAX_TOKEN_BYTES and size > self._longest_line():
            self.buffer_full()
            return False
        if end < 0:
            return False
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        name, _, argument = line.partition(b" ")
        handler = _COMMANDS.get(name.upper())
        if handler is Pop3LoginClient.rpop and not self._rpop_enabled:
            handler = None
        if handler is not None:
            handler(self, argument)
            return True
        self._line("-ERR Unknown command.")
        if self.bad_command():
            text = "Too many invalid bad commands."
            self.bye(Bye.FULL, text, "Disconnected: Too many bad commands")
        return True

    def _longest_line(self) -> int:
        """Only AUTH may be longer: its initial response."""
        is_auth = self._buffer[:5].upper() == b"AUTH "
        return MAX_AUTH_LINE_BYTES if is_auth else MAX_TOKEN_BYTES

    def capa(self, _argument: bytes) -> None:
        out = ["+OK\r\n", CAPABILITIES]
        if self.tls_possible:
            out.append("STLS\r\n")
        if self.secured or not self.login_settings.disable_plaintext_auth:
            out.append("USER\r\n")
        out.append(" ".join(["SASL", *self.advertised()]) + "\r\n.\r\n")
        self.host.send("".join(out).encode())

    def user_command(self, argument: bytes) -> None:
        if self.refuse_plaintext(exposed=False):
            self.note_user(argument.decode("utf-8", "replace"))
            return
        self._last_user = argument
        self._line("+OK")

    def pass_command(self, argument: bytes) -> None:
        user = self._named_user()
        if user is not None:
            self.begin_plain(user, argument)

    def _named_user(self) -> bytes | None:
        """Whom USER named; None, and the client is told, when that is not known."""
        user, self._last_user = self._last_user, None
        # A client may ignore the answer to USER and show only this one.
        if user is None and not self.refuse_plaintext(exposed=False):
            self._line("-ERR No username given.")
        return user

    @property
    def _rpop_enabled(self) -> bool:
        return self._rpop_settings.pop3_rpop and "RPOP" in self.host.mechanisms

    def rpop(self, argument: bytes) -> None:
        """RPOP id (RFC 1081), in place of PASS; given to auth as `user NUL id`."""
        user = self._named_user()
        if user is None:
            return
        port = self.peer.remote_port
        if self._rpop_settings.pop3_rpop_reserved_port and not 0 < port < RESERVED_PORTS:
            self.note_user(user.decode("utf-8", "replace"))
            self.log(f"RPOP failed: Client port {port} is not reserved")
            self.send_result(Result.NOT_AUTHORIZED, "RPOP is for clients with a reserved port.")
            return
        self.begin_private("RPOP", user + b"\0" + argument)

    def auth(self, argument: bytes) -> None:
        if not argument:
            self._list_mechanisms()
            return
        name, blank, initial = argument.partition(b" ")
        self.begin_auth(name.decode("latin-1"), initial if blank else None)

    def _list_mechanisms(self) -> None:
        """AUTH alone: how Outlook finds out the mechanisms."""
        if not self.secured and self.ssl_settings.ssl == "required":
            self.begin_auth("", None)
            return
        names = "".join(f"{name}\r\n" for name in self.advertised())
        self.host.send(f"+OK\r\n{names}.\r\n".encode())

    def apop(self, argument: bytes) -> None:
        """APOP name digest (RFC 1939 7), given to auth as `challenge NUL name NUL digest`."""
        if not self._challenge:
            self._apop_failed("APOP not enabled", "APOP not enabled.")
            return
        if not self.secured and self.ssl_settings.ssl == "required":
            self.begin_auth("APOP", None)
            return
        name, _, digest = argument.partition(b" ")
        if len(digest) != MD5_HEX_CHARS:
            self._apop_failed("Invalid parameters", "Invalid parameters.")
            return
        try:
            raw = bytes.fromhex(digest.decode("ascii"))
        except ValueError:
            raw = b""
        if len(raw) != hashlib.md5(usedforsecurity=False).digest_size:
            text = "Invalid characters in MD5 response"
            self._apop_failed(text, f"{text}.")
            return
        self.begin_private("APOP", self._challenge.encode() + b"\0" + name + b"\0" + raw)

    def _apop_failed(self, log_text: str, text: str) -> None:
        if self.login_settings.auth_verbose:
            self.log(f"APOP failed: {log_text}")
        self._line(f"-ERR {text}")

    def stls(self, _argument: bytes) -> None:
        if self.tls:
            self._line("-ERR TLS is already active.")
        elif not self.tls_possible:
            self._line("-ERR TLS support isn't enabled.")
        else:
            self._line("+OK Begin TLS negotiation now.")
            self.begin_tls()

    def quit(self, _argument: bytes) -> None:
        self._line("+OK Logging out")
        self.end("Disconnected: Aborted login by logging out")

    def xclient(self, argument: bytes) -> None:
        """XCLIENT of a trusted proxy: ADDR, PORT, SESSION of the client behind it."""
        if not self.trusted:
            self._line(NOT_TRUSTED)
            return
        valid = True
        for word in argument.decode("utf-8", "replace").split():
            key, _, value = word.partition("=")
            match key.upper():
                case "ADDR":
                    address = valid_ip(value)
                    valid = valid and address is not None
                    self.peer.remote_ip = address or self.peer.remote_ip
                case "PORT":
                    port = valid_port(value)
                    valid = valid and port is not None
                    self.peer.remote_port = port or self.peer.remote_port
                case "SESSION":
                    self.session = value
                case _:
                    pass  # TTL, FORWARD, LOGIN: of proxying logins
        self._line("+OK Updated" if valid else "-ERR Invalid parameters")

    def xoip(self, argument: bytes) -> None:
        """XOIP of Zimbra's nginx: the address alone."""
        self.xclient(b"ADDR=" + argument)


_COMMANDS: Final[dict[bytes, Callable[[Pop3LoginClient, bytes], None]]] = {
    b"CAPA": Pop3LoginClient.capa,
    b"USER": Pop3LoginClient.user_command,
    b"PASS": Pop3LoginClient.pass_command,
    b"RPOP": Pop3LoginClient.rpop,
    b"AUTH": Pop3LoginClient.auth,
    b"APOP": Pop3LoginClient.apop,
    b"STLS": Pop3LoginClient.stls,
    b"QUIT": Pop3LoginClient.quit,
    b"XCLIENT": Pop3LoginClient.xclient,
    b"XOIP": Pop3LoginClient.xoip,
}

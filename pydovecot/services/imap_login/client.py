"""An IMAP client before login (RFC 3501 6.1, 6.2; RFC 2971, RFC 4959): commands and wording."""

from collections.abc import Callable
from typing import ClassVar, Final

from pydovecot import __version__
from pydovecot.login import log_line
from pydovecot.login.client import LoginClient
from pydovecot.login.limits import MAX_AUTH_LINE_BYTES, MAX_TOKEN_BYTES
from pydovecot.login.result import PLAINTEXT_EXPOSED, Bye, Result
from pydovecot.login.settings import ImapLoginSettings
from pydovecot.services.imap_login import ident
from pydovecot.services.imap_login.parser import (
    Bad,
    Command,
    Full,
    Kind,
    skip_line,
    step,
    take_word,
    valid_tag,
)
from pydovecot.settings.view import SettingsView

# RFC 3501 7.2.1; before login only what concerns the login is worth naming, as Dovecot does.
CAPABILITIES: Final = "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE"
IMAP_PORT: Final = 143
NOT_A_TAG: Final = (
    "First parameter in line is IMAP's command tag, not the command name. "
    "Add that before the command, like: a login user pass"
)
BAD_COMMAND: Final = "Error in IMAP command received by server."

_RESULTS: Final[dict[Result, bytes]] = {
    Result.FAILED: b"NO [AUTHENTICATIONFAILED]",
    Result.REASON: b"NO [ALERT]",
    Result.TEMPORARY: b"NO [UNAVAILABLE]",
    Result.NOT_AUTHORIZED: b"NO [AUTHORIZATIONFAILED]",
    Result.LOGIN_DISABLED: b"NO [CONTACTADMIN]",
    Result.PASSWORD_EXPIRED: b"NO [EXPIRED]",
    Result.TLS_REQUIRED: b"NO [PRIVACYREQUIRED]",
    Result.BAD_MECHANISM: b"NO [ALERT]",
    Result.BAD_BASE64: b"BAD",
    Result.BAD_RESPONSE: b"NO [ALERT]",
    Result.ABORTED: b"BAD",
    Result.TOO_MANY: b"NO [LIMIT]",
}


class ImapLoginClient(LoginClient):
    """One IMAP client until it is logged in."""

    service: ClassVar[str] = "imap"

    __slots__ = (
        "_asked_capability",
        "_command",
        "_id_logged",
        "_skip",
        "_started_tls",
        "imap_settings",
    )

    def configure(self, view: SettingsView) -> None:
        super().configure(view)
        self.imap_settings = view.get(ImapLoginSettings)
        if not hasattr(self, "_command"):
            self._command = Command()
            self._skip = self._asked_capability = self._started_tls = self._id_logged = False

    # --- words -----------------------------------------------------------------------------------------

    def greet(self) -> None:
        greeting = self.login_settings.login_greeting
        self.host.send(_bytes(f"* OK [CAPABILITY {self._capabilities()}] {greeting}\r\n"))

    def send_result(self, result: Result, text: str) -> None:
        if result is Result.REFERRAL:
            condition = _bytes(f"NO [REFERRAL {self.referral_url(IMAP_PORT)}]")
        else:
            condition = _RESULTS[result]
        self.host.send(b"%s %s %s\r\n" % (self._tag(), condition, _bytes(text)))

    def send_bye(self, why: Bye, text: str) -> None:
        code = "[UNAVAILABLE] " if why is Bye.INTERNAL else ""
        self.host.send(_bytes(f"* BYE {code}{text}\r\n"))

    def send_status(self, text: str) -> None:
        self.host.send(_bytes(f"* OK {text}\r\n"))

    def send_exposed(self) -> None:
        self.host.send(_bytes(f"* BAD [ALERT] {PLAINTEXT_EXPOSED}\r\n"))

    def handover_tag(self) -> tuple[bytes, bool]:
        return self._tag(), not self._asked_capability

    def tls_started(self) -> None:
        self._command = Command()
        self._skip = False
        self._started_tls = True

    def _tag(self) -> bytes:
        return self._command.tag or b"*"

    def _answer(self, condition: bytes, text: str) -> None:
        self.host.send(b"%s %s %s\r\n" % (self._tag(), condition, _bytes(text)))

    def _capabilities(self) -> str:
        configured = self.imap_settings.imap_capability
        if not configured or configured.startswith("+"):
            literal = "LITERAL-" if self.imap_settings.imap_literal_minus else "LITERAL+"
            words = [CAPABILITIES, *configured[1:].split(), literal]
        else:
            words = [configured]
        if self.tls_possible:
            words.append("STARTTLS")
        plain = self.host.mechanisms.get("PLAIN")
        if not self.plaintext_allowed or (self.secured and plain is None):
            words.append("LOGINDISABLED")
        words += [f"AUTH={name}" for name in self.advertised()]
        return " ".join(words)

    # --- commands --------------------------------------------------------------------------------------

    def process(self) -> bool:
        try:
            return self._process()
        except Full:
            self.buffer_full()
        except Bad as exc:
            if exc.fatal:
                self.bye(Bye.FULL, exc.text, f"Disconnected: {exc.text}")
            else:
                self._answer(b"BAD", exc.text)
                self._next(skip=True)
                return True
        return False

    def _next(self, *, skip: bool = False) -> None:
        """The command is done. Its tag stays known for the answer of the auth process."""
        tag, self._command = self._command.tag, Command()
        self._command.tag = tag
        self._skip = skip
        self._command.size = -1  # nothing of the next command is known

    def _process(self) -> bool:
        buffer, command = self._buffer, self._command
        if self._skip:
            if not skip_line(buffer):
                return False
            self._skip = False
            return True
        if command.size < 0:
            command.tag, command.size = None, 0
        if command.tag is None:
            word = take_word(buffer)
            if word is None:
                return False
            command.tag = word if valid_tag(word) else b""
        if command.name is None:
            word = take_word(buffer)
            if word is None:
                return False
            command.name = word.upper()
            if not word:
                self._bad()
                self._next(skip=True)
                return True
        if command.name == b"AUTHENTICATE" and command.tag:
            return self._authenticate()
        complete = step(buffer, command, literal_minus=self.imap_settings.imap_literal_minus)
        if complete is not True:
            if complete is False:
                return False
            self.host.send(complete)
            return True
        self._execute(command)
        return True

    def _execute(self, command: Command) -> None:
        handler = _COMMANDS.get(command.name or b"") if command.tag else None
        if handler is None and command.tag and command.tag.upper() == b"LOGIN":
            self._answer(b"BAD", NOT_A_TAG)
        elif handler is None or not handler(self, command):
            self._bad()
        if self._command is command:
            self._next()

    def _bad(self) -> None:
        if self.bad_command():
            text = "Too many invalid IMAP commands."
            self.bye(Bye.FULL, text, "Disconnected: Too many invalid commands")
        else:
            self._answer(b"BAD", BAD_COMMAND)

    def _authenticate(self) -> bool:
        """AUTHENTICATE is read as a line: an initial response may be longer than other arguments."""
        buffer = self._buffer
        end = buffer.find(b"\n")
        if end < 0 or end > MAX_AUTH_LINE_BYTES:
            return self._long_authenticate(end)
        line = bytes(buffer[:end]).removesuffix(b"\r")
        del buffer[: end + 1]
        name, blank, initial = line.partition(b" ")
        if len(name) > MAX_TOKEN_BYTES:
            raise Full
        if not name:
            self._bad()
        else:
            self.begin_auth(name.decode("latin-1"), initial if blank and initial else None)
        self._next()
        return True

    def _long_authenticate(self, end: int) -> bool:
        name = bytes(self._buffer[: MAX_TOKEN_BYTES + 1]).partition(b" ")[0]
        if len(name) > MAX_TOKEN_BYTES:
            raise Full
        if len(self._buffer) > MAX_AUTH_LINE_BYTES or end > 0:
            self.end("Disconnected: Authentication response too large")
        return False

    def capability(self, _command: Command) -> bool:
        # Clients must ask again after STARTTLS (RFC 3501 6.2.1): only one who asks without need has not
        # understood the codes in OK answers, and gets them in a line of their own after login.
        if not self._started_tls:
            self._asked_capability = True
        self.host.send(_bytes(f"* CAPABILITY {self._capabilities()}\r\n"))
        self._answer(b"OK", "Pre-login capabilities listed, post-login capabilities have more.")
        return True

    def noop(self, _command: Command) -> bool:
        self._answer(b"OK", "NOOP completed.")
        return True

    def logout(self, _command: Command) -> bool:
        self.host.send(b"* BYE Logging out\r\n")
        self._answer(b"OK", "Logout completed.")
        self.end("Disconnected: Aborted login by logging out")
        return True

    def enable(self, _command: Command) -> bool:
        self.host.send(b"* ENABLED\r\n")
        self._answer(b"OK", "ENABLE ignored in non-authenticated state.")
        return True

    def starttls(self, _command: Command) -> bool:
        if self.tls:
            self._answer(b"BAD", "TLS is already active.")
        elif not self.tls_possible:
            self._answer(b"BAD", "TLS support isn't enabled.")
        else:
            self._answer(b"OK", "Begin TLS negotiation now.")
            self.begin_tls()
        return True

    def login(self, command: Command) -> bool:
        arguments = command.arguments
        if len(arguments) != 2 or any(kind not in (Kind.ATOM, Kind.STRING) for kind, _ in arguments):
            return False
        (_, user), (_, password) = arguments
        if self.refuse_plaintext(exposed=True):
            self.note_user(user.decode("utf-8", "replace"))
            return True
        self.begin_plain(user, password)
        return True

    def id(self, command: Command) -> bool:
        """ID (RFC 2971), with the fields of Dovecot's proxies from trusted networks."""
        pairs = ident.pairs(command.arguments)
        if pairs is None:
            self._answer(b"BAD", "Invalid ID parameters")
            return True
        if not self._id_logged:
            self._id_logged = True
            if self.trusted:
                ident.forward(self, pairs)
            shown = ident.to_log(self.imap_settings.imap_id_log, pairs)
            if shown:
                self.log(f"ID sent: {log_line.sanitize(shown, ident.MAX_LOGGED)}")
        if self.imap_settings.imap_id_retain:
            self.user_fields = {"client_id": ident.client_id(pairs)} if pairs else {}
        self.host.send(b"* ID %s\r\n" % ident.reply(self.imap_settings.imap_id_send, __version__))
        self._answer(b"OK", "ID completed.")
        return True


_COMMANDS: Final[dict[bytes, Callable[[ImapLoginClient, Command], bool]]] = {
    b"LOGIN": ImapLoginClient.login,
    b"CAPABILITY": ImapLoginClient.capability,
    b"STARTTLS": ImapLoginClient.starttls,
    b"NOOP": ImapLoginClient.noop,
    b"LOGOUT": ImapLoginClient.logout,
    b"ENABLE": ImapLoginClient.enable,
    b"ID": ImapLoginClient.id,
}


def _bytes(text: str) -> bytes:
    """Text for the wire; a reason of a database must not add lines."""
    data = text.encode("utf-8", "replace")
    if data.find(b"\r") < 0 and data.find(b"\n") < 0:
        return data
    if data.endswith(b"\r\n") and data.count(b"\r") == 1 and data.count(b"\n") == 1:
        return data
    line, end = (data[:-2], b"\r\n") if data.endswith(b"\r\n") else (data, b"")
    return line.replace(b"\r", b" ").replace(b"\n", b" ") + end

"""The protocol of doveadm's clients, VERSION doveadm-server 1 (features F-24).

    C: VERSION doveadm-server 1 2      S: VERSION doveadm-client 1 2 (to clients of 1.1 and later)
                                       S: + (trusted by its socket) or -
    C: STARTTLS                        optional, on TCP
    C: PLAIN <base64 of NUL user NUL password>      S: + or -, which is the end
    C: flags TAB user TAB command TAB arguments     S: rows, an empty line's LF, + or -CODE

All TAB separated and escaped. From 1.1 on, what follows the login comes in packets: channel, four octets of
length, data; log lines of the command have channel L.
"""

import base64
import binascii
import hmac
import io
from collections.abc import Callable
from typing import Final

from pydovecot.admin.arguments import Arguments, BadArguments
from pydovecot.admin.errors import USAGE
from pydovecot.admin.printer import Printer
from pydovecot.admin.settings import ServerSettings
from pydovecot.base import tabescape
from pydovecot.services.doveadm_server import commands
from pydovecot.services.doveadm_server.output import Output, ServerPrinter
from pydovecot.services.doveadm_server.stream import Closed, Stream

MAJOR: Final = b"1"
MINOR: Final = b"2"
MAX_LOGIN_LINE: Final = 8192


class Conversation:
    """One client. `trusted`: the socket's permissions have decided. `start_tls`: None when there is none."""

    def __init__(
        self,
        stream: Stream,
        host: commands.Host,
        *,
        trusted: bool,
        start_tls: Callable[[], None] | None,
        show: Callable[[str], None],
    ) -> None:
        self._stream, self._host, self._event = stream, host, host.event
        self._trusted, self._start_tls, self._show = trusted, start_tls, show

    def run(self) -> None:
        """Until the client goes. Raises Closed."""
        version = self._stream.line(MAX_LOGIN_LINE).split(b"\t")
        if version[:3] != [b"VERSION", b"doveadm-server", MAJOR] or not version[-1].isdigit():
            raise Closed("doveadm client not compatible with this server (mixed old and new binaries?)")
        packets = int(version[3]) >= 1 if len(version) > 3 else False
        greeting = b"VERSION\tdoveadm-client\t%s\t%s\n" % (MAJOR, MINOR) if packets else b""
        self._stream.write(greeting + (b"+\n" if self._trusted else b"-\n"))
        if not self._trusted:
            self._login()
        self._stream.let_in()
        output = Output(self._stream.write, packets=packets)
        while True:
            self._command(self._stream.line(), output)

    def _login(self) -> None:
        settings = self._host.view.get(ServerSettings)
        line = self._stream.line(MAX_LOGIN_LINE)
        if line == b"STARTTLS" and self._start_tls is not None and not self._stream.secure:
            self._start_tls()
            line = self._stream.line(MAX_LOGIN_LINE)
        problem = why_refused(line, settings.doveadm_username, settings.doveadm_password)
        if problem:
            self._stream.write(b"-\n")
            raise Closed(problem)
        self._stream.write(b"+\n")

    def _command(self, line: bytes, output: Output) -> None:
        fields = tabescape.split_text(line)
        if len(fields) < 3:
            raise Closed("doveadm client: No command given")
        flags, user, *words = fields
        verbose = debug = False
        for flag in flags:
            if flag == "x":
                user, words = words[0], words[1:]
                if not words:
                    raise Closed("doveadm client: No command given")
            elif flag not in "Dv":
                raise Closed(f"doveadm client: Unknown flag: {flag}")
            verbose, debug = True, debug or flag == "D"
        if words[0] == "OPTION":
            return
        found = commands.find([*words[0].split(" "), *words[1:]])
        if found is None:
            self._event.error(f"doveadm: Client sent unknown command: {words[0]}")
            output.send(b"\n-\n")
            output.flush()
            return
        command, rest = found
        if not self._host.may(command.name):
            raise Closed(f"doveadm client isn't allowed to use command: {command.name}")
        self._show(command.name)
        try:
            arguments = commands.arguments_of(command, rest)
            commands.files_of(command, arguments)  # their content follows
        except BadArguments as exc:
            self._event.error(str(exc))
            output.log("Error", str(exc))
            output.end(USAGE)
            return
        printer = ServerPrinter(output)
        if user and any(param.name == "all-users" for param in command.params):
            _for_one(user, arguments, printer)
        status = commands.run(
            self._host, command, arguments, user or None,
            printer=lambda _style: printer, write=output.send, tell=output.log,
            stdin=io.BufferedReader(DotInput(self._stream)), verbose=verbose, debug=debug,
        )  # fmt: skip
        self._show("")
        output.end(status)


def _for_one(user: str, arguments: Arguments, printer: Printer) -> None:
    """The client has found the users already; its own -A or -u is still among the words.

    Rows for one of several users begin with the name.
    """
    mask = arguments.text("user")
    several = arguments.given("all-users") or arguments.given("user-file") or "*" in mask or "?" in mask
    for name in ("all-users", "user", "user-file"):
        arguments.values.pop(name, None)
    if several:
        printer.header("username", sticky=True)
        printer.stick("username", user)


def why_refused(line: bytes, user: str, password: str) -> str:
    """What is wrong with a PLAIN line; empty when nothing is. The password itself is never told."""
    if not password:
        return "doveadm_password not set, remote authentication disabled"
    if not line.startswith(b"PLAIN\t"):
        return "doveadm client attempted non-PLAIN authentication"
    try:
        plain = base64.b64decode(line[6:], validate=True)
    except binascii.Error:
        return "doveadm client sent invalid base64 auth PLAIN data"
    start = b"\0" + user.encode() + b"\0"
    if not plain.startswith(start):
        return f"doveadm client didn't authenticate as '{user}'"
    if not hmac.compare_digest(plain[len(start) :], password.encode()):
        return "doveadm client authenticated with wrong password"
    return ""


class DotInput(io.RawIOBase):
    """What a client sends for a command to read: lines up to one with only a dot; read when asked for."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest, self._between = b"", b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """The next bytes; 0 at the end."""
        if not self._rest and not self._ended:
            line = self._stream.line().removesuffix(b"\r")
            if line == b".":
                self._ended = True
            else:
                # The line end before the dot belongs to the dot.
                self._rest = self._between + line.removeprefix(b".")
                self._between = b"\n"
                if not self._rest:
                    return self.readinto(buffer)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

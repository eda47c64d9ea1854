"""The HTTP API of doveadm, /doveadm/v1: GET lists the commands, POST runs some.

    POST [["mailboxList", {"user": "alice"}, "tag1"], ...]
    200  [["doveadmResponse", [{"mailbox": "INBOX"}], "tag1"], ...]
         [["error", {"type": "exitCode", "exitCode": 67}, "tag1"]]

Authorization: X-Dovecot-API <base64 of doveadm_api_key>, or Basic with doveadm_username and doveadm_password.
Names of commands and parameters are in camelCase. One request, one connection.
"""

import base64
import binascii
import hmac
import io
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Final

from pydovecot import __version__
from pydovecot.admin.settings import ServerSettings
from pydovecot.services.doveadm_server import commands
from pydovecot.services.doveadm_server.api import BadRequest, listing, run_all
from pydovecot.services.doveadm_server.stream import Stream

PATH: Final = "/doveadm/v1"
MAX_BODY: Final = 16 * 1024 * 1024
JSON: Final = "application/json; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
_MOUNTS: Final = (("OPTIONS", "*"), ("GET", "/"), ("GET", PATH), ("POST", PATH))


def serve_http(stream: Stream, host: commands.Host, where: str, show: Callable[[str], None]) -> None:
    """Answer one request. Raises Closed."""
    _Handler(stream, host, where, show).handle_one()


class _Reader:
    """The stream as the standard library's parser reads it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def readline(self, limit: int = 65536) -> bytes:
        return self._stream.line(limit) + b"\n"


class _Handler(BaseHTTPRequestHandler):
    """The request's head is parsed by the standard library; nothing of its server is used."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"pydovecot/{__version__}", ""

    def __init__(
        self, stream: Stream, host: commands.Host, where: str, show: Callable[[str], None]
    ) -> None:
        self._stream, self._host, self._where, self._show = stream, host, where, show
        self.rfile = _Reader(stream)  # type: ignore[assignment]
        self.wfile = self._answered = io.BytesIO()
        self.client_address = (where or "local", 0)
        self._size = 0

    def handle_one(self) -> None:
        """Read, answer, and say so in the log."""
        self.raw_requestline = self.rfile.readline(65537)
        self.close_connection = True
        if self.parse_request():
            self._answer()
        self._stream.write(self._answered.getvalue())

    def log_message(self, format: str, *args: object) -> None:
        """Complaints of the parser."""
        self._host.event.info("doveadm: " + format % args)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Our own line is written when all is known."""

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        if self.command == "OPTIONS":
            self._options()
        elif (self.command, path) not in _MOUNTS:
            self._send(404, "Path Not Found", TEXT, b"Path Not Found\r\n")
        elif not self._authenticated():
            self._refuse()
        elif self.command == "POST":
            self._stream.let_in()
            self._run()
        elif path == PATH:
            self._send(200, "OK", JSON, listing())
        else:
            rows = ",\n".join(f'{{"method":"{method}","path":"{path}"}}' for method, path in _MOUNTS)
            self._send(200, "OK", JSON, f"[\n{rows}\n]".encode())

    def _options(self) -> None:
        self._send(
            200, "OK", "", b"",
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
            ("Access-Control-Allow-Request-Headers", "Content-Type, X-API-Key, Authorization"),
            ("Access-Control-Allow-Headers", "Content-Type, WWW-Authenticate"),
        )  # fmt: skip

    def _refuse(self) -> None:
        settings = self._host.view.get(ServerSettings)
        ways = [("WWW-Authenticate", "X-Dovecot-API")] if settings.doveadm_api_key else []
        ways += [("WWW-Authenticate", 'Basic Realm="doveadm"')] if settings.doveadm_password else []
        self._send(401, "Authentication required", "", b"", *ways)

    def _authenticated(self) -> bool:
        header = self.headers.get("Authorization", "")
        if not header:
            return False
        settings = self._host.view.get(ServerSettings)
        good, scheme = check(
            header, settings.doveadm_username, settings.doveadm_password, settings.doveadm_api_key
        )
        if not good:
            self._host.event.error(
                f"Invalid authentication attempt to HTTP API (using {scheme} authentication scheme)"
            )
        return good

    def _run(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._send(411, "Length Required", TEXT, b"Length Required\r\n")
            return
        if len(length) > 10 or int(length) > MAX_BODY:
            self._send(413, "Payload Too Large", TEXT, b"Payload Too Large\r\n")
            return
        if self.headers.get("Expect", "").lower() == "100-continue":
            self._stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            answer = run_all(self._host, self._stream.take(int(length)), self._show)
        except BadRequest as exc:
            self._send(400, "Bad Request", TEXT, f"{exc}\r\n".encode())
            return
        self._send(200, "OK", JSON, answer)

    def handle_expect_100(self) -> bool:
        """Said when the body is wanted (see _run)."""
        return True

    def _send(self, code: int, reason: str, kind: str, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response_only(code, reason)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if kind:
            self.send_header("Content-Type", kind)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        shown = self.requestline.replace('"', "'")
        self._host.event.info(f'doveadm: {self._where or "-"} - - "{shown}" {code} {len(body)}')


def check(header: str, user: str, password: str, key: str) -> tuple[bool, str]:
    """Whether an Authorization header is right, and its scheme, for the log. Empty secrets are wrong."""
    scheme, _, value = header.partition(" ")
    if not value:
        return False, "no"  # what is there may be the secret itself
    try:
        given = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False, scheme
    if scheme.lower() == "basic" and password:
        wanted = f"{user}:{password}".encode()
    elif scheme.lower() == "x-dovecot-api" and key:
        wanted = key.encode()
    else:
        return False, scheme
    return hmac.compare_digest(given, wanted), scheme



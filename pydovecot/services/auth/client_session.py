"""One connection of the auth-client protocol: a login process, Postfix, Exim (features E.4).

Bytes in, bytes out: `feed` is given what came, `write` is called with whole lines. A client that breaks the
protocol is disconnected, as Dovecot does; a request that is only wrong in itself fails alone.
"""

import hmac
from collections.abc import Callable

from pydovecot.authdb.request import sanitize
from pydovecot.base import tabescape
from pydovecot.proto.auth.lines import CLIENT_MAJOR, COOKIE_BYTES, MAX_LINE_BYTES, BadLine
from pydovecot.services.auth.handler import RequestHandler
from pydovecot.services.auth.server import AuthServer, hide
from pydovecot.services.auth.session import PeerGone, Session

MAX_LOGGED_LINE = 80


class ClientSession(Session):
    """`login` connections may hand their users over to mail processes; others only ask yes or no.

    `token` connections may only use DOVECOT-TOKEN, which is not offered yet: they are greeted, and refused.
    """

    def __init__(
        self,
        server: AuthServer,
        write: Callable[[bytes], None],
        close: Callable[[], None],
        *,
        login: bool,
        token: bool = False,
        is_dead: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(server, write, close, MAX_LINE_BYTES)
        self.login, self.is_dead = login, is_dead
        self._version_seen = self._ready = False
        self.pid = 0
        self.cookie = server.world.random(COOKIE_BYTES)
        self.connect_uid = server.next_connect_uid()
        self.handler = RequestHandler(server, self._reply, self.connect_uid, auth_only=not login, token=token)
        self._token = token

    def hello(self) -> bytes:
        """What the client gets before it says anything."""
        return self._server.client_hello(self.connect_uid, self.cookie, token=self._token)

    def gone(self) -> None:
        """The connection is closed: forget everything."""
        waiting = len(self.handler)
        if waiting and not self.closed and not self._server.stopping:
            self._server.event.error(
                f"auth client {self.pid} disconnected with {waiting} pending requests: EOF"
            )
        self.closed = True
        self.handler.abort()
        if self._server.login_sessions.get(self.pid) is self:
            del self._server.login_sessions[self.pid]

    def check_cookie(self, cookie: bytes) -> bool:
        """Whether a mail process got its knowledge from our client."""
        return hmac.compare_digest(self.cookie, cookie)

    def _break(self, text: str) -> None:
        self._server.event.error(text)
        self.closed = True

    def _who(self) -> str:
        return f"Auth client {self.pid}"

    def _reply(self, text: str) -> None:
        if not self.closed and self._server.debug:
            self._server.event.debug(f"client passdb out: {text.rstrip(chr(10))}")
        super()._reply(text)

    def _line(self, line: bytes) -> None:
        if not self._ready:
            self._handshake(line)
            return
        command, _, rest = line.partition(b"\t")
        if self._server.debug:
            self._log_line(line)
        try:
            if command == b"AUTH":
                self.handler.begin(tabescape.split_text(rest), self.pid)
            elif command == b"CONT":
                self.handler.proceed(rest)
            elif command == b"CANCEL":
                self.handler.cancel(rest)
            else:
                shown = _shown(line)
                raise PeerGone(f"BUG: Authentication client sent unknown command: {shown}")
        except BadLine as exc:
            raise PeerGone(f"BUG: {exc}") from exc

    def _handshake(self, line: bytes) -> None:
        fields = tabescape.split_text(line)
        if not self._version_seen:
            if fields[0] != "VERSION" or len(fields) < 3 or not (_digits(fields[1]) and _digits(fields[2])):
                raise PeerGone(f"Authentication client sent invalid VERSION line: {_shown(line)}")
            if int(fields[1]) != CLIENT_MAJOR:
                raise PeerGone(
                    "Authentication client not compatible with this server (mixed old and new binaries?)"
                )
            self._version_seen = True
            self.handler.client_minor = int(fields[2])
            return
        if fields[0] != "CPID" or len(fields) < 2:
            raise PeerGone(f"BUG: Authentication client sent unknown handshake command: {_shown(line)}")
        if len(fields) > 2 or not _digits(fields[1]) or not 0 < int(fields[1]) < 2**31:
            raise PeerGone("BUG: Authentication client said it's PID 0")
        self.pid = int(fields[1])
        if self.login:
            self._register()
        self._ready = True
        if self._server.debug:
            self._server.event.debug(f"auth client connected (pid={self.pid})")

    def _register(self) -> None:
        old = self._server.login_sessions.get(self.pid)
        if old is not None and not old.closed:
            # It may have reconnected before we noticed that its old connection is dead.
            if not old.is_dead():
                raise PeerGone(f"BUG: Authentication client gave a PID {self.pid} of existing connection")
            old.gone()
        self._server.login_sessions[self.pid] = self

    def _log_line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        self._server.event.debug(f"client in: {text if self._server.debug_passwords else hide(text)}")


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _shown(line: bytes) -> str:
    return sanitize(hide(line.decode("utf-8", "replace")), MAX_LOGGED_LINE)

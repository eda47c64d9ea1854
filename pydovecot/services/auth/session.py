"""What connections of auth-client and auth-master share: lines in, whole answers out, one place to end."""

from collections.abc import Callable

from pydovecot.proto.auth.lines import BadLine, LineBuffer
from pydovecot.services.auth.server import AuthServer


class PeerGone(Exception):
    """The connection has to be closed; the text goes to the log."""


class Session:
    """Bytes in by `feed`, bytes out by `write`; a subclass says what a line means."""

    def __init__(
        self, server: AuthServer, write: Callable[[bytes], None], close: Callable[[], None], max_line: int
    ) -> None:
        self._server, self._write, self._close = server, write, close
        self._max_line = max_line
        self._lines = LineBuffer(max_line)
        self._out: list[str] | None = None
        self.closed = False

    def feed(self, data: bytes) -> None:
        """Take what the client sent. All answers that are ready at once go out in one write."""
        self._out = []
        try:
            for line in self._lines.feed(data):
                if self.closed:
                    break
                self._line(line)
        except BadLine:
            self._break(f"BUG: {self._who()} sent us more than {self._max_line} bytes")
        except PeerGone as exc:
            self._break(str(exc))
        finally:
            out, self._out = self._out, None
            if out:
                self._write("".join(out).encode("utf-8", "surrogateescape"))
        if self.closed:
            self._close()

    def _reply(self, text: str) -> None:
        if self.closed:
            return
        if self._out is not None:
            self._out.append(text)
        else:
            self._write(text.encode("utf-8", "surrogateescape"))

    def _line(self, line: bytes) -> None:
        raise NotImplementedError

    def _break(self, text: str) -> None:
        raise NotImplementedError

    def _who(self) -> str:
        raise NotImplementedError

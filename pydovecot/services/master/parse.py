"""Read the configuration in a short-lived child: the master itself never parses anything.

What comes back through a pipe is plain data, or the lines that say what is wrong.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from pydovecot.event.oneline import one_line

if TYPE_CHECKING:
    from pydovecot.settings.master import Configuration

MAX_RESULT: Final = 64 * 1024 * 1024
CONFIG_ERROR_STATUS: Final = 89


@dataclass(frozen=True, slots=True)
class Reader:
    """How to read a configuration: `load` in the child, `decode` in the master."""

    load: "Callable[[str], Configuration]"
    decode: "Callable[[str], Configuration]"


class ConfigFailedError(Exception):
    """The configuration is not usable; `lines` are for people, first one first."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def complain(lines: Sequence[str], stream: TextIO) -> None:
    """Say on a terminal what is wrong with the configuration, in the words of Dovecot's doveconf."""
    for number, line in enumerate(lines):
        print(f"doveconf: {'Error' if number else 'Fatal'}: {line}", file=stream)


class Parsing:
    """One reading on its way: the owner watches `fd`, calls `readable` until a result, reaps `pid`."""

    def __init__(self, reader: Reader, path: str, release_signals: Callable[[], None]) -> None:
        self._decode = reader.decode
        self._chunks: list[bytes] = []
        self.fd, write = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.fd)
            try:
                release_signals()
                _child(reader, path, write)
            finally:
                os._exit(0)
        os.close(write)

    def readable(self) -> "Configuration | None":
        """Take input; the configuration when it is complete. Raises ConfigFailedError."""
        chunk = os.read(self.fd, 1 << 20)
        self._chunks.append(chunk)
        if chunk:
            return None
        data = b"".join(self._chunks).decode("utf-8", "surrogateescape")
        if data.startswith("+"):
            return self._decode(data[1:])
        raise ConfigFailedError(data[1:].splitlines() or ["The configuration reader died without a word"])

    def wait(self) -> "Configuration":
        """Block until the result is there, and reap the child."""
        try:
            while True:
                configuration = self.readable()
                if configuration is not None:
                    return configuration
        finally:
            self.close()
            os.waitpid(self.pid, 0)

    def close(self) -> None:
        """Close `fd`, after its owner stopped watching it."""
        os.close(self.fd)


def _child(reader: Reader, path: str, write: int) -> None:
    try:
        text = "+" + reader.load(path).to_json()
    except Exception as exc:  # noqa: BLE001 - the edge of this child: told to the master
        lines = getattr(exc, "lines", None)
        text = "-" + "\n".join(lines if lines else [one_line(exc)])
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(write, data) :]

"""Asks the config service for settings: once per process, before the jail.

The protocol is Dovecot's own: `VERSION config 2 0`, `REQ module= service= ...`, then an answer that begins
with a line of flags (empty here), `key=value` lines, and an empty line. `filters=yes` is ours.
"""

import socket
from typing import Final

from pydovecot.base.tabescape import escape_text, unescape_text
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.parser import parse
from pydovecot.settings.wire import ServiceSettings, render

TIMEOUT_SECS: Final = 30.0  # the config process may be starting, or parsing
MAX_ANSWER: Final = 64 * 2**20


def fetch(path: str, *, service: str, protocol: str = "", timeout: float = TIMEOUT_SECS) -> ServiceSettings:
    """Settings of a service. Raises ConfigError when the config service gives none."""
    parts = ["REQ", f"module={escape_text(service)}", "filters=yes"]
    if protocol:
        parts.append(f"service={escape_text(protocol)}")
    request = "VERSION\tconfig\t2\t0\n" + "\t".join(parts) + "\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(path)
            sock.sendall(request.encode())
            answer = _receive(sock)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        text = f"Error reading configuration: net_connect_unix({path}) failed: {reason}"
        raise ConfigError(text=text) from exc
    return parse_answer(answer)


def from_file(path: str, *, service: str, protocol: str = "") -> ServiceSettings:
    """The same without a config service, read from the file itself: for programs started by hand.

    Raises ConfigError. The caller must be allowed to read the file, and the keys that it needs.
    """
    return ServiceSettings(render(parse(path, expand=True), service, protocol, filters=True))


def parse_answer(answer: bytes) -> ServiceSettings:
    """What `fetch` makes of the bytes up to and including the empty line."""
    text = answer.decode("utf-8", "surrogateescape")
    _flags, newline, rest = text.partition("\n")
    if not newline or not (rest.endswith("\n\n") or rest == "\n"):
        raise ConfigError(text="Error reading configuration: config service closed the connection")
    if rest.startswith("ERROR="):
        raise ConfigError(text=unescape_text(rest.removeprefix("ERROR=").partition("\n")[0]))
    return ServiceSettings(rest)


def _receive(sock: socket.socket) -> bytes:
    chunks = bytearray()
    while len(chunks) < MAX_ANSWER:
        data = sock.recv(65536)
        if not data:
            break
        chunks += data
        # The first line is empty too, so "\n" alone is not the end yet.
        if chunks.endswith(b"\n\n"):
            break
    return bytes(chunks)

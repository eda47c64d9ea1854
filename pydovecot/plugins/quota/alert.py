"""quota_warning's command: a socket below base_dir, behind which the administrator's script waits.

    service quota-warning {
      executable = script /usr/local/bin/quota-warning.sh
      unix_listener quota-warning { }
    }

The words behind the socket's name become the script's arguments; nobody waits for its end.
"""

import os
import socket
from collections.abc import Callable
from typing import Final

from pydovecot.base.tabescape import escape_text

CONNECT_SECS: Final = 1.0  # a mail must not wait long for a script that is stuck


def request(words: list[str]) -> bytes:
    """What the script service is told."""
    lines = ["VERSION\tscript\t4\t0", "noreply", *(escape_text(word) for word in words), "", ""]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def execute(base_dir: str, command: str, log_error: Callable[[str], None]) -> None:
    """Start the script. What fails is logged: the mail is saved already."""
    name, *words = command.split(" ")
    words = [word for word in words if word]
    path = os.path.join(base_dir, name.removeprefix("unix:"))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(CONNECT_SECS)
            sock.connect(path)
            sock.sendall(request(words))
            sock.shutdown(socket.SHUT_WR)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        log_error(f"quota: Failed to execute warning: net_connect_unix({path}) failed: {reason}")

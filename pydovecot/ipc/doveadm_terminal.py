"""doveadm's way to a process that has everything loaded already: the socket doveadm-server in base_dir.

The program sends its arguments, its folder and some of its environment, and with them its standard input,
output and error. The process answers DIRECT (nothing has happened: the program must do it by itself) or
TAKEN, and waits for YES: a program that has lost patience meanwhile does it by itself, and nothing is done
twice. Then it works on the terminal as if it were its own, and sends the exit status at the end. Ctrl-C ends
the program's half of the connection, which the process takes for SIGINT.

This side counts in milliseconds of start-up, so it imports next to nothing.
"""

import _socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = b"pydovecot-doveadm 1"
END = b"\0\n"  # no argument begins with a line feed behind a NUL: it cannot have a NUL
DIRECT = b"DIRECT\n"
TAKEN = b"TAKEN\n"
YES = b"YES\n"
PATIENCE_SECS = 3.0  # all processes of the server may be busy
TEMPFAIL = 75
MAX_REQUEST = 1 << 17
MAX_ANSWER = 64


def encode(argv: "Sequence[str]", folder: str, environment: "Mapping[str, str]") -> bytes:
    """A request."""
    pairs = [f"{name}={value}" for name, value in environment.items()]
    parts = [folder, str(len(pairs)), *pairs, *argv]
    return b"\0".join([VERSION, *(part.encode("utf-8", "surrogateescape") for part in parts)]) + END


def decode(request: bytes) -> "tuple[list[str], str, dict[str, str]] | None":
    """Arguments, folder, environment; None for anything else than what `encode` made."""
    version, *parts = request.removesuffix(END).split(b"\0")
    if version != VERSION or not request.endswith(END) or len(parts) < 2 or not parts[1].isdigit():
        return None
    folder, _, *rest = (part.decode("utf-8", "surrogateescape") for part in parts)
    count = int(parts[1])
    pairs = [pair.partition("=") for pair in rest[:count]]
    return rest[count:], folder, {name: value for name, _, value in pairs}


def hand_over(
    path: str, argv: "Sequence[str]", folder: str, environment: "Mapping[str, str]"
) -> "int | None":
    """Let the server run the command on this terminal: the exit status. None: it was not taken."""
    request = encode(argv, folder, environment)
    if len(request) > MAX_REQUEST:
        return None
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    status = b""
    try:
        sock.settimeout(PATIENCE_SECS)
        sock.connect(path)
        fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
        sent = sock.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
        while sent < len(request):
            sent += sock.send(request[sent:])
        if sock.recv(len(TAKEN)) != TAKEN:
            sock.close()
            return None
        sock.settimeout(None)
        sock.send(YES)
    except OSError:
        sock.close()
        return None  # without our YES nothing has happened
    try:
        while len(status) < MAX_ANSWER:
            try:
                data = sock.recv(MAX_ANSWER)
            except KeyboardInterrupt:
                sock.shutdown(_socket.SHUT_WR)  # a second one ends this program
                continue
            if not data:
                break
            status += data
    except OSError:
        pass  # killed: what it has done is not known
    finally:
        sock.close()
    number = status.rstrip(b"\n")
    return int(number) if number.isdigit() else TEMPFAIL

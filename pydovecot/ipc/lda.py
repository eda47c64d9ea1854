"""dovecot-lda's way to a process that has everything loaded already: the socket `lda` in base_dir.

The program sends its command line and the descriptor that has the message. The process answers DIRECT
(nothing was read: the program must deliver by itself), or TAKEN, and reads when the program has said yes to
that: one that did not wait reads the message itself, and two must not. When all is read it says ALIVE,
and delivers when the program says yes again: one that is killed takes its end of a pipe with it, and what was
read is no whole message then. Last come the exit status and what belongs on standard error. When the process
dies in between nobody knows what was read: EX_TEMPFAIL, and the MTA tries again.

This side counts in milliseconds of start-up, so it imports next to nothing. `_socket` is what `socket` is
made of, without its enums and selectors.
"""

import _socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = b"pydovecot-lda 1"
END = b"\0\n"  # no field begins with a line feed
DIRECT = b"DIRECT\n"
TAKEN = b"TAKEN\n"
ALIVE = b"ALIVE\n"
YES = b"\n"
TEMPFAIL = 75
MAX_ANSWER = 1 << 16
TAKEN_SECS = 10.0  # a server that is too busy is not waited for


def encode(fields: "Mapping[str, str]") -> bytes:
    """A request. Values hold no NUL: they were arguments of a program."""
    parts = [f"{name}={value}".encode("utf-8", "surrogateescape") for name, value in fields.items()]
    return b"\0".join([VERSION, *parts]) + END


def decode(request: bytes) -> dict[str, str] | None:
    """What `encode` made; None for anything else."""
    version, *parts = request.removesuffix(END).split(b"\0")
    if version != VERSION or not request.endswith(END):
        return None
    pairs = [part.decode("utf-8", "surrogateescape").partition("=") for part in parts]
    return {name: value for name, _, value in pairs}


def answer(status: int, text: str) -> bytes:
    """The end of a delivery."""
    return f"{status} {text}\n".encode("utf-8", "surrogateescape")


def hand_over(path: str, fields: "Mapping[str, str]", fd: int) -> tuple[int, str] | None:
    """Let the server deliver the message that can be read from `fd`: exit status and text for standard error.

    None: it was not taken, and nothing was read.
    """
    request = encode(fields)
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    reply = b""
    try:
        sock.settimeout(TAKEN_SECS)
        sock.connect(path)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))
        if sock.sendmsg([request], [rights]) != len(request):
            return None
        while len(reply) < MAX_ANSWER and (data := sock.recv(4096)):
            reply += data
            if reply in (TAKEN, TAKEN + ALIVE):
                sock.settimeout(None)
                sock.send(YES)
    except OSError:
        pass  # what came before counts
    finally:
        sock.close()
    if not reply.startswith(TAKEN):
        return None
    status, _, text = reply.removeprefix(TAKEN).removeprefix(ALIVE).partition(b" ")
    if not status.isdigit() or not text.endswith(b"\n"):
        return TEMPFAIL, ""
    return int(status), text[:-1].decode("utf-8", "surrogateescape")

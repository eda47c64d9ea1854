"""Who is at the other end of a UNIX socket, as the kernel knows it."""

import socket
import struct
from typing import Final

_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred


def peer_credentials(sock: socket.socket) -> tuple[int, int, int]:
    """pid, uid and gid of the peer when it connected; zeros where the system does not say."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return 0, 0, 0
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return pid, uid, gid

"""File descriptors sent over UNIX sockets (SCM_RIGHTS), together with the bytes that belong to them."""

import array
import os
import socket
from collections.abc import Sequence
from typing import Final

MAX_FDS: Final = 4  # nobody sends more than a client, its input and an output at once
_FD_SIZE: Final = array.array("i").itemsize


def send_fds(sock: socket.socket, data: bytes, fds: Sequence[int]) -> int:
    """Send `fds` with the first bytes of `data`; return how many bytes went out.

    `data` must not be empty: without a byte the kernel carries no descriptors on a stream socket. The
    descriptors are sent whole once this returns; send the rest of `data` without them.
    """
    if not data:
        raise ValueError("descriptors need at least one byte of data")
    rights = array.array("i", fds).tobytes()
    return sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if fds else [])


def recv_fds(sock: socket.socket, size: int, max_fds: int = 1) -> tuple[bytes, list[int]]:
    """Receive up to `size` bytes and the descriptors that came with them, close-on-exec.

    Empty data is the end of the stream. Descriptors beyond `max_fds` are closed, so that no peer can fill
    our table.
    """
    room = socket.CMSG_SPACE(MAX_FDS * _FD_SIZE)
    data, ancillary, _flags, _address = sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = payload[: len(payload) - len(payload) % _FD_SIZE]
            fds.extend(array.array("i", whole))
    for surplus in fds[max_fds:]:
        os.close(surplus)
    return data, fds[:max_fds]


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that were received and are not wanted."""
    for fd in fds:
        os.close(fd)

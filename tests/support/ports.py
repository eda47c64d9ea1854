"""Ports on 127.0.0.1 that nobody else takes, and waiting for a server behind them.

Two test runs, or two workers of one, must never give out the same port, and no connection that somebody
opens may have it as its own end. So ports come from below the kernel's ephemeral range, in blocks; a block
belongs to the process that holds the abstract UNIX socket of its number, which the kernel frees at its end.
"""

import itertools
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

FIRST = 10_000
BLOCK = 250
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


class _Block:
    """This process's ports, given out in turn: one that was just used comes back last."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._claim = socket.socket(socket.AF_UNIX)
        first = self._take()
        self._ports: Iterator[int] = itertools.cycle(range(first, first + BLOCK))

    def _take(self) -> int:
        blocks = list(range(FIRST, int(_EPHEMERAL.read_text().split()[0]) - BLOCK, BLOCK))
        # Not always the same first: a block that ended a moment ago has connections in TIME_WAIT.
        random.SystemRandom().shuffle(blocks)
        for first in blocks:
            try:
                self._claim.bind(f"\0pydovecot-test-ports-{first}")
            except OSError:
                continue
            return first
        raise RuntimeError("all blocks of ports are taken")

    def free(self) -> int:
        """The next port that nobody listens on."""
        for port in itertools.islice(self._ports, BLOCK):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        raise RuntimeError("all ports of the block are taken")


_block: _Block | None = None


def free_ports(count: int) -> list[int]:
    """Ports for this process alone, all different."""
    global _block
    if _block is None or _block.owner != os.getpid():
        _block = _Block()
    return [_block.free() for _ in range(count)]


def wait_for_greeting(port: int, timeout: float = 60.0) -> bytes:
    """Connect until the server says something; its first bytes. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
                data = sock.recv(4096)
                if data:
                    return data
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody answers on port {port}")
        time.sleep(0.03)

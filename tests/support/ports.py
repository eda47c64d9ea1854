"""Free ports on 127.0.0.1 and waiting for a server behind them."""

import socket
import time


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    socks = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        socks.append(sock)
    ports = [int(sock.getsockname()[1]) for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def wait_for_greeting(port: int, timeout: float = 15.0) -> bytes:
    """Connect until the server says something; its first bytes. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2.0) as sock:
                data = sock.recv(4096)
                if data:
                    return data
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody answers on port {port}")
        time.sleep(0.03)

"""Listeners with haproxy = yes: the proxy's header comes before the role sees the client.

A proxy that is not in haproxy_trusted_networks is refused; the header must come within haproxy_timeout.
"""

import asyncio
import socket
import time
from collections.abc import Callable

from pydovecot.base.networks import in_networks
from pydovecot.proto import haproxy
from pydovecot.proto.haproxy import BadHeader, Header
from pydovecot.runtime.context import Accepted, Proxied
from pydovecot.runtime.process import Process
from pydovecot.runtime.settings import HaproxySettings


class _Gone(Exception):
    """The proxy has closed the connection."""


class _Reader:
    """Takes the header from the socket, and not a byte of the client's behind it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._taken = b""

    def look(self) -> Header | None:
        """The header, or None: more is to come. Raises BadHeader, _Gone."""
        try:
            data = self._sock.recv(haproxy.MAX_V2, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as exc:
            raise _Gone(exc.strerror) from exc
        if not data:
            raise _Gone("Connection reset by peer")  # Dovecot's words for it
        header = haproxy.parse(self._taken + data)
        # A header that is not whole yet has no client's bytes behind it.
        count = len(data) if header is None else header.size - len(self._taken)
        self._taken += self._sock.recv(count)
        return header


def is_trusted(process: Process, accepted: Accepted) -> bool:
    """Whether this proxy may speak for others; logged when not."""
    settings = process.settings.get(HaproxySettings)
    trusted, broken = in_networks(accepted.remote_ip, settings.haproxy_trusted_networks)
    if broken:
        process.event.error(f"haproxy_trusted_networks: Invalid network '{broken}'")
    if not trusted:
        process.event.warning(f"haproxy: Client not trusted (rip={accepted.remote_ip})")
    return trusted


def _timeout(process: Process) -> float:
    return float(process.settings.get(HaproxySettings).haproxy_timeout)


def _believe(accepted: Accepted, header: Header) -> None:
    accepted.proxied = Proxied(
        header.tls,
        header.hostname,
        header.certificate_name,
        accepted.local_ip,
        accepted.local_port,
        accepted.remote_ip,
        accepted.remote_port,
    )
    if header.remote_ip:
        accepted.remote_ip, accepted.remote_port = header.remote_ip, header.remote_port
        accepted.local_ip, accepted.local_port = header.local_ip, header.local_port


def _complain(process: Process, rip: str, text: str, facts: str) -> None:
    process.event.error(f"{text} ({facts}{', ' if facts else ''}rip={rip})")


def _take(process: Process, accepted: Accepted, reader: _Reader) -> bool | None:
    """True: the header was read. None: more is to come. False: this connection must go; why is logged."""
    rip = accepted.remote_ip
    try:
        header = reader.look()
    except BadHeader as exc:
        _complain(process, rip, *exc.args)
        return False
    except _Gone as exc:
        process.event.info(f"haproxy: Client disconnected (rip={rip}): {exc}")
        return False
    if header is None:
        return None
    if header.complaint is not None:
        _complain(process, rip, *header.complaint)
    _believe(accepted, header)
    return True


def _timed_out(process: Process, accepted: Accepted) -> None:
    process.event.error(f"haproxy: Client timed out (rip={accepted.remote_ip})")


def introduced(process: Process, accepted: Accepted) -> bool:
    """ONE_CLIENT: wait for the header; False: the connection must be closed."""
    if not is_trusted(process, accepted):
        return False
    reader, end = _Reader(accepted.sock), time.monotonic() + _timeout(process)
    while not process.stopping:
        left = end - time.monotonic()
        if left <= 0:
            _timed_out(process, accepted)
            return False
        if process.wait_readable([accepted.sock.fileno()], left):
            done = _take(process, accepted, reader)
            if done is not None:
                return done
    return False


class Introduction:
    """MANY_CLIENTS: waits for one connection's header in the loop, then calls `then(read)` once."""

    def __init__(
        self,
        process: Process,
        loop: asyncio.AbstractEventLoop,
        accepted: Accepted,
        then: Callable[[bool], None],
    ) -> None:
        self._process, self._loop, self._accepted, self._then = process, loop, accepted, then
        self._reader = _Reader(accepted.sock)
        self._fd = accepted.sock.fileno()
        loop.add_reader(self._fd, self._readable)
        self._timer = loop.call_later(_timeout(process), self._late)

    def _readable(self) -> None:
        done = _take(self._process, self._accepted, self._reader)
        if done is not None:
            self._end(done)

    def _late(self) -> None:
        _timed_out(self._process, self._accepted)
        self._end(False)

    def abort(self) -> None:
        """The server stops."""
        self._end(False)

    def _end(self, read: bool) -> None:
        self._loop.remove_reader(self._fd)
        self._timer.cancel()
        self._then(read)

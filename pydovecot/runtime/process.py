"""One child process: its context, its sockets, its signals; the parts that both families share.

Three steps: `prepare` (settings; in a template once for many processes), `begin` (this process's own number,
log, pipes), `start` (jail and the rest).
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

from setproctitle import setproctitle

from pydovecot.base import confine, privileges
from pydovecot.event.event import Event
from pydovecot.event.oneline import one_line
from pydovecot.event.sinks import PipeSink, StreamSink
from pydovecot.model.errors import InternalError
from pydovecot.runtime import child
from pydovecot.runtime.child import ChildParams, Listener
from pydovecot.runtime.context import Accepted
from pydovecot.runtime.spec import ServiceSpec
from pydovecot.runtime.status import StatusPipe
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.view import SettingsView

MAPPED_IPV4: Final = "::ffff:"
ACCEPT_PAUSE_SECS: Final = 1.0


class Process:
    """Implements `runtime.context.Context`. Made after the fork, in the child."""

    def __init__(self, spec: ServiceSpec, params: ChildParams) -> None:
        self.spec = spec
        self.params = params
        self.service = params.service
        self.protocol = params.protocol
        self.generation = params.generation
        self.client_limit = params.client_limit
        self.shutdown_clients = params.shutdown_clients
        self.argv = params.argv
        self.base_dir = params.base_dir
        self.config_file = params.config_file
        self.log_target = params.log
        self.listeners: Sequence[Listener] = params.listeners
        self.state: Any = None
        self.shared: Any = None
        self.stopping = False
        self.closing = False
        self.last = False
        self.sink = PipeSink(child.LOG_FD, f"{params.service}: ")
        # The log process has nobody to write to but the master's stderr, until its files are open.
        sink = StreamSink("log: ") if params.type == "log" else self.sink
        self.event = Event(sink, debug=params.log_debug)
        self.available = params.client_limit
        self.handled = 0
        self.status = StatusPipe(child.STATUS_FD, params.client_limit, params.generation)
        self.sockets: dict[int, tuple[socket.socket, Listener]] = {}
        self._jailed = False
        self._settings: SettingsView | None = None
        self._service_settings: Any = None
        self._poll = select.poll()
        self._poll_key: tuple[int, ...] = ()
        self._wake_read = self._wake_write = -1

    # --- Context -------------------------------------------------------------------------------------

    @property
    def clients(self) -> int:
        """Clients being served now."""
        return self.client_limit - self.available

    @property
    def settings(self) -> SettingsView:
        """Settings of this service; only for specs that need them."""
        if self._settings is None:
            raise RuntimeError(f"service {self.service} has asked for no settings")
        return self._settings

    def settings_for(self, *, local_ip: str = "", remote_ip: str = "", local_name: str = "") -> SettingsView:
        """Settings of one connection."""
        view: SettingsView = self._service_settings.view_for(
            local_ip=local_ip, remote_ip=remote_ip, local_name=local_name
        )
        return view

    def run_path(self, *parts: str) -> str:
        """Path of a socket of ours, as this process sees it now (before or inside its jail)."""
        outside = "/".join((self.base_dir, *parts))
        root = self.params.privileges.chroot
        if not self._jailed or not root:
            return outside
        if outside.startswith(root + "/"):
            return outside[len(root) :]
        raise RuntimeError(f"{outside} is outside of the chroot {root}: open it in before_jail")

    def set_title(self, text: str) -> None:
        """`pydovecot/<service> [text]`, without the text unless verbose_proctitle."""
        if self.params.verbose_proctitle:
            setproctitle(f"pydovecot/{self.service} [{text}]" if text else f"pydovecot/{self.service}")

    def anvil_fd(self) -> int:
        """The write end of the pipe to anvil."""
        return -1 if self.params.type in ("log", "config", "anvil") else child.ANVIL_FD

    def last_client(self) -> None:
        """End after the present client."""
        self.last = True

    def set_log_prefix(self, prefix: str, *, announce: bool = True) -> None:
        """Prefix of all lines from now on."""
        prefix = prefix or f"{self.service}: "
        if prefix != self.sink.prefix:
            self.sink.set_prefix(prefix, announce=announce)

    def done(self, accepted: Accepted) -> None:
        """MANY_CLIENTS overrides this."""
        raise RuntimeError("done() belongs to services of many clients")

    def finish(self) -> None:
        """MANY_CLIENTS overrides this."""
        self.closing = True

    def wait_readable(self, fds: Sequence[int], timeout: float | None = None) -> set[int]:
        """Wait for `fds`, the master's signals and the dead pipe."""
        if self.stopping:
            return set()
        millisecs = None if timeout is None else max(0, int(timeout * 1000 + 0.999))
        ready = {fd for fd, _mask in self._poll_of(fds).poll(millisecs)}
        if self._wake_read in ready:
            self.drain_wakeup()
        if child.DEAD_FD in ready and not self.closing:
            self.closing = True
            self.stop_listening()  # a new master must find nobody on its sockets
        return set() if self.stopping else ready.intersection(fds)

    def _poll_of(self, fds: Sequence[int]) -> "select.poll":
        """The poll object of the last wait is kept: most waits are for the same client."""
        key = (self.closing, *fds)
        if key != self._poll_key:
            self._poll, self._poll_key = select.poll(), key
            for fd in (*fds, self._wake_read, *(() if self.closing else (child.DEAD_FD,))):
                self._poll.register(fd, select.POLLIN)
        return self._poll

    # --- life ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """What is the same for all processes of this service: listeners, settings, before_fork."""
        self._catch_signals()
        for listener in self.params.listeners:
            if listener.kind in ("unix", "inet"):
                self.sockets[listener.fd] = (socket.socket(fileno=listener.fd), listener)
        if self.spec.needs_settings:
            self._fetch_settings()
        self.spec.before_fork(self)

    def begin(self, number: int) -> None:
        """Be process `number` of the master, forked just now or not at all."""
        self.generation = number
        self.sink.pid = os.getpid()
        self.status = StatusPipe(child.STATUS_FD, self.client_limit, number)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def start(self) -> None:
        """Everything before the first client: before_jail, jail, after_jail."""
        setproctitle(f"pydovecot/{self.service}")
        self.spec.before_jail(self)
        privileges.drop(self.params.privileges)
        self._jailed = bool(self.params.privileges.chroot)
        self.spec.after_jail(self)
        if not self.spec.starts_programs:
            confine.no_new_privileges()
        if self.spec.only_moves_bytes and not confine.only_move_bytes():
            self.event.debug("The kernel does not filter system calls")
        self.status.flush(self.available)

    def _fetch_settings(self) -> None:
        from pydovecot.settings import client

        self._service_settings = client.fetch(
            self.run_path("config"), service=self.service, protocol=self.protocol
        )
        self._settings = self._service_settings.view

    def accept(self, sock: socket.socket, listener: Listener) -> Accepted | None:
        """Take one connection; None when another process was faster or the client is gone already."""
        try:
            client, peer = sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return None
        except OSError as exc:
            # No descriptors or no memory: the client waits in the queue, and we do not ask at full speed.
            self.event.error(f"accept() failed: {exc.strerror}")
            self.pause_accepting()
            return None
        if listener.kind == "unix":
            return Accepted(client, listener.name)
        try:
            here = client.getsockname()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            client.close()
            return None
        ends = (_ip(here[0]), here[1], _ip(peer[0]), peer[1])
        return Accepted(client, listener.name, listener.ssl, *ends, haproxy=listener.haproxy)

    def pause_accepting(self) -> None:
        """accept() failed: wait before the next attempt."""
        time.sleep(ACCEPT_PAUSE_SECS)

    def stop_listening(self) -> None:
        """Accept nothing more."""
        for sock, _listener in self.sockets.values():
            sock.close()
        self.sockets = {}

    def drain_wakeup(self) -> None:
        """Empty the pipe that signals write to."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 512):
                pass

    def _catch_signals(self) -> None:
        """Done once, before the forks of a template: Python's signal functions are slow."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._on_signal)
        for ignored in (signal.SIGPIPE, signal.SIGALRM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._wake_read >= 0:  # a template is not concerned
            self.signalled(number)

    def signalled(self, number: int) -> None:
        """TERM: finish. INT: idle kill, or Ctrl-C in the foreground (where the master stops us anyway)."""
        if number == signal.SIGTERM:
            self.stopping = self.closing = True
        elif number == signal.SIGINT and self.available == self.client_limit:
            self.closing = self.closing or not self.spec.stays_when_idle

    def crashed(self, where: str, exc: BaseException) -> None:
        """Log an exception that reached the edge."""
        self.event.exception(where, exc)

    def fatal(self, exc: BaseException) -> None:
        """Log why this process cannot go on: where in our code matters only when it is our mistake."""
        expected = isinstance(exc, (InternalError, ConfigError))
        self.event.fatal(str(exc) if expected else one_line(exc))


def _ip(text: str) -> str:
    if text.startswith(MAPPED_IPV4) and "." in text:
        return text[len(MAPPED_IPV4) :]
    return text.partition("%")[0]


def flush_std() -> None:
    """Push out what a library printed, before `os._exit`."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()

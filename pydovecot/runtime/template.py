"""A template: a process that is ready to be many, and forks one whenever the master asks.

Processes that end after one client (`service_count = 1`, Dovecot's default for login and mail processes)
would each ask for their settings, parse them, load keys. The template does it once; its forks begin with it.

Runs as: root (or whoever runs the server), before any jail. It accepts no connection, reads nothing but the
master's requests, and holds no client's data.

Requests are lines on a socket: `F <number>`. Answers: `P <number> <pid>` (0: the system refused), and
`E <pid> <status>` when a child has ended: the template is its parent.
"""

import errno
import gc
import os
import select
import signal
import socket
from typing import Final

from setproctitle import setproctitle

from pydovecot.runtime import child
from pydovecot.runtime.child import ChildParams
from pydovecot.runtime.many import ManyClients
from pydovecot.runtime.one import OneClient
from pydovecot.runtime.service import guard, make_process, run_process
from pydovecot.runtime.spec import ServiceSpec

MAX_REQUEST: Final = 64


def run_template(spec: ServiceSpec, params: ChildParams) -> int:
    """Be the template. The control socket has the number after the last listener's."""
    control = socket.socket(fileno=child.FIRST_LISTENER_FD + len(params.listeners))
    setproctitle(f"pydovecot/template {params.service}")
    process = make_process(spec, params)
    if status := guard(process, process.prepare):
        return status
    gc.collect()
    gc.freeze()  # what the settings brought is shared by all forks as well
    return Template(process, control).run()


class Template:
    """The loop: requests from the master, ends of children."""

    def __init__(self, process: ManyClients | OneClient, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._buffer = b""

    def run(self) -> int:
        """Until the master closes the socket or retires this generation; children may live on without us."""
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        for fd in (self._control.fileno(), self._wake_read, child.DEAD_FD):
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _mask in poll.poll()}
            if self._wake_read in ready:
                self._reap()
            if self._control.fileno() in ready:
                status = self._requests()
                if status is not None:
                    return status
            if child.DEAD_FD in ready:
                return 0

    def _requests(self) -> int | None:
        """Fork what is asked for. Not None: this process (template or fork) has to end with that status."""
        data = self._control.recv(4096)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if not data or len(self._buffer) > MAX_REQUEST:
            return 0
        for line in lines:
            number = int(line.removeprefix(b"F "))
            try:
                pid = os.fork()
            except OSError as exc:
                self._tell(b"P %d 0 %d\n" % (number, exc.errno or errno.EAGAIN))
                continue
            if pid == 0:
                return self._child(number)
            self._tell(b"P %d %d\n" % (number, pid))
        return None

    def _child(self, number: int) -> int:
        for fd in (self._control.detach(), self._wake_read, self._wake_write):
            os.close(fd)
        self._process.begin(number)
        return run_process(self._process)

    def _reap(self) -> None:
        try:
            while os.read(self._wake_read, 512):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._tell(b"E %d %d\n" % (pid, status))

    def _tell(self, line: bytes) -> None:
        """The master always reads; when it is gone the next poll says so."""
        try:
            self._control.sendall(line)
        except OSError:
            return

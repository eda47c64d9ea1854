"""The master's side of a template (runtime.template): ask for processes, hear of their ends."""

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pydovecot.event.event import Level
from pydovecot.services.master.exits import Ended
from pydovecot.services.master.world import World

if TYPE_CHECKING:
    from pydovecot.services.master.service import Service

MAX_ANSWER: Final = 4096


class Nursery:
    """One service's template: started at the first request, started again when it has died."""

    def __init__(self, world: World, service: "Service", start: Callable[[int], int]) -> None:
        self._world = world
        self._service = service
        self._start = start  # fork a template whose control socket is this descriptor; returns its pid
        self._control: socket.socket | None = None
        self._buffer = b""
        self.pid = 0

    def request(self, number: int) -> bool:
        """Ask for process `number`; the answer comes to `Service.forked` or `Service.not_forked`."""
        if self._control is None:
            self._begin()
        assert self._control is not None
        try:
            return self._control.send(b"F %d\n" % number) > 0
        except OSError:
            return False  # it has died; its end is on the way to us

    def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.pid = self._start(theirs.fileno())
        ours.setblocking(False)
        self._control = ours
        self._world.nurseries[self.pid] = self
        self._world.loop.add_reader(ours.fileno(), self._readable)

    def _readable(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            verb, *numbers = line.split(b" ")
            first, second = int(numbers[0]), int(numbers[1])
            if verb == b"E":
                self._world.ended(first, second)
            elif second:
                self._service.forked(first, second)
            else:
                self._service.not_forked(first, os.strerror(int(numbers[2])))

    def drain(self) -> None:
        """Take in all answers that are there already."""
        while self._control is not None and _more(self._control):
            self._readable()

    def close(self) -> None:
        """No more requests; the template ends, its children live on as ours."""
        control, self._control, self._buffer = self._control, None, b""
        if control is not None:
            self._world.loop.remove_reader(control.fileno())
            control.close()

    def ended(self, status: int) -> None:
        """The template has ended; what it was asked for will not come."""
        end = Ended(self.pid, status)
        self.drain()
        self.close()
        if not end.ok:
            text = f"{end.describe(self._service.name)} (template)"
            self._world.about(self._service.log_fd, Level.FATAL, self.pid, text)
        self.pid = 0
        self._service.template_ended(end.ok)


def _more(sock: socket.socket) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True

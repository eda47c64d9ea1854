"""What all services of a master share: loop, roles, log, anvil's pipes, the counter of processes."""

import os
import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydovecot.event import wire
from pydovecot.event.event import Event, Level
from pydovecot.runtime.spec import ServiceSpec
from pydovecot.services.master.loop import Loop

if TYPE_CHECKING:
    from pydovecot.services.master.nursery import Nursery
    from pydovecot.services.master.process import Child
    from pydovecot.services.master.service import Service


@dataclass(slots=True)
class Pipe:
    """Both ends of a pipe, as descriptors that exec closes."""

    read: int
    write: int

    @classmethod
    def make(cls) -> "Pipe":
        """A new pipe."""
        return cls(*os.pipe2(os.O_CLOEXEC))

    def close(self) -> None:
        """Close what is open."""
        self.close_write()
        if self.read >= 0:
            os.close(self.read)
            self.read = -1

    def close_write(self) -> None:
        """Close the write end."""
        if self.write >= 0:
            os.close(self.write)
            self.write = -1


@dataclass(slots=True)
class World:
    """One master."""

    loop: Loop
    event: Event
    roles: Mapping[str, ServiceSpec]
    null: int
    root: bool
    image_size: int = 0  # address space of the master: vsz_limit counts from there
    env: dict[str, str] = field(default_factory=dict)
    ssl_key_password: str = field(default="", repr=False)
    nurseries: "dict[int, Nursery]" = field(default_factory=dict)
    on_ended: Callable[[int, int], None] | None = None
    children: "dict[int, tuple[Service, Child]]" = field(default_factory=dict)
    counter: int = 0
    forks: int = 0  # a measure of how busy we are
    anvil_master: Pipe = field(default_factory=Pipe.make)
    anvil_shared: Pipe = field(default_factory=Pipe.make)

    def ended(self, pid: int, status: int) -> None:
        """A process of some service has ended, as its parent (we or a template) says."""
        if self.on_ended is not None:
            self.on_ended(pid, status)

    def next_number(self) -> int:
        """Number of the next process."""
        self.counter += 1
        return self.counter

    def anvil_kill(self, pid: int) -> None:
        """A process is dead: anvil forgets its sessions."""
        self.write(self.anvil_master.write, b"KILL\t%d\n" % pid)

    def about(self, log: int, level: Level, pid: int, text: str) -> None:
        """Log a line about a child on its service's log pipe, so that it gets the prefix the child had."""
        self.write(log, wire.encode_for(level, pid, f"master: {text}"))

    def write(self, fd: int, data: bytes) -> None:
        """Write to a pipe of ours if that does not block: the master never waits for a child."""
        if fd < 0:
            return
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        if any(mask & select.POLLOUT for _fd, mask in poll.poll(0)):
            try:
                os.write(fd, data)
            except OSError:
                return


def image_size() -> int:
    """Our address space in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")

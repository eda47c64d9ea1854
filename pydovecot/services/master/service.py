"""One service: how many processes it has, when it gets another one, when one must go.

The rules are Dovecot's (service-monitor): processes accept for themselves; the master listens only while no
process has room. Names of counters are those of `doveadm service status`.
"""

import itertools
import os
import random
import signal
import struct
import time
from typing import TYPE_CHECKING, Final

from pydovecot.base.memory_file import memory_file
from pydovecot.event import wire
from pydovecot.event.event import Level
from pydovecot.runtime.status import RECORD
from pydovecot.services.master.exits import Ended
from pydovecot.services.master.loop import Timer
from pydovecot.services.master.process import Child
from pydovecot.services.master.world import Pipe, World

if TYPE_CHECKING:
    from pydovecot.services.master.generation import Generation
    from pydovecot.services.master.nursery import Nursery
    from pydovecot.settings.master import ServiceConfig

THROTTLE_MIN_SECS: Final = 2  # Dovecot: SERVICE_STARTUP_FAILURE_THROTTLE_MIN_MSECS
THROTTLE_MAX_SECS: Final = 60
FIRST_STATUS_SECS: Final = 30
DROP_WARN_SECS: Final = 60
DROP_AFTER_SECS: Final = 10
FAILURES_IN_SEC: Final = 10
PREFORK_AT_ONCE: Final = 10
ROOM_SECS: Final = 0.02  # for login processes that were asked to drop their client; then the next are asked
MAX_ASKED: Final = 8  # of them at once
LOGIN_NOTIFY_SECS: Final = 2  # USR1 to login processes not more often
INFINITE: Final = 0xFFFFFFFF


class Service:
    """The state of one service of one generation."""

    def __init__(self, world: World, generation: "Generation", config: "ServiceConfig") -> None:
        self.world = world
        self.generation = generation
        self.config = config
        self.name = config.name
        self.status = Pipe.make()
        os.set_blocking(self.status.read, False)
        os.set_blocking(self.status.write, False)
        self.log = Pipe.make()
        self.notify_fd = -1
        if config.type == "login":
            self.notify_fd = memory_file(f"{config.name}-notify")
        self.fds: list[int] = []  # listening descriptors, in the order of config.listeners
        self.children: dict[int, Child] = {}
        self.pending: dict[int, Child] = {}  # by number: asked for, pid not known yet
        self.nursery: Nursery | None = None
        self.avail = 0
        self.count_total = 0
        self.listening = False
        self.listen_pending = False
        self.stopped = False  # `doveadm service stop`
        self.throttle_secs = THROTTLE_MIN_SECS
        self.exit_failure_last = 0
        self.exit_failures_in_sec = 0
        self.last_drop_warning = 0.0
        self._throttle: Timer | None = None
        self._drop: Timer | None = None
        self._prefork: Timer | None = None
        self._notify: Timer | None = None
        self._notified = False
        self._asking, self._last_asked = 1, 0.0

    # --- starting and stopping ------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """True while this service may start processes."""
        return not self.generation.retired and not self.stopped

    def start(self) -> None:
        """Watch status messages and listeners, prefork."""
        self.world.loop.add_reader(self.status.read, self._status_readable)
        self.start_extra()
        self.listen_start()

    def retire(self) -> None:
        """Start nothing more; the processes that live are left to end."""
        self.listen_stop()
        self.world.loop.remove_reader(self.status.read)
        # A template ends by itself (dead pipe); until then it may have ends of children to tell.
        for timer in (self._throttle, self._prefork, self._notify):
            if timer is not None:
                timer.cancel()
        self._throttle = self._prefork = self._notify = None
        for child in self.children.values():
            child.cancel_timers()

    def close(self) -> None:
        """Close the descriptors that children share; listeners belong to the generation."""
        self.status.close()
        self.log.close_write()
        if self.notify_fd >= 0:
            os.close(self.notify_fd)
            self.notify_fd = -1

    @property
    def count(self) -> int:
        """Processes that are there or on their way."""
        return len(self.children) + len(self.pending)

    @property
    def log_fd(self) -> int:
        """The pipe for lines about this service."""
        return self.generation.log_of(self)

    def signal(self, number: int) -> None:
        """Send a signal to all processes."""
        for pid in list(self.children):
            self._kill(pid, number)

    def _kill(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except OSError as exc:
            self.error(f"kill({pid}, {number}) failed: {exc.strerror}")

    def error(self, text: str) -> None:
        """An error line of the master about this service."""
        self.world.event.error(f"service({self.name}): {text}")

    # --- listening in place of the processes ----------------------------------------------------------

    def listen_start(self) -> None:
        """Listen ourselves, unless a process has room or we have given up for a while."""
        if self.avail > 0 or not self.active or self._throttle is not None:
            return
        if self.count >= self.config.process_limit and self.listen_pending:
            return
        self._listen_now()

    def _listen_now(self) -> None:
        self.listening, self.listen_pending = True, False
        if self._drop is not None:
            self._drop.cancel()
            self._drop = None
        for fd in self.fds:
            self.world.loop.add_reader(fd, self._connection_waits)

    def listen_stop(self) -> None:
        """Leave the listeners to the processes."""
        self.listening = self.listen_pending = False
        if self._drop is not None:
            self._drop.cancel()
            self._drop = None
        for fd in self.fds:
            self.world.loop.remove_reader(fd)

    def _connection_waits(self) -> None:
        if not self.listening or self.avail > 0:
            return
        if self.count >= self.config.process_limit:
            self._full()
        elif self.create():
            self.listen_stop()
        else:
            self.throttle()

    def _full(self) -> None:
        """No process has room and no more may be started: wait, then drop."""
        now = time.time()
        if self.last_drop_warning + DROP_WARN_SECS < now:
            self.last_drop_warning = now
            self.world.event.warning(
                f"service({self.name}): {self._limit_words()} reached, client connections are being dropped"
            )
        if self.config.type == "login":
            self.login_notify(full=True)
        pending = self.listen_pending
        self.listen_stop()
        if self._ask_for_room():
            self._drop = self.world.loop.call_later(ROOM_SECS, self._listen_now)
            return
        self.listen_pending = True
        if pending and self.config.type != "login":
            self._drop_all()
            return
        self._drop = self.world.loop.call_later(DROP_AFTER_SECS, self._drop_timeout)

    def _ask_for_room(self) -> bool:
        """Ask the oldest login processes that were not asked yet to drop their client; False: all were asked.

        Only those that serve so many clients and end: others listen, and see for themselves that they are
        full. One is asked, and more each time while it goes on.
        """
        if self.config.type != "login" or not self.config.service_count:
            return False
        now = time.monotonic()
        self._asking = min(2 * self._asking, MAX_ASKED) if now - self._last_asked < 1 else 1
        self._last_asked = now
        full = (one for one in self.children.values() if not one.available and one.first_status is None)
        found = list(itertools.islice((one for one in full if not one.asked), self._asking))
        for child in found:  # oldest first
            child.asked = True
            self._kill(child.pid, signal.SIGUSR2)
        if not found:
            for child in self.children.values():
                child.asked = False
        return bool(found)

    def _limit_words(self) -> str:
        config = self.config
        if config.process_limit > 1:
            return f"process_limit ({config.process_limit})"
        if config.service_count == 1:
            return "client_limit/service_count (1)"
        return f"client_limit ({config.client_limit})"

    def _drop_timeout(self) -> None:
        self._drop = None
        self._drop_all()

    def _drop_all(self) -> None:
        """Close the connections that wait, so that clients learn it; then go on listening."""
        self.generation.drop_waiting(self.fds)
        self._listen_now()
        self.listen_pending = True

    def login_notify(self, *, full: bool) -> None:
        """Tell login processes whether all are full, by the offset of their shared file (features F-05)."""
        if self.notify_fd < 0:
            return
        os.lseek(self.notify_fd, int(full), os.SEEK_SET)
        if full != self._notified and self._notify is None:
            self._notify = self.world.loop.call_later(0, self._notify_now)

    def _notify_now(self) -> None:
        self._notified = os.lseek(self.notify_fd, 0, os.SEEK_CUR) == 1
        self.signal(signal.SIGUSR1)
        self._notify = self.world.loop.call_later(LOGIN_NOTIFY_SECS, self._notify_again)

    def _notify_again(self) -> None:
        self._notify = None
        if (os.lseek(self.notify_fd, 0, os.SEEK_CUR) == 1) != self._notified:
            self._notify_now()

    # --- processes ------------------------------------------------------------------------------------

    def create(self) -> bool:
        """Start one process; False when it is not possible now."""
        if not self.active or self._throttle is not None:
            return False
        number = self.world.next_number()
        child = Child(0, number, self.config.client_limit)
        try:
            if self.nursery is None:
                self._has_pid(child, self.generation.fork(self, number))
            elif self.nursery.request(number):
                self.pending[number] = child
            else:
                return False
        except OSError as exc:
            self.error(f"fork() failed: {exc.strerror}")
            return False
        child.first_status = self.world.loop.call_later(FIRST_STATUS_SECS, lambda: self._no_status(child))
        self.world.forks += 1
        self.avail += 1
        self.count_total += 1
        return True

    def _has_pid(self, child: Child, pid: int) -> None:
        child.pid = pid
        self.children[pid] = child
        self.world.children[pid] = (self, child)

    def forked(self, number: int, pid: int) -> None:
        """The template has made process `number`."""
        child = self.pending.pop(number, None)
        if child is not None:
            self._has_pid(child, pid)
            if not self.active:
                self._kill(pid, signal.SIGTERM)  # asked for before we were told to stop

    def not_forked(self, number: int, why: str) -> None:
        """The template could not make process `number`."""
        child = self.pending.pop(number, None)
        if child is None:
            return
        child.cancel_timers()
        self.avail -= 1
        if self.active:
            self.error(f"fork() failed: {why}")
            self.throttle()

    def template_ended(self, ok: bool) -> None:
        """The template is gone; a new one is made when it is needed."""
        lost = bool(self.pending)
        for child in self.pending.values():
            child.cancel_timers()
            self.avail -= 1
        self.pending = {}
        if not self.active:
            return
        if lost and not ok:
            self.throttle()
        self._restart()

    def start_extra(self) -> None:
        """Keep process_min_avail processes with room: one at once, the others when the loop comes round."""
        if self.avail >= self.config.process_min_avail or not self.active or self._throttle is not None:
            return
        if self.avail == 0 and not self._start_some(1):
            return
        if self.avail < self.config.process_min_avail and self._prefork is None:
            self._prefork = self.world.loop.call_later(0, self._prefork_now)

    def _start_some(self, most: int) -> bool:
        wanted = self.config.process_min_avail - self.avail
        room = self.config.process_limit - self.count
        for _ in range(min(wanted, room, most)):
            if not self.create():
                self.throttle()
                return False
        if self.avail:
            self.listen_stop()
        return room > 0

    def _prefork_now(self) -> None:
        self._prefork = None
        if self.avail < self.config.process_min_avail and self._start_some(PREFORK_AT_ONCE):
            self.start_extra()

    def _no_status(self, child: Child) -> None:
        child.first_status = None
        self.error(
            f"Initial status notification not received in {FIRST_STATUS_SECS} seconds, killing the process"
        )
        self._kill(child.pid, signal.SIGKILL)

    def _status_readable(self) -> None:
        try:
            data = os.read(self.status.read, RECORD.size * 128)
        except BlockingIOError:
            return
        if len(data) % RECORD.size:
            self.error(f"service sent partial status update ({len(data)} bytes)")
            return
        for pid, number, available in struct.iter_unpack(RECORD.format, data):
            self._status(pid, number, available)

    def _status(self, pid: int, number: int, available: int) -> None:
        if number in self.pending:
            self.forked(number, pid)  # its first message was faster than the template's
        child = self.children.get(pid)
        if child is None:
            return  # it has ended already
        if child.number != number or available > self.config.client_limit:
            self.error(f"Ignoring invalid update from child {pid} (UID={number})")
            return
        child.last_status = time.time()
        if child.first_status is not None:
            child.first_status.cancel()
            child.first_status = None
            self.throttle_secs = THROTTLE_MIN_SECS
        before, child.available = child.available, available
        if available < before:
            self._more_clients(child, before)
        elif available > before:
            self._less_clients(child, before)
        elif available == self.config.client_limit and child.idle is None:
            self._watch_idle(child)

    def _more_clients(self, child: Child, before: int) -> None:
        child.total += before - child.available
        child.idle_start = 0
        if child.idle is not None:
            child.idle.cancel()
            child.idle = None
        if child.available:
            return
        self.avail -= 1
        if self.config.type == "login" and not self.avail and self._at_limit():
            self.login_notify(full=True)
            # It may have looked before we wrote: it must go on listening, to make room for the next client.
            self._kill(child.pid, signal.SIGUSR1)
        self.start_extra()
        self.listen_start()

    def _less_clients(self, child: Child, before: int) -> None:
        if before == 0:
            self.avail += 1
            if self.avail == 1:
                self.listen_stop()
        if child.available == self.config.client_limit:
            child.idle_start = time.time()
            self._watch_idle(child)
        if self.config.type == "login":
            self.login_notify(full=False)

    def _at_limit(self) -> bool:
        return self.count >= self.config.process_limit

    def _watch_idle(self, child: Child) -> None:
        """More processes than we need: end this one if it stays idle."""
        seconds = self.config.idle_kill
        if child.idle is not None or self.avail <= self.config.process_min_avail:
            return
        if not 0 < seconds < INFINITE:
            return
        # A little apart, so that not all of them end at once.
        delay = seconds + random.random()
        child.idle = self.world.loop.call_later(delay, lambda: self._kill_idle(child))

    def _kill_idle(self, child: Child) -> None:
        child.idle = None
        if self.avail <= self.config.process_min_avail or child.available != self.config.client_limit:
            return
        if child.last_kill > child.last_status + 1:
            self.error(f"Process {child.pid} is ignoring idle SIGINT")
            return
        child.last_kill = time.time()
        self._kill(child.pid, signal.SIGINT)
        child.idle = self.world.loop.call_later(self.config.idle_kill, lambda: self._kill_idle(child))

    # --- ends -----------------------------------------------------------------------------------------

    def ended(self, child: Child, end: Ended) -> None:
        """A process of ours has ended."""
        no_status = child.first_status is not None
        child.cancel_timers()
        del self.children[child.pid]
        if child.available:
            self.avail -= 1
        log = self.generation.log_of(self)
        if end.ok:
            self.throttle_secs = THROTTLE_MIN_SECS if not no_status else self.throttle_secs
            self.world.write(log, wire.encode_bye(child.pid))
        else:
            text = end.describe(self.name, self.config.vsz_limit)
            if self.config.type == "log":
                self.world.event.error(text)  # nobody reads its own pipe
            else:
                self.world.about(log, Level.FATAL, child.pid, text)
            if self.active:
                self._failed(no_status)
        if self.config.type == "login" and not self._at_limit():
            self.login_notify(full=False)
        if self.active:
            self._restart()

    def _restart(self) -> None:
        """Replace what ended: log at once, as lines are waiting for it; others when they are needed."""
        if self.config.type == "log" and not self.children and not self.create():
            self.throttle()
        self.start_extra()
        self.listen_start()

    def _failed(self, at_start: bool) -> None:
        now = int(time.time())
        if now != self.exit_failure_last:
            self.exit_failure_last, self.exit_failures_in_sec = now, 0
        self.exit_failures_in_sec += 1
        if at_start or self.exit_failures_in_sec > FAILURES_IN_SEC:
            self.throttle()

    def throttle(self) -> None:
        """Start no process for a while; the pause doubles with every failure."""
        if self._throttle is not None or not self.active:
            return
        self.error(f"command startup failed, throttling for {self.throttle_secs}.000 secs")
        self.listen_stop()
        self._throttle = self.world.loop.call_later(self.throttle_secs, self._throttle_over)
        self.throttle_secs = min(self.throttle_secs * 2, THROTTLE_MAX_SECS)

    def _throttle_over(self) -> None:
        self._throttle = None
        self._restart()

    @property
    def throttle_left(self) -> int:
        """Seconds until processes may be started again."""
        return 0 if self._throttle is None else max(0, int(self._throttle.due - time.monotonic()))

"""The master's event loop: descriptors, timers, signals with their sender.

No threads and no asyncio: this process forks all day.
"""

import ctypes
import heapq
import itertools
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

_SIGINFO: Final = struct.Struct("=IiiII")  # signalfd_siginfo: signo, errno, code, pid, uid
_SIGINFO_SIZE: Final = 128
_SFD_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC
_CODE_NAMES: Final = {0: "kill", -1: "sigqueue", -6: "tkill", 0x80: "kernel"}


@dataclass(frozen=True, slots=True)
class Caught:
    """One signal and who sent it."""

    number: int
    code: int
    pid: int
    uid: int

    @property
    def sender(self) -> str:
        """`by pid=1 uid=0 code=kill`, as Dovecot logs it."""
        return f"by pid={self.pid} uid={self.uid} code={_CODE_NAMES.get(self.code, f'unknown {self.code}')}"


class Timer:
    """A call that is due at a time; `cancel` is always safe."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Do not call."""
        self.call = None


class Loop:
    """epoll, a heap of timers and a signalfd."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._signal_fd = -1
        self._old_mask: set[signal.Signals] = set()
        self._stopped = False
        self.on_error: Callable[[Exception], None] | None = None

    def add_reader(self, fd: int, call: Callable[[], None]) -> None:
        """Call when `fd` is readable or closed."""
        if fd in self._readers:
            self._readers[fd] = call
            return
        self._epoll.register(fd, select.EPOLLIN)
        self._readers[fd] = call

    def remove_reader(self, fd: int) -> None:
        """Stop watching; unknown descriptors are no error."""
        if self._readers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, later."""
        timer = Timer(time.monotonic() + seconds, call)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def catch_signals(self, numbers: Iterable[int], call: Callable[[Caught], None]) -> None:
        """Deliver these signals to `call` in the loop. They stay blocked: children call `release_signals`."""
        wanted = set(numbers)
        self._old_mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, wanted))  # type: ignore[arg-type]
        self._signal_fd = _signalfd(wanted)
        self.add_reader(self._signal_fd, lambda: self._signals(call))

    def release_signals(self) -> None:
        """In a forked child: the signal mask of before."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)

    def _signals(self, call: Callable[[Caught], None]) -> None:
        try:
            data = os.read(self._signal_fd, 32 * _SIGINFO_SIZE)
        except BlockingIOError:
            return
        for start in range(0, len(data), _SIGINFO_SIZE):
            number, _errno, code, pid, uid = _SIGINFO.unpack_from(data, start)
            call(Caught(number, code, pid, uid))

    def run(self) -> None:
        """Until `stop`."""
        self._stopped = False
        while not self._stopped:
            self.once(None)

    def stop(self) -> None:
        """End `run` after the present call."""
        self._stopped = True

    def once(self, longest: float | None) -> None:
        """Wait at most `longest` seconds, then make the calls that are due."""
        timeout = self._timeout(longest)
        try:
            events = self._epoll.poll(timeout, 256)
        except InterruptedError:
            events = []
        # Timers first, as Dovecot's loop: a timeout is due before what arrived meanwhile.
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            if call is not None:
                self._call(call)
        for fd, _mask in events:
            reader = self._readers.get(fd)
            if reader is not None:
                self._call(reader)

    def _call(self, call: Callable[[], None]) -> None:
        """A mistake in one call must not end the server when `on_error` is there to tell it."""
        try:
            call()
        except Exception as exc:
            if self.on_error is None:
                raise
            self.on_error(exc)

    def _timeout(self, longest: float | None) -> float:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        due = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        if longest is None:
            return -1 if due is None else due
        return longest if due is None else min(due, longest)


def _signalfd(numbers: set[int]) -> int:
    """signalfd(2), which the standard library lacks: only it tells who sent a signal."""
    libc = ctypes.CDLL(None, use_errno=True)
    mask = 0
    for number in numbers:
        mask |= 1 << (number - 1)
    sigset = (ctypes.c_uint64 * 16)(mask)  # sigset_t: 1024 bits, the first 64 are the kernel's
    fd = int(libc.signalfd(-1, ctypes.byref(sigset), _SFD_FLAGS))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd

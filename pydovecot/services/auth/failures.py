"""Failed logins are answered late, several together and in no particular order (features E-64).

Late, so that guessing is slow; together, so that the time says nothing about what was wrong.
"""

import random
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

CHECK_SECS: Final = 0.5  # Dovecot: AUTH_FAILURE_DELAY_CHECK_MSECS


class Timers(Protocol):
    """The part of an asyncio loop that is needed here."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> "TimerHandle": ...


class TimerHandle(Protocol):
    """What call_later gives."""

    def cancel(self) -> None: ...


class DelayedFailures:
    """A queue of things to say when `delay` seconds have passed, counted in whole seconds as Dovecot does."""

    def __init__(self, delay: int, timers: Timers, now: Callable[[], float]) -> None:
        self._delay, self._timers, self._now = delay, timers, now
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()
        self._timer: TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, say: Callable[[], None]) -> None:
        """Call `say` when its time has come."""
        if self._delay <= 0:
            say()
            return
        self._queue.append((int(self._now()), say))
        if self._timer is None:
            self._timer = self._timers.call_later(CHECK_SECS, self._check)

    def flush(self) -> None:
        """Say everything now: the process stops."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._say(len(self._queue))

    def _check(self) -> None:
        self._timer = None
        now = int(self._now())
        due = 0
        for since, _say in self._queue:
            if now - since < self._delay:
                break
            due += 1
        self._say(due)
        if self._queue:
            self._timer = self._timers.call_later(CHECK_SECS, self._check)

    def _say(self, count: int) -> None:
        together = [self._queue.popleft()[1] for _ in range(count)]
        random.shuffle(together)
        for say in together:
            say()

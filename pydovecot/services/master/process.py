"""What the master knows of one child."""

import time
from dataclasses import dataclass, field

from pydovecot.services.master.loop import Timer


@dataclass(slots=True)
class Child:
    """One living process of a service."""

    pid: int
    number: int  # its generation: told back in every status message
    available: int
    total: int = 0  # clients it took so far
    idle_start: float = field(default_factory=time.time)  # 0: busy
    last_status: float = 0
    last_kill: float = 0
    asked: bool = False  # to drop a client that is not logged in
    first_status: Timer | None = None  # runs until the first message
    idle: Timer | None = None

    def cancel_timers(self) -> None:
        """The process is gone."""
        for timer in (self.first_status, self.idle):
            if timer is not None:
                timer.cancel()
        self.first_status = self.idle = None

"""Tells systemd how we are: READY, RELOADING, STOPPING, STATUS and the watchdog. sd_notify(3)."""

import os
import time
from collections.abc import Mapping

from sdnotify import SystemdNotifier


class Notify:
    """Silent when nobody listens (NOTIFY_SOCKET is not set)."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        self._notifier = SystemdNotifier() if env.get("NOTIFY_SOCKET") else None
        usec, pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
        ours = self._notifier is not None and usec.isdigit() and pid in ("", str(os.getpid()))
        self.watchdog_secs = int(usec) / 2_000_000 if ours else 0.0

    def ready(self, status: str) -> None:
        """The server answers."""
        self._send(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """A reload has begun; READY ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The server stops."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(state)

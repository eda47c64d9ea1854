"""How far long work is, for somebody at a terminal; nothing anywhere else."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

QUIET_SECS: Final = 1.0  # what is done sooner needs no words

Step = Callable[[str, int], None]


class Progress:
    """One command's progress over all its users. `rich` is loaded only when there is something to show."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown = sys.stderr.isatty()
        self._started = time.monotonic()
        self.users = self.messages = 0

    @contextmanager
    def of(self, user: str) -> Iterator[Step]:
        """The work on one user: call what it gives with a mailbox and how many messages are done with it."""
        self.users += 1
        status = None

        def step(mailbox: str, messages: int) -> None:
            nonlocal status
            self.messages += messages
            if not self._shown or time.monotonic() - self._started < QUIET_SECS:
                return
            text = f"{self._title} {user} {mailbox} (user {self.users}, {self.messages} messages)"
            if status is None:
                from rich.console import Console

                status = Console(stderr=True).status(text)
                status.start()
            status.update(text)

        try:
            yield step
        finally:
            if status is not None:
                status.stop()

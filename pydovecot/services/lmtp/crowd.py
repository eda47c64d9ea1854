"""lmtp_user_concurrency_limit: how many deliveries one user may have at once, in all processes."""

from collections.abc import Callable
from typing import Final

from pydovecot.ipc import anvil

SERVICE: Final = "lmtp"


class Crowd:
    """The recipients that this process has accepted. `limit` 0: there is none, and anvil is told nothing."""

    def __init__(self, limit: int, lookup: Callable[[str], int], fd: int) -> None:
        self._limit, self._lookup, self._fd = limit, lookup, fd
        self._inside: list[str] = []

    def enter(self, user: str) -> bool:
        """False: there are too many."""
        if not self._limit:
            return True
        name = f"{SERVICE}/{user}"
        if self._lookup(name) >= self._limit:
            return False
        anvil.send_connect(self._fd, name)
        self._inside.append(name)
        return True

    def leave(self) -> None:
        """The transaction is over."""
        while self._inside:
            anvil.send_disconnect(self._fd, self._inside.pop())

    def leave_last(self) -> None:
        """The latest was not accepted after all."""
        if self._inside:
            anvil.send_disconnect(self._fd, self._inside.pop())

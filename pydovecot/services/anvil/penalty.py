"""Failed logins by address: a value that auth sets, and that is forgotten after a while."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

EXPIRE_SECS: Final = 60 * 60
CHECKSUMS: Final = 5  # wrong passwords remembered: a client that repeats one is not an attacker
MAX_ADDRESSES: Final = 100_000  # an attacker with a network of addresses must not fill our memory


@dataclass(slots=True)
class Entry:
    """Penalty of one address. `last_penalty` when it was raised, `last_update` when it was touched."""

    penalty: int = 0
    last_penalty: int = 0
    last_update: int = 0
    checksums: list[int] = field(default_factory=list)


class Penalties:
    """Entries in the order of their last update, oldest first."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self.expire_secs = EXPIRE_SECS

    def get(self, ident: str) -> tuple[int, int]:
        """Penalty and the time of the last rise; zeros when nothing is known."""
        self._expire()
        entry = self._entries.get(ident)
        return (0, 0) if entry is None else (entry.penalty, entry.last_penalty)

    def increase(self, ident: str, checksum: int, value: int) -> None:
        """Set the penalty to `value`; a known `checksum` (not 0) only refreshes the entry.

        Known ones stay known after a success (`checksum` and `value` 0): an old device may still try one.
        """
        self._expire()
        now = int(self._now())
        entry = self._entries.get(ident)
        if entry is None:
            while len(self._entries) >= MAX_ADDRESSES:
                self._entries.popitem(last=False)
            entry = self._entries[ident] = Entry()
        entry.last_update = now
        self._entries.move_to_end(ident)
        if checksum and checksum in entry.checksums:
            entry.checksums.remove(checksum)
            entry.checksums.insert(0, checksum)
            return
        if checksum:
            entry.checksums = [checksum, *entry.checksums[: CHECKSUMS - 1]]
        entry.penalty, entry.last_penalty = value, now

    def dump(self) -> Iterator[tuple[str, int, int, int]]:
        """(address, penalty, last rise, last update), oldest first."""
        self._expire()
        for ident, entry in self._entries.items():
            if entry.penalty:
                yield ident, entry.penalty, entry.last_penalty, entry.last_update

    def _expire(self) -> None:
        limit = self._now() - self.expire_secs
        while self._entries:
            first = next(iter(self._entries))
            if self._entries[first].last_update > limit:
                return
            del self._entries[first]

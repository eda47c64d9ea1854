"""The auth cache: answers of passdbs and userdbs, bounded in bytes (features E-62).

An answer is kept as it came: the stored password (never the given one, except as a hash where a passdb only
verifies) and the fields. Every entry has a time; how long it counts depends on what it says.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pydovecot.password.schemes import Stored

OVERHEAD_BYTES: Final = 256  # about what an entry costs besides its text


@dataclass(slots=True)
class Cached:
    """One answer. `known` False: the user does not exist. `stored` None: any password is right."""

    known: bool
    user: str
    stored: Stored | None = None
    fields: tuple[tuple[str, str, bool], ...] = field(default=())  # name, value, hidden
    time: float = 0.0
    last_success: bool = False


class AuthCache:
    """Least recently used entries go first when `size` is reached."""

    def __init__(self, size: int, ttl: float, negative_ttl: float, now: Callable[[], float]) -> None:
        self._size, self._ttl, self._negative_ttl, self._now = size, ttl, negative_ttl, now
        self._entries: OrderedDict[str, tuple[Cached, int]] = OrderedDict()
        self._used = 0

    @property
    def enabled(self) -> bool:
        """False when auth_cache_size is 0."""
        return self._size > 0

    def get(self, key: str, *, expired: bool = False) -> Cached | None:
        """The answer, if it is young enough; `expired` takes an old one as well (the database fails)."""
        found = self._entries.get(key)
        if found is None:
            return None
        cached = found[0]
        ttl = self._ttl if cached.known else self._negative_ttl
        if not expired and self._now() - cached.time > ttl:
            return None
        self._entries.move_to_end(key)
        return cached

    def negative_expired(self, cached: Cached) -> bool:
        """Whether a password mismatch against this answer should be asked again."""
        return self._now() - cached.time > self._negative_ttl

    def put(self, key: str, cached: Cached) -> None:
        """Keep an answer."""
        if not self.enabled:
            return
        if (self._ttl if cached.known else self._negative_ttl) <= 0:
            return
        self.drop(key)
        cached.time = self._now()
        size = (
            OVERHEAD_BYTES + len(key) + len(cached.user) + len(cached.stored.text if cached.stored else b"")
        )
        size += sum(64 + len(name) + len(value) for name, value, _hidden in cached.fields)
        if size > self._size:
            return
        self._entries[key] = (cached, size)
        self._used += size
        while self._used > self._size:
            _key, (_cached, old) = self._entries.popitem(last=False)
            self._used -= old

    def drop(self, key: str) -> None:
        """Forget one answer."""
        found = self._entries.pop(key, None)
        if found is not None:
            self._used -= found[1]

    def flush(self, users: frozenset[str] = frozenset()) -> int:
        """Forget the answers of these users, of all when empty; the number of entries dropped."""
        keys = [key for key, (cached, _) in self._entries.items() if not users or cached.user in users]
        for key in keys:
            self.drop(key)
        return len(keys)

"""A queue in which everybody gets a turn: who asks a thousand times waits a thousand turns, others one.

One address that tries passwords cannot make others wait for more than one check each time.
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """First in, first out for each key; the keys take turns."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, key: str, item: T) -> None:
        """Wait behind all others of that key."""
        self._waiting.setdefault(key, deque()).append(item)
        self._count += 1

    def put_back(self, key: str, item: T) -> None:
        """Be the next one of all."""
        self._waiting.setdefault(key, deque()).appendleft(item)
        self._waiting.move_to_end(key, last=False)
        self._count += 1

    def pop(self) -> T:
        """The oldest item of the key whose turn it is. Raises KeyError when nobody waits."""
        key, items = self._waiting.popitem(last=False)
        item = items.popleft()
        if items:
            self._waiting[key] = items  # behind all others
        self._count -= 1
        return item

    def drop(self) -> T:
        """Make room: the newest item of the key that has most. Raises KeyError when nobody waits."""
        if not self._waiting:
            raise KeyError("empty")
        key = max(self._waiting, key=lambda one: len(self._waiting[one]))
        items = self._waiting[key]
        item = items.pop()
        if not items:
            del self._waiting[key]
        self._count -= 1
        return item

"""Searches for flags, answered from a view's states: `state & mask == value` for every message."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydovecot.index.schema import KEYWORD_SHIFT
from pydovecot.model.search import All, And, HasFlag, HasKeyword, Key, Not


@dataclass(frozen=True, slots=True)
class FlagTest:
    """What must be set and what must not; `never` when both are asked of one bit."""

    mask: int = 0
    value: int = 0
    never: bool = False

    def join(self, other: "FlagTest") -> "FlagTest":
        """Both."""
        clash = (self.value ^ other.value) & self.mask & other.mask
        return FlagTest(
            self.mask | other.mask, self.value | other.value, self.never or other.never or clash != 0
        )


def split(key: Key, keywords: Sequence[str]) -> tuple[FlagTest, tuple[Key, ...]]:
    """The flag tests of a conjunction, and its other keys. `keywords` are by bit, "" for holes."""
    if isinstance(key, All):
        return FlagTest(), ()
    if isinstance(key, And):
        test = FlagTest()
        rest: list[Key] = []
        for part in key.keys:
            found, others = split(part, keywords)
            test = test.join(found)
            rest.extend(others)
        return test, tuple(rest)
    bit = _bit(key, keywords)
    if bit is not None:
        return (FlagTest(bit, bit) if bit else FlagTest(never=True)), ()
    if isinstance(key, Not):
        bit = _bit(key.key, keywords)
        if bit is not None:
            return FlagTest(bit, 0), ()
    return FlagTest(), (key,)


def _bit(key: Key, keywords: Sequence[str]) -> int | None:
    """The state bit that a key asks for; 0: a keyword that nobody has; None: not a flag."""
    if isinstance(key, HasFlag):
        return int(key.flag)
    if isinstance(key, HasKeyword):
        wanted = key.name.lower()
        for at, name in enumerate(keywords):
            if name and name.lower() == wanted:
                return 1 << (KEYWORD_SHIFT + at)
        return 0
    return None

"""Message flags: five system flags as bits, keywords by name. RFC 3501 2.3.2."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntFlag
from typing import Final


class Flag(IntFlag):
    """System flags; the values are those of Dovecot's index, so both can be compared."""

    ANSWERED = 0x01
    FLAGGED = 0x02
    DELETED = 0x04
    SEEN = 0x08
    DRAFT = 0x10


NO_FLAGS: Final = Flag(0)

# The order in which Dovecot prints them.
FLAG_NAMES: Final[tuple[tuple[Flag, str], ...]] = (
    (Flag.ANSWERED, "\\Answered"),
    (Flag.FLAGGED, "\\Flagged"),
    (Flag.DELETED, "\\Deleted"),
    (Flag.SEEN, "\\Seen"),
    (Flag.DRAFT, "\\Draft"),
)
FLAG_BY_NAME: Final[dict[str, Flag]] = {name.lower(): flag for flag, name in FLAG_NAMES}


class NamedKeywords(frozenset[str]):
    """Keywords that remember the order in which a client named them: new ones are made in that order."""

    order: tuple[str, ...]

    def __new__(cls, names: Iterable[str]) -> "NamedKeywords":
        first: dict[str, str] = {}  # of those that differ in case only
        for name in names:
            first.setdefault(name.lower(), name)
        order = tuple(first.values())
        made = super().__new__(cls, order)
        made.order = order
        return made


def in_order(keywords: Collection[str]) -> Sequence[str]:
    """Keywords as they are to be made; the same for the same ones when nobody named an order."""
    return keywords.order if isinstance(keywords, NamedKeywords) else sorted(keywords)


@dataclass(frozen=True, slots=True)
class FlagSet:
    """System flags and keywords together, as a client names them in STORE and APPEND."""

    system: Flag = NO_FLAGS
    keywords: frozenset[str] = field(default_factory=frozenset)


class StoreOp(Enum):
    """What STORE does with the flags it is given."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"

"""Message flags: five system flags as bits, keywords by name. RFC 3501 2.3.2."""

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

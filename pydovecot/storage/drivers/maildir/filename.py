"""Names of message files: `1795500121.M50197P5167.host,S=249,W=261:2,Sab`.

The base (up to ":") never changes; the flags behind ":2," are capital letters in ASCII order, then keyword
letters a-z by their number in dovecot-keywords. Letters that we do not know are kept.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from operator import lt
from typing import Final

from pydovecot.index.schema import KEYWORD_SHIFT
from pydovecot.model.flags import Flag

INFO: Final = ":2,"
LETTERS: Final = (
    ("D", int(Flag.DRAFT)),
    ("F", int(Flag.FLAGGED)),
    ("R", int(Flag.ANSWERED)),
    ("S", int(Flag.SEEN)),
    ("T", int(Flag.DELETED)),
)
_BIT: Final = dict(LETTERS) | {chr(97 + n): 1 << (KEYWORD_SHIFT + n) for n in range(26)}
FILE_BITS: Final = sum(_BIT.values())  # what a file name can say
_SIZES: Final = re.compile(r",([SW])=(\d{1,18})(?=[,:]|$)")


def base_of(name: str) -> str:
    """The part of a name that never changes."""
    return name.partition(":")[0]


class _States(dict[str, int]):
    """What is behind the base (":2,FS") to state bits."""

    def __missing__(self, info: str) -> int:
        state = 0
        if info.startswith(INFO):
            for letter in info[len(INFO) :].partition(",")[0]:
                state |= _BIT.get(letter, 0)
        self[info] = state
        return state


class _Infos(dict[int, str]):
    """State bits to what comes behind the base."""

    def __missing__(self, state: int) -> str:
        info = self[state] = INFO + "".join(sorted(letter for letter, bit in _BIT.items() if state & bit))
        return info


STATES: Final = _States()  # grows with the distinct sets of letters seen, which are few
INFOS: Final = _Infos()
MAX_CACHED: Final = 100_000  # names are other programs' affair: bounded all the same


def state_of(name: str) -> int:
    """State bits that a file name tells."""
    at = name.find(":")
    return 0 if at < 0 else state_of_info(name[at:])


def state_of_info(info: str) -> int:
    """State bits of what is behind the base, ":" included; "" has none."""
    if len(STATES) > MAX_CACHED:
        STATES.clear()
    return STATES[info]


def with_state(name: str, state: int) -> str:
    """The name with other flags; unknown letters and what follows a comma stay."""
    base, colon, info = name.partition(":")
    known = state & FILE_BITS
    if len(INFOS) > MAX_CACHED:
        INFOS.clear()
    if not colon or ":" + info == INFOS[STATES[":" + info]]:
        return base + INFOS[known]
    if not info.startswith("2,"):
        return base + INFOS[known]
    letters, comma, rest = info[2:].partition(",")
    foreign = "".join(letter for letter in letters if letter not in _BIT)
    return base + INFO + "".join(sorted(set(INFOS[known][len(INFO) :] + foreign))) + comma + rest


def sizes_of(name: str) -> tuple[int | None, int | None]:
    """(stored size, CRLF size) that a name tells."""
    found = dict(_SIZES.findall(name))
    return (int(found["S"]) if "S" in found else None, int(found["W"]) if "W" in found else None)


# name, base, seconds, microseconds, S, W, other fields, info
Parsed = tuple[str, str, str, str, str, str, str, str]
_NAME: Final = re.compile(
    r"^((?:new/)?((\d{0,18})(?:\.M(\d{1,6}))?[^:,\n]*(?:,S=(\d{1,18})(?=[,:\n]|\Z))?(?:,W=(\d{1,18})(?=[,:\n]|\Z))?"
    r"((?:,[^:,\n]*)*))(:[^\n]*)?)$",
    re.MULTILINE,
)


def parse_all(names: Sequence[str]) -> list[Parsed]:
    """All names (without newlines) taken apart in one go."""
    found: list[Parsed] = _NAME.findall("\n".join(names)) if names else []
    return found


def by_arrival(names: Sequence[Parsed]) -> list[Parsed]:
    """Sorted as they arrived: by the seconds in front, then the microseconds behind M, then the base."""
    keys = [int(parsed[2] or 0) * 1_000_000 + int(parsed[3] or 0) for parsed in names]
    if all(map(lt, keys, keys[1:])):
        return list(names)
    if len(set(keys)) == len(keys):
        return [names[at] for at in sorted(range(len(keys)), key=keys.__getitem__)]
    return [parsed for _, _, parsed in sorted(zip(keys, [p[1] for p in names], names, strict=True))]


def sizes_parsed(parsed: Parsed) -> tuple[int | None, int | None]:
    """As `sizes_of`."""
    if parsed[6]:
        return sizes_of(parsed[0])
    return (int(parsed[4]) if parsed[4] else None, int(parsed[5]) if parsed[5] else None)


class Generator:
    """Makes names that are unique on this host: never the same microsecond twice in a process."""

    def __init__(self, hostname: str = "", now: Callable[[], float] = time.time) -> None:
        host = hostname or os.uname().nodename
        self._host = host.replace("/", "\\057").replace(":", "\\072").replace(",", "\\054")
        self._now = now
        self._last = (0, 0)

    def next(self) -> str:
        """A new base without sizes."""
        now = self._now()
        stamp = (int(now), int(now % 1 * 1_000_000))
        if stamp <= self._last:
            seconds, micro = self._last
            stamp = (seconds, micro + 1) if micro < 999_999 else (seconds + 1, 0)
        self._last = stamp
        return f"{stamp[0]}.M{stamp[1]}P{os.getpid()}.{self._host}"

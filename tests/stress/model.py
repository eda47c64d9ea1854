"""What is known of mailboxes, whoever said it: contents and UIDs never change, numbers only grow.

A mailbox is known by (user, UIDVALIDITY), so that it survives being renamed. `tick` counts everything that
happens; what a connection asked after some tick must be answered with what was true at that tick.
"""

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.stress.parse import Violation
from tests.support.mailgen import Generator

KEYWORDS = (b"Kalpha", b"Kbeta", b"Kgamma", b"Kdelta")  # only a message's owner changes these
TEMPORARY = (b"Tmp1", b"Tmp2", b"Tmp3")  # mailboxes that are made, renamed and deleted all the time
KEPT_LINES = 200_000
ID_FIELD = b"X-Stress-Id"


class Library:
    """Every message that was ever appended, by its number."""

    def __init__(self, seed: int) -> None:
        self._generator = Generator(seed)
        self.bodies: dict[int, bytes] = {}
        self.never: set[int] = set()  # appends that were broken off: these must not appear
        self._ids: dict[bytes, int] = {}

    def make(self) -> int:
        """A new message."""
        number = len(self.bodies) + 1
        body = b"%b: %d\r\n" % (ID_FIELD, number) + self._generator.message()
        self.bodies[number] = body
        self._ids[digest(body)] = number
        return number

    def find(self, body: bytes) -> int | None:
        """The number of a message by its content."""
        return self._ids.get(digest(body))


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=12).digest()


@dataclass(slots=True)
class Stored:
    """One keyword of one message as its owner has set it."""

    value: bool
    tick: int
    flying: int = 0  # commands that change it and are not answered yet


@dataclass(slots=True)
class Box:
    """One mailbox."""

    uidvalidity: int
    ids: dict[int, int] = field(default_factory=dict)  # UID -> message
    facts: dict[tuple[int, bytes], bytes] = field(default_factory=dict)  # what cannot change
    gone: dict[int, int] = field(default_factory=dict)  # UID -> tick of the first word of its expunge
    sure: set[int] = field(default_factory=set)  # told by APPENDUID or COPYUID: where it comes from is known
    may_go: set[int] = field(default_factory=set)  # somebody marked it deleted
    moved: set[int] = field(default_factory=set)  # or moved it
    recent: dict[int, int] = field(default_factory=dict)  # UID -> session that has \Recent
    stored: dict[tuple[int, bytes], Stored] = field(default_factory=dict)
    modseqs: dict[tuple[str, int], int] = field(default_factory=dict)  # (server, UID) -> highest told
    highest: dict[str, int] = field(default_factory=dict)  # server -> highest HIGHESTMODSEQ or MODSEQ told
    uidnext: int = 1  # the highest UIDNEXT, or UID + 1, that was told
    dead: bool = False  # deleted

    def has(self, uid: int, number: int) -> None:
        """Message `number` has this UID."""
        known = self.ids.setdefault(uid, number)
        if known != number:
            raise Violation(f"UID {uid} was message {known} and is message {number} now")
        self.uidnext = max(self.uidnext, uid + 1)

    def fact(self, uid: int, item: bytes, value: bytes) -> None:
        """Something about a message that must stay as it is."""
        known = self.facts.setdefault((uid, item), digest(value))
        if known != digest(value):
            raise Violation(f"{item.decode()} of UID {uid} has changed to {value[:300]!r}")

    def fly(self, uids: Iterable[int], step: int) -> None:
        """Commands that change keywords of `uids` start (1) or are done (-1)."""
        for uid in uids:
            for keyword in KEYWORDS:
                stored = self.stored.get((uid, keyword))
                if stored is not None:
                    stored.flying += step
                elif step > 0:
                    self.stored[uid, keyword] = Stored(False, -1, 1)

    def set(self, uid: int, keyword: bytes, value: bool, tick: int) -> None:
        stored = self.stored.setdefault((uid, keyword), Stored(value, tick))
        stored.value, stored.tick = value, tick

    def forget(self, uids: Iterable[int]) -> None:
        """Nobody knows whether a command was run: its connection is gone."""
        for uid in uids:
            for keyword in KEYWORDS:
                self.stored.pop((uid, keyword), None)

    def expected(self, uid: int, keyword: bytes, before: int) -> bool | None:
        """What the keyword must be for whoever asked at tick `before`; None: not known."""
        stored = self.stored.get((uid, keyword))
        if stored is None or stored.flying or not 0 <= stored.tick < before:
            return None
        return stored.value

    def told_modseq(self, server: str, uid: int, modseq: int) -> None:
        self.modseqs[server, uid] = max(self.modseqs.get((server, uid), 0), modseq)
        self.highest[server] = max(self.highest.get(server, 0), modseq)


class World:
    """All mailboxes of all users, and the clock of events."""

    def __init__(self, seed: int) -> None:
        self.tick = 0
        self.mixed = False  # two servers on one Maildir: each has its own Recent
        self.talk: deque[str] = deque(maxlen=KEPT_LINES)  # of all connections
        self.library = Library(seed)
        self.boxes: dict[tuple[str, int], Box] = {}
        self.names: dict[tuple[str, bytes], int] = {}  # UIDVALIDITY of mailboxes that nobody touches
        self.touched: dict[tuple[str, bytes], int] = {}  # tick of the last CREATE, DELETE, RENAME

    def box(self, user: str, uidvalidity: int) -> Box:
        return self.boxes.setdefault((user, uidvalidity), Box(uidvalidity))

    def named(self, user: str, name: bytes, uidvalidity: int, *, stable: bool) -> Box:
        """The mailbox that a name means; stable ones keep their UIDVALIDITY."""
        if stable:
            known = self.names.setdefault((user, name), uidvalidity)
            if known != uidvalidity:
                raise Violation(f"UIDVALIDITY of {name.decode()} was {known} and is {uidvalidity} now")
        return self.box(user, uidvalidity)

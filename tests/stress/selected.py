"""One connection's selected mailbox as its client must believe it to be, and what nobody may do to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.stress.model import KEYWORDS, Box, World, digest
from tests.stress.parse import Value, Violation, flat, numbers

# RFC 3501 7.4.1, RFC 7162 3.2.10.2: sequence numbers must not move under these, nor when nothing runs.
FROZEN = frozenset((b"FETCH", b"STORE", b"SEARCH", b"SORT", b"THREAD"))
CONSTANT = (
    b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY", b"BODYSTRUCTURE", b"PREVIEW", b"SNIPPET",
    b"EMAILID", b"THREADID", b"X-GUID",
)  # fmt: skip
_PARTS = (b"BODY[1", b"BINARY.SIZE[1", b"PREVIEW")


@dataclass(slots=True)
class Message:
    """What the client was told; None: nothing yet."""

    uid: int | None = None
    flags: frozenset[bytes] | None = None
    modseq: int = 0
    flags_modseq: int = 0  # when `flags` were told
    recent: bool = False


@dataclass(slots=True)
class Changed:
    """Messages whose flags were told while a command ran, by UID; expunges too."""

    flags: set[int] = field(default_factory=set)
    fetched: dict[int, set[bytes]] = field(default_factory=dict)  # sequence number -> items that came
    nil: set[int] = field(default_factory=set)  # told without content: expunged by another session
    expunged: int = 0
    exists: bool = False
    first: bytes = b""  # tag of the command that began it


class Selected:
    """`session` numbers this selection among all; `opened` is the tick before it was asked for."""

    def __init__(self, world: World, box: Box, server: str, session: int, *, readonly: bool) -> None:
        self.world, self.box, self.server, self.session = world, box, server, session
        self.readonly = readonly
        self.opened = world.tick
        self.messages: list[Message] = []
        self.uidnext = 0  # as told by SELECT
        self.first_exists = 0
        self.recent = 0
        self.complete = False  # the first EXISTS has come
        self.asked_modseq = 0  # highest modseq that was told before SELECT was sent
        self.highest = 0
        self.qresync = False
        self.suspects: dict[int, str] = {}
        self.changed = Changed()

    # -- what the client knows -----------------------------------------------------------------------------

    def uids(self) -> list[int]:
        return [message.uid for message in self.messages if message.uid is not None]

    def known(self) -> bool:
        """All UIDs and flags were told."""
        return all(message.uid is not None and message.flags is not None for message in self.messages)

    def seq_of(self, uid: int) -> int:
        return next((seq for seq, one in enumerate(self.messages, 1) if one.uid == uid), 0)

    def by_uid(self) -> Iterator[tuple[int, Message]]:
        for message in self.messages:
            if message.uid is not None:
                yield message.uid, message

    # -- untagged responses --------------------------------------------------------------------------------

    def exists(self, count: int) -> None:
        if count < len(self.messages):
            raise Violation(f"EXISTS {count} after {len(self.messages)} without EXPUNGE")
        self.messages += [Message() for _ in range(count - len(self.messages))]
        self.changed.exists = True
        if not self.complete:
            self.complete = True
            self.first_exists = count

    def told_recent(self, count: int) -> None:
        if count > len(self.messages):
            raise Violation(f"RECENT {count} of {len(self.messages)} messages")
        self.recent = count

    def expunge(self, seq: int) -> None:
        if not 1 <= seq <= len(self.messages):
            raise Violation(f"EXPUNGE {seq} of {len(self.messages)} messages")
        message = self.messages.pop(seq - 1)
        self.changed.expunged += 1
        self.first_exists -= seq <= self.first_exists
        if message.uid is not None:
            self._went(message.uid)

    def vanished(self, uids: list[int], *, earlier: bool) -> None:
        for uid in uids:
            seq = self.seq_of(uid)
            if seq and earlier:
                raise Violation(f"VANISHED (EARLIER) of UID {uid}, which was told to be there")
            if seq:
                self.expunge(seq)
            elif not earlier:
                at = self._place_of(uid)
                if at is None:
                    raise Violation(f"VANISHED of UID {uid}, which is in no place of this mailbox")
                self.messages.pop(at)
                self.changed.expunged += 1
                self.first_exists -= at < self.first_exists
                self._went(uid)
            else:
                self._went(uid)

    def _place_of(self, uid: int) -> int | None:
        """Where a message without a known UID must be that has this one."""
        place = None
        old = uid < self.uidnext
        for at, message in enumerate(self.messages):
            if message.uid is None:
                if old == (at < self.first_exists):
                    place = at
            elif message.uid > uid:
                break
            else:
                place = None
        return place

    def _went(self, uid: int) -> None:
        self.box.gone.setdefault(uid, self.world.tick)

    def fetch(self, seq: int, items: list[Value]) -> None:
        """One FETCH response."""
        if not 1 <= seq <= len(self.messages):
            raise Violation(f"FETCH of {seq} while there are {len(self.messages)} messages")
        if len(items) % 2:
            raise Violation(f"FETCH {seq}: items without values: {items!r:.300}")
        message = self.messages[seq - 1]
        table = {_name(name): value for name, value in zip(items[::2], items[1::2], strict=True)}
        if b"UID" in table:
            self._uid(seq, message, int(flat(table[b"UID"])[0]))
        modseq = int(flat(table[b"MODSEQ"])[0]) if b"MODSEQ" in table else 0
        if b"FLAGS" in table:
            self._flags(message, frozenset(flat(table[b"FLAGS"])), modseq)
        if modseq:
            self._modseq(message, modseq)
        self.changed.fetched.setdefault(seq, set()).update(table)
        if message.uid is not None:
            self._content(message.uid, table)

    def _uid(self, seq: int, message: Message, uid: int) -> None:
        if message.uid == uid:
            return
        if message.uid is not None:
            raise Violation(f"message {seq} had UID {message.uid} and has {uid} now")
        before = (
            next((one.uid for one in self.messages[seq - 2 :: -1] if one.uid is not None), 0)
            if seq > 1
            else 0
        )
        after = next((one.uid for one in self.messages[seq:] if one.uid is not None), 1 << 32)
        if not before < uid < after:
            raise Violation(f"UID {uid} of message {seq} is not between {before} and {after}")
        if seq > self.first_exists and uid < self.uidnext:
            raise Violation(f"new message {seq} has UID {uid}, but UIDNEXT was {self.uidnext}")
        if seq <= self.first_exists and uid >= self.uidnext > 0:
            raise Violation(f"old message {seq} has UID {uid}, but UIDNEXT was {self.uidnext}")
        if self.box.gone.get(uid, self.opened) < self.opened:
            raise Violation(f"UID {uid} was expunged before this mailbox was opened")
        message.uid = uid
        self.box.uidnext = max(self.box.uidnext, uid + 1)

    def _flags(self, message: Message, flags: frozenset[bytes], modseq: int) -> None:
        told = frozenset(flag for flag in flags if flag.lower() != b"\\recent")
        # What FETCH BODY[] and STORE have found may be told before its modseq, which must follow.
        changed = message.flags is not None and told != message.flags
        if changed and 0 < modseq <= message.flags_modseq and message.uid is not None:
            self.suspects[message.uid] = f"flags of UID {message.uid} changed, but not MODSEQ {modseq}"
        message.flags, message.recent = told, told != flags
        message.flags_modseq = max(message.flags_modseq, modseq)
        if message.uid is None:
            return
        self.changed.flags.add(message.uid)
        if message.recent and not self.readonly:
            owner = self.box.recent.setdefault(message.uid, self.session)
            if owner != self.session and not self.world.mixed:
                raise Violation(f"UID {message.uid} is \\Recent in two sessions")

    def _modseq(self, message: Message, modseq: int) -> None:
        if modseq < message.modseq:
            raise Violation(f"MODSEQ of UID {message.uid} fell from {message.modseq} to {modseq}")
        if modseq > message.modseq and message.uid is not None:
            self.suspects.pop(message.uid, None)
        message.modseq = modseq
        if message.uid is not None:
            self.box.told_modseq(self.server, message.uid, modseq)

    def _content(self, uid: int, table: dict[bytes, Value]) -> None:
        box = self.box
        if _is_nil(table):
            self.changed.nil.add(uid)
            return
        for item, value in table.items():
            empty = isinstance(value, list) and value[5:8] == [b"7bit", b"0", b"0"]
            if empty or (item.startswith(_PARTS) and value in (None, b"0")):
                continue  # there is no such part, or the message is gone
            if item in CONSTANT or item.startswith((b"BODY[", b"RFC822", b"BINARY[", b"BINARY.SIZE[")):
                box.fact(uid, item, repr(value).encode() if isinstance(value, list) else value or b"NIL")
        whole = table.get(b"BODY[]")
        if isinstance(whole, bytes) and uid not in box.ids:
            number = self.world.library.find(whole)
            if number is None:
                raise Violation(f"UID {uid} has a content that nobody appended: {whole[:200]!r}")
            box.has(uid, number)
        number = box.ids.get(uid)
        if number is None:
            return
        if number in self.world.library.never:
            raise Violation(f"UID {uid} is message {number}, whose APPEND was broken off")
        body = self.world.library.bodies[number]
        for item, expected in ((b"BODY[]", body), (b"RFC822", body), (b"BODY[TEXT]", _text(body))):
            value = table.get(item)
            if isinstance(value, bytes) and digest(value) != digest(expected):
                raise Violation(f"{item.decode()} of UID {uid} is not that of message {number}")
        size = table.get(b"RFC822.SIZE")
        if isinstance(size, bytes) and int(size) != len(body):
            raise Violation(f"RFC822.SIZE of UID {uid} is {int(size)}, not {len(body)}")

    # -- when a command is done ----------------------------------------------------------------------------

    def owners_flags(self, before: int) -> None:
        """Keywords as their owners have set them, for a command that was sent at tick `before`."""
        for uid, text in self.suspects.items():
            if self.seq_of(uid):
                raise Violation(text)
        for uid, message in self.by_uid():
            if message.flags is None:
                continue
            for keyword in KEYWORDS:
                wanted = self.box.expected(uid, keyword, before)
                if wanted is not None and wanted != (keyword in message.flags):
                    word = "lost" if wanted else "has again"
                    raise Violation(f"UID {uid} {word} keyword {keyword.decode()}: {sorted(message.flags)}")


def _name(name: Value) -> bytes:
    if not isinstance(name, bytes):
        raise Violation(f"FETCH item without name: {name!r}")
    return name.upper()


def _is_nil(table: dict[bytes, Value]) -> bool:
    """The content was not there: what a server says in its place is no fact."""
    return any(
        (value is None and item.startswith((b"BODY[", b"RFC822", b"BINARY[")) and not item.startswith(_PARTS))
        or (item == b"RFC822.SIZE" and value == b"0")
        or (item == b"ENVELOPE" and isinstance(value, list) and not any(value))
        or (item == b"INTERNALDATE" and value == b"01-Jan-1970 00:00:00 +0000")
        for item, value in table.items()
    )


def _text(body: bytes) -> bytes:
    return body.partition(b"\r\n\r\n")[2]


def vanished_uids(words: list[Value]) -> tuple[list[int], bool]:
    """UIDs of a VANISHED response, and whether it is (EARLIER)."""
    if isinstance(words[0], list):
        return numbers(flat(words[1])[0]), True
    return numbers(flat(words[0])[0]), False

"""SELECT, with and without QRESYNC, and what is done to whole mailboxes. See commands.py."""

from dataclasses import dataclass

from tests.stress.connection import Answer, Command, Connection, select_codes
from tests.stress.model import TEMPORARY
from tests.stress.parse import Reader, Violation, flat, number_set
from tests.stress.plan import Plan
from tests.stress.selected import Selected, vanished_uids


def select(plan: Plan, conn: Connection, name: bytes = b"", verb: bytes = b"") -> Command:
    """SELECT or EXAMINE, of any mailbox."""
    name = name or plan.source.choice(
        [*plan.stable, *plan.stable, *plan.stable, plan.source.choice(TEMPORARY)]
    )
    verb = verb or plan.source.choice((b"SELECT", b"SELECT", b"SELECT", b"EXAMINE"))
    stable = name in plan.stable
    command = Command(verb, [b"%b %b\r\n" % (verb, name)], _selected, may_fail=not stable, selecting=[])
    known = conn.world.names.get((conn.user, name))
    box = conn.world.box(conn.user, known) if known is not None else None
    before = (box.uidnext, box.highest.get(conn.server, 0)) if box is not None else (0, 0)
    command.result = (name, stable, before, None)
    return command


def leave(conn: Connection) -> None:
    conn.selected, conn.mailbox = None, b""


def _selected(conn: Connection, command: Command, answer: Answer) -> None:
    leave(conn)
    responses, command.selecting = command.selecting or [], None
    if not answer.ok:
        return
    name, stable, before, cache = command.result  # type: ignore[misc]
    codes = select_codes(responses)
    if b"UIDVALIDITY" not in codes or b"UIDNEXT" not in codes:
        raise Violation("SELECT without UIDVALIDITY or UIDNEXT")
    box = conn.world.named(conn.user, name, int(codes[b"UIDVALIDITY"]), stable=stable)
    uidnext, highest = int(codes[b"UIDNEXT"]), int(codes.get(b"HIGHESTMODSEQ", b"0"))
    if uidnext < before[0]:
        raise Violation(f"UIDNEXT {uidnext}, but it was {before[0]} before")
    if highest and highest < before[1]:
        raise Violation(f"HIGHESTMODSEQ {highest}, but {before[1]} was told before")
    box.uidnext = max(box.uidnext, uidnext)
    box.highest[conn.server] = max(box.highest.get(conn.server, 0), highest)
    conn.sessions += 1
    session = conn.index * 100_000 + conn.sessions
    selected = Selected(
        conn.world,
        box,
        conn.server,
        session,
        readonly=command.verb == b"EXAMINE" or answer.code == b"READ-ONLY",
    )
    selected.opened, selected.uidnext, selected.highest = command.sent, uidnext, highest
    conn.selected, conn.mailbox = selected, name
    resync = Resync(selected, cache) if cache is not None and cache.uidvalidity == box.uidvalidity else None
    for data in responses:
        if resync is None or not resync.take(data):
            conn.untagged(data)
    if not selected.complete:
        raise Violation("SELECT without EXISTS")
    if resync is not None:
        resync.finish()


@dataclass(slots=True)
class Cache:
    """What a QRESYNC client keeps of a mailbox."""

    name: bytes
    uidvalidity: int
    modseq: int
    flags: dict[int, frozenset[bytes]]
    only_known: bool = False  # the UIDs are told to the server


class Resync:
    """Brings a cache up to date by the responses of SELECT (QRESYNC ...). RFC 7162 3.2.5."""

    def __init__(self, selected: Selected, cache: Cache) -> None:
        self._selected, self._flags, self._only_known = selected, dict(cache.flags), cache.only_known

    def take(self, data: bytes) -> bool:
        """True: dealt with."""
        if data.startswith(b"* VANISHED (EARLIER)"):
            for uid in vanished_uids(Reader(data, len(b"* VANISHED")).rest())[0]:
                self._flags.pop(uid, None)
            return True
        word = data[2:].split(b" ", 2)
        if len(word) > 2 and word[1] == b"FETCH":
            items = Reader(data, data.index(b"(")).value()
            assert isinstance(items, list)
            table = {
                flat(name)[0].upper(): value for name, value in zip(items[::2], items[1::2], strict=True)
            }
            if b"UID" not in table or b"FLAGS" not in table or b"MODSEQ" not in table:
                raise Violation("FETCH of a resynchronisation without UID, FLAGS or MODSEQ")
            self._flags[int(flat(table[b"UID"])[0])] = frozenset(
                flag for flag in flat(table[b"FLAGS"]) if flag != b"\\Recent"
            )
        return False

    def finish(self) -> None:
        """The client knows all messages now."""
        messages = self._selected.messages
        if self._only_known and len(messages) > len(self._flags):
            # RFC 7162 3.2.5.2: nothing is said of UIDs that the client did not name; new ones are at the end.
            messages = messages[: len(self._flags)]
        if len(self._flags) != len(messages):
            raise Violation(f"resynchronised to {len(self._flags)} messages of {len(messages)}")
        for message, uid in zip(messages, sorted(self._flags), strict=True):
            if message.uid not in (None, uid):
                raise Violation(f"resynchronised to UID {uid} where {message.uid} is")
            message.uid, message.flags = uid, self._flags[uid]


def cache_of(conn: Connection) -> Cache | None:
    """Before the connection is given up."""
    selected = conn.selected
    if selected is None or not selected.known() or not selected.highest:
        return None
    flags = {uid: one.flags for uid, one in selected.by_uid() if one.flags is not None}
    return Cache(conn.mailbox, selected.box.uidvalidity, selected.highest, flags)


def resync(plan: Plan, conn: Connection, cache: Cache) -> Command:
    """SELECT (QRESYNC ...) of what is in the cache."""
    command = select(plan, conn, cache.name, b"SELECT")
    cache.only_known = bool(cache.flags) and plan.source.random() < 0.5
    known = b" %b" % number_set(list(cache.flags)) if cache.only_known else b""
    command.parts = [
        b"SELECT %b (QRESYNC (%d %d%b))\r\n" % (cache.name, cache.uidvalidity, cache.modseq, known)
    ]
    name, stable, before, _ = command.result  # type: ignore[misc]
    command.result = (name, stable, before, cache)
    return command


def close(plan: Plan, conn: Connection) -> Command | None:
    if conn.selected is None:
        return None
    verb = plan.source.choice((b"CLOSE", b"UNSELECT"))
    leave_after = lambda conn, command, answer: leave(conn)  # noqa: E731
    return Command(verb, [verb + b"\r\n"], leave_after)


def temporary(plan: Plan, conn: Connection) -> Command | None:
    """CREATE, DELETE, RENAME."""
    verb = plan.source.choice((b"CREATE", b"CREATE", b"DELETE", b"RENAME"))
    if plan.mixed and verb == b"RENAME":
        return None  # a session of Dovecot that has it open reads the files of whatever gets its old name
    names = plan.source.sample(TEMPORARY, 2 if verb == b"RENAME" else 1)
    if verb != b"CREATE" and conn.mailbox in names:
        return None
    return Command(verb, [b"%b %b\r\n" % (verb, b" ".join(names))], may_fail=True)

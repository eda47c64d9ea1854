"""While all are quiet every connection, and a new one, must see the same, and what was stored."""

from typing import TYPE_CHECKING

from tests.stress.connection import Answer, Closed, Command, Connection, select_codes, single
from tests.stress.looking import fetch_all, status_values
from tests.stress.model import Box
from tests.stress.parse import Violation, number_set
from tests.stress.selected import Selected

if TYPE_CHECKING:
    from tests.stress.run import Run

SAMPLE = 15  # messages whose content is read at each look; more would be slow

State = dict[int, tuple[frozenset[bytes], int]]  # UID -> flags, modseq


class Checkpoint:
    """One look."""

    def __init__(self, run: "Run") -> None:
        self.run, self.world = run, run.world
        self._states: dict[tuple[str, int], tuple[Connection, State]] = {}

    def look(self) -> None:
        for at in range(len(self.run.connections)):
            conn = self.run.connections[at]
            try:
                if conn.selected is not None:
                    self._session(conn)
            except Closed:
                self.run.lost_at_checkpoint(conn)
        for at, user in enumerate(self.run.users):
            conn = self.run.connect(at, user)
            conn.index = at
            try:
                for name in self.run.stable:
                    self._mailbox(conn, name)
            finally:
                conn.close()

    def _ask(self, conn: Connection, verb: bytes, line: bytes) -> Command:
        command = Command(verb, [line], finish=_nothing)
        self.run.ask(conn, command)
        return command

    def _session(self, conn: Connection) -> None:
        """After NOOP a client knows everything: nothing new is seen when it asks."""
        self.run.ask(conn, Command(b"NOOP", [b"NOOP\r\n"]))
        selected = conn.selected
        if selected is None:
            return
        selected.owners_flags(self.world.tick)
        told = {uid: one.flags for uid, one in selected.by_uid() if one.flags is not None}
        modseqs = {uid: one.modseq for uid, one in selected.by_uid() if one.modseq}
        count = len(selected.messages)
        self._fetch(conn, selected)
        if len(selected.messages) != count:
            raise Violation(
                f"{len(selected.messages)} messages, {count} after NOOP while nobody did anything"
            )
        for uid, message in selected.by_uid():
            if uid in told and message.flags != told[uid]:
                raise Violation(
                    f"flags of UID {uid} were told as {_show(told[uid])} and are {_show(message.flags)}"
                )
            if modseqs.get(uid, message.modseq) != message.modseq:
                raise Violation(f"MODSEQ of UID {uid} was told as {modseqs[uid]} and is {message.modseq}")
        if not selected.known():
            raise Violation("UID FETCH 1:* left out messages")
        recent = sum(message.recent for message in selected.messages)
        if recent != selected.recent:
            raise Violation(f"RECENT was {selected.recent}, but {recent} messages have \\Recent")
        selected.owners_flags(self.world.tick)
        found = single(self._ask(conn, b"UID SEARCH", b"UID SEARCH ALL\r\n").untagged[0][1])
        if found != selected.uids():
            raise Violation(f"UID SEARCH ALL {found}, but FETCH told {selected.uids()}")
        self._agree(conn, selected)

    def _fetch(self, conn: Connection, selected: Selected) -> None:
        command = fetch_all(self.run.plan, conn)
        if command is not None:
            self.run.ask(conn, command)

    def _agree(self, conn: Connection, selected: Selected) -> None:
        state: State = {
            uid: (one.flags, one.modseq) for uid, one in selected.by_uid() if one.flags is not None
        }
        key = (conn.user, selected.box.uidvalidity)
        other, known = self._states.setdefault(key, (conn, state))
        if known.keys() != state.keys():
            differing = sorted(known.keys() ^ state.keys())
            raise Violation(f"{other.name} and {conn.name} see other messages: {differing}")
        for uid, (flags, modseq) in state.items():
            if flags != known[uid][0]:
                theirs = _show(known[uid][0])
                raise Violation(f"UID {uid} has {_show(flags)} for {conn.name} and {theirs} for {other.name}")
            if modseq != known[uid][1] and conn.server == other.server:
                raise Violation(
                    f"UID {uid} has MODSEQ {modseq} for {conn.name} and {known[uid][1]} for {other.name}"
                )

    def _mailbox(self, conn: Connection, name: bytes) -> None:
        """A new session's view, STATUS, contents, and that no mail was lost."""
        items = b"(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)"
        values = status_values(self._ask(conn, b"STATUS", b"STATUS %b %b\r\n" % (name, items)))
        before = self.world.tick
        selected = self._examine(conn, name, values)
        self._fetch(conn, selected)
        if not selected.known():
            raise Violation(f"UID FETCH 1:* left out messages of {name.decode()}")
        selected.owners_flags(before)
        box, uids = selected.box, selected.uids()
        unseen = sum(b"\\Seen" not in (one.flags or ()) for one in selected.messages)
        counted = (len(uids), box.uidvalidity, unseen)
        if counted != (values[b"MESSAGES"], values[b"UIDVALIDITY"], values[b"UNSEEN"]):
            raise Violation(f"STATUS {values}, but there are {counted} (messages, UIDVALIDITY, unseen)")
        top = max((one.modseq for one in selected.messages), default=0)
        if not top <= values[b"HIGHESTMODSEQ"] or selected.highest != values[b"HIGHESTMODSEQ"]:
            told = f"{values[b'HIGHESTMODSEQ']} in STATUS, {selected.highest} in EXAMINE"
            raise Violation(f"HIGHESTMODSEQ {told}, {top} in FETCH")
        self._nothing_since(conn, selected)
        self._agree(conn, selected)
        self._lost(box, uids, name)
        self._contents(conn, selected)
        self.run.ask(conn, Command(b"UNSELECT", [b"UNSELECT\r\n"]))
        conn.selected = None

    def _examine(self, conn: Connection, name: bytes, values: dict[bytes, int]) -> Selected:
        command = Command(b"EXAMINE", [b"EXAMINE %b\r\n" % name], selecting=[])
        self.run.ask(conn, command)
        responses, command.selecting = command.selecting or [], None
        codes = {key: int(text) for key, text in select_codes(responses).items() if text.isdigit()}
        if codes[b"UIDNEXT"] != values[b"UIDNEXT"]:
            raise Violation(f"UIDNEXT {values[b'UIDNEXT']} in STATUS and {codes[b'UIDNEXT']} in EXAMINE")
        box = self.world.named(conn.user, name, codes[b"UIDVALIDITY"], stable=True)
        if codes[b"UIDNEXT"] < box.uidnext:
            raise Violation(f"UIDNEXT {codes[b'UIDNEXT']}, but it was {box.uidnext} before")
        selected = Selected(self.world, box, conn.server, 0, readonly=True)
        selected.opened, selected.uidnext = command.sent, codes[b"UIDNEXT"]
        selected.highest = codes.get(b"HIGHESTMODSEQ", 0)
        conn.selected, conn.mailbox = selected, name
        for data in responses:
            conn.untagged(data)
        return selected

    def _nothing_since(self, conn: Connection, selected: Selected) -> None:
        if not selected.messages or not selected.highest:
            return
        line = b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)\r\n" % selected.highest
        self._ask(conn, b"UID FETCH", line)
        if selected.changed.fetched:
            raise Violation(f"changes since HIGHESTMODSEQ {selected.highest}: {selected.changed.fetched}")

    def _lost(self, box: Box, uids: list[int], name: bytes) -> None:
        missing = box.sure - set(uids) - box.may_go - box.moved
        if missing:
            raise Violation(
                f"{name.decode()} has lost UID {min(missing)}, message {box.ids.get(min(missing))}"
            )

    def _contents(self, conn: Connection, selected: Selected) -> None:
        uids = selected.uids()
        if not uids:
            return
        chosen = uids if len(uids) <= SAMPLE else sorted(self.run.source.sample(uids, SAMPLE))
        self._ask(conn, b"UID FETCH", b"UID FETCH %b (BODY.PEEK[])\r\n" % number_set(chosen))
        missing = [uid for uid in chosen if uid not in selected.box.ids]
        if missing:
            raise Violation(f"no content of UID {missing[0]}")


def _nothing(conn: Connection, command: Command, answer: Answer) -> None:
    """The caller looks at the command itself."""


def _show(flags: frozenset[bytes] | None) -> str:
    return b" ".join(sorted(flags or ())).decode("utf-8", "replace") or "nothing"

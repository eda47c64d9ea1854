"""What clients do. Each function makes one command for a connection, or None when it makes no sense now.

Every command is legal, and its `finish` knows what its answer has to be.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.stress.connection import Answer, Command, Connection, select_codes, single
from tests.stress.model import KEYWORDS, TEMPORARY, Box
from tests.stress.parse import Reader, Value, Violation, flat, number_set, numbers
from tests.stress.selected import Selected, vanished_uids

SYSTEM = (b"\\Seen", b"\\Answered", b"\\Flagged", b"\\Draft")
ITEMS = (
    b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODYSTRUCTURE", b"BODY", b"BODY.PEEK[]", b"BODY[]",
    b"BODY.PEEK[HEADER]", b"BODY.PEEK[TEXT]", b"BODY.PEEK[1]", b"BODY.PEEK[1.MIME]", b"BODY.PEEK[]<7.90>",
    b"BODY.PEEK[HEADER.FIELDS (SUBJECT X-Stress-Id)]", b"RFC822.HEADER", b"MODSEQ", b"RFC822",
)  # fmt: skip
EXTENSION_ITEMS = {
    b"BINARY": (b"BINARY.PEEK[TEXT]", b"BINARY.SIZE[1]"),
    b"PREVIEW": (b"PREVIEW",),
    b"OBJECTID": (b"EMAILID", b"THREADID"),
}
LARGE = 60  # messages: from here on more is deleted than added


@dataclass(slots=True)
class Plan:
    """What the run is about."""

    source: random.Random
    stable: Sequence[bytes]  # mailboxes that are there all the time
    connections: dict[str, int]  # user -> how many connections he has
    mixed: bool = False  # two servers on one Maildir


Maker = Callable[[Plan, Connection], Command | None]


def _chosen(conn: Connection) -> Selected | None:
    selected = conn.selected
    return selected if selected is not None and selected.messages else None


def _some(plan: Plan, among: Sequence[int]) -> list[int]:
    count = min(len(among), plan.source.choice((1, 1, 2, 5, 20)))
    return sorted(plan.source.sample(among, count))


def _seqs(plan: Plan, selected: Selected) -> bytes:
    return number_set(_some(plan, range(1, len(selected.messages) + 1)))


def _mine(plan: Plan, conn: Connection, selected: Selected) -> list[int]:
    """UIDs whose keywords this connection may change."""
    users = plan.connections[conn.user]
    return [uid for uid in selected.uids() if uid % users == conn.index % users]


# -- looking -----------------------------------------------------------------------------------------------


def noop(plan: Plan, conn: Connection) -> Command | None:
    if plan.source.random() < 0.2 and conn.selected is not None:
        return Command(b"CHECK", [b"CHECK\r\n"], _looked)
    return Command(b"NOOP", [b"NOOP\r\n"], None if plan.mixed else _looked)


def _looked(conn: Connection, command: Command, answer: Answer) -> None:
    if conn.selected is not None:
        conn.selected.owners_flags(command.sent)


def fetch_all(plan: Plan, conn: Connection) -> Command | None:
    if _chosen(conn) is None:
        return None
    return Command(b"UID FETCH", [b"UID FETCH 1:* (FLAGS MODSEQ)\r\n"], _fetched_all)


def _fetched_all(conn: Connection, command: Command, answer: Answer) -> None:
    selected = conn.selected
    if selected is None or not answer.ok or conn.pending:
        return
    for seq in range(1, min(len(selected.messages), selected.first_exists) + 1):
        if selected.messages[seq - 1].uid is None and not selected.changed.expunged:
            raise Violation(f"UID FETCH 1:* left out message {seq}")


def fetch(plan: Plan, conn: Connection) -> Command | None:
    selected = _chosen(conn)
    if selected is None:
        return None
    choice = list(ITEMS)
    for word, items in EXTENSION_ITEMS.items():
        if word in conn.capabilities:
            choice += items
    items = plan.source.sample(choice, plan.source.randrange(1, 5))
    by_uid = plan.source.random() < 0.5 and bool(selected.uids())
    what = number_set(_some(plan, selected.uids())) if by_uid else _seqs(plan, selected)
    tail = b""
    if plan.source.random() < 0.1:
        tail = b" (CHANGEDSINCE %d)" % plan.source.randrange(1, selected.highest + 2)
    verb = b"UID FETCH" if by_uid else b"FETCH"
    uid = b"" if by_uid else b"UID "
    line = b"%b %b (%b%b)%b\r\n" % (verb, what, uid, b" ".join(items), tail)
    command = Command(verb, [line], _fetched)
    if not by_uid and not tail:
        command.result = numbers(what)
    return command


def _fetched(conn: Connection, command: Command, answer: Answer) -> None:
    selected = conn.selected
    if selected is None or not answer.ok or conn.pending or command.tag != selected.changed.first:
        return
    if selected.changed.nil and answer.code != b"EXPUNGEISSUED":
        raise Violation(f"FETCH said OK, but UID {min(selected.changed.nil)} had no content")
    if not isinstance(command.result, list):
        return
    missing = [seq for seq in command.result if seq not in selected.changed.fetched]
    if missing and not selected.changed.expunged and answer.code != b"EXPUNGEISSUED":
        raise Violation(f"FETCH said OK and left out message {missing[0]}")


def status(plan: Plan, conn: Connection) -> Command | None:
    name = plan.source.choice([*plan.stable, *TEMPORARY])
    line = b"STATUS %b (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)\r\n" % name
    command = Command(b"STATUS", [line], _status_of, may_fail=name in TEMPORARY)
    command.result = (name, name in plan.stable)
    if (
        name in plan.stable
        and name != conn.mailbox
        and (known := conn.world.names.get((conn.user, name))) is not None
    ):
        box = conn.world.box(conn.user, known)
        command.result = (name, True, box.uidnext, box.highest.get(conn.server, 0))
    return command


def _status_of(conn: Connection, command: Command, answer: Answer) -> None:
    if not answer.ok:
        return
    values = status_values(command)
    name, stable, *before = command.result  # type: ignore[misc]
    if not stable:
        return
    box = conn.world.named(conn.user, name, values[b"UIDVALIDITY"], stable=stable)
    if before and values[b"UIDNEXT"] < before[0]:
        raise Violation(f"STATUS UIDNEXT {values[b'UIDNEXT']}, but it was {before[0]} before")
    if before and values[b"HIGHESTMODSEQ"] < before[1]:
        raise Violation(f"STATUS HIGHESTMODSEQ {values[b'HIGHESTMODSEQ']}, but {before[1]} was told before")
    box.uidnext = max(box.uidnext, values[b"UIDNEXT"])
    box.highest[conn.server] = max(box.highest.get(conn.server, 0), values[b"HIGHESTMODSEQ"])


def status_values(command: Command) -> dict[bytes, int]:
    """Of the one STATUS response."""
    if len(command.untagged) != 1 or len(command.untagged[0][1]) != 2:
        raise Violation(f"STATUS was answered with {command.untagged!r:.200}")
    items = flat(command.untagged[0][1][1])
    return {name.upper(): int(value) for name, value in zip(items[::2], items[1::2], strict=True)}


def list_all(plan: Plan, conn: Connection) -> Command | None:
    command = Command(b"LIST", [b'LIST "" *\r\n'], _listed)
    command.result = list(plan.stable)
    return command


def _listed(conn: Connection, command: Command, answer: Answer) -> None:
    names = [values[2] for _, values in command.untagged]
    assert isinstance(command.result, list)
    for name in command.result:
        if names.count(name) != 1:
            raise Violation(f"LIST tells of {name.decode()} {names.count(name)} times")


# -- changing ----------------------------------------------------------------------------------------------


def store(plan: Plan, conn: Connection) -> Command | None:
    """System flags, of anybody's messages; by number or UID."""
    selected = _chosen(conn)
    if selected is None or selected.readonly:
        return None
    sign = plan.source.choice((b"+", b"-"))
    silent = b".SILENT" if plan.source.random() < 0.3 else b""
    flags = b" ".join(plan.source.sample(SYSTEM, plan.source.randrange(1, 3)))
    by_uid = plan.source.random() < 0.5 and bool(selected.uids())
    what = number_set(_some(plan, selected.uids())) if by_uid else _seqs(plan, selected)
    if silent:
        _unknown(selected, numbers(what), by_uid)
    verb = b"UID STORE" if by_uid else b"STORE"
    forget = _forget(selected, numbers(what), by_uid) if silent else None
    return Command(verb, [b"%b %b %bFLAGS%b (%b)\r\n" % (verb, what, sign, silent, flags)], forget)


def _forget(
    selected: Selected, chosen: list[int], by_uid: bool
) -> Callable[[Connection, Command, Answer], None]:
    return lambda conn, command, answer: _unknown(selected, chosen, by_uid)


def _unknown(selected: Selected, chosen: list[int], by_uid: bool) -> None:
    """What .SILENT changes is not told: the client would have to know what others did."""
    wanted = set(chosen)
    for seq, message in enumerate(selected.messages, 1):
        if (message.uid if by_uid else seq) in wanted:
            message.flags = None


@dataclass(slots=True)
class Change:
    """A STORE of keywords by their owner."""

    box: Box
    sign: bytes
    keywords: list[bytes]
    late: set[int]  # UIDs that are known to fail UNCHANGEDSINCE


def store_keywords(plan: Plan, conn: Connection) -> Command | None:
    """By the owner, sometimes replacing all flags, sometimes UNCHANGEDSINCE."""
    selected = _chosen(conn)
    if selected is None or selected.readonly:
        return None
    mine = _mine(plan, conn, selected)
    if not mine:
        return None
    uids = _some(plan, mine)
    sign = plan.source.choice((b"+", b"-", b""))
    keywords = plan.source.sample(KEYWORDS, plan.source.randrange(1, 3))
    extra = [plan.source.choice(SYSTEM)] if sign == b"" else []
    change = Change(selected.box, sign, keywords, set())
    condition = b""
    if plan.source.random() < 0.3:
        limit = plan.source.randrange(1, selected.highest + 2)
        condition = b" (UNCHANGEDSINCE %d)" % limit
        told = selected.box.modseqs
        change.late = {uid for uid in uids if told.get((conn.server, uid), 0) > limit}
    silent = b".SILENT" if plan.source.random() < 0.2 else b""
    if silent:
        _unknown(selected, uids, True)
    flags = b" ".join([*keywords, *extra])
    line = b"UID STORE %b%b %bFLAGS%b (%b)\r\n" % (number_set(uids), condition, sign, silent, flags)
    stored = _stored(change)

    def finish(conn: Connection, command: Command, answer: Answer) -> None:
        stored(conn, command, answer)
        if silent:
            _unknown(selected, uids, True)

    return Command(b"UID STORE", [line], finish, uids)


def _stored(change: Change) -> Callable[[Connection, Command, Answer], None]:
    def finish(conn: Connection, command: Command, answer: Answer) -> None:
        change.box.fly(command.uids, -1)
        modified = set(numbers(answer.argument)) if answer.code == b"MODIFIED" else set()
        if not answer.ok:
            change.box.forget(command.uids)
            return
        there = set(conn.selected.uids()) if conn.selected is not None else set()
        kept = change.late - modified
        if kept & there and answer.code != b"EXPUNGEISSUED":
            raise Violation(f"UNCHANGEDSINCE did not keep STORE from UID {min(kept & there)}")
        tick = conn.world.tick
        for uid in command.uids:
            if uid in modified:
                if (stored := change.box.stored.get((uid, KEYWORDS[0]))) is not None and stored.tick < 0:
                    change.box.forget([uid])
                continue
            if uid not in there:
                change.box.forget([uid])
                continue
            for keyword in KEYWORDS:
                if keyword in change.keywords:
                    change.box.set(uid, keyword, change.sign != b"-", tick)
                elif change.sign == b"":
                    change.box.set(uid, keyword, False, tick)

    return finish


def delete(plan: Plan, conn: Connection) -> Command | None:
    """Mark for expunge."""
    selected = _chosen(conn)
    if selected is None or selected.readonly or not selected.uids():
        return None
    uids = _some(plan, selected.uids())
    selected.box.may_go.update(uids)
    return Command(b"UID STORE", [b"UID STORE %b +FLAGS (\\Deleted)\r\n" % number_set(uids)])


def expunge(plan: Plan, conn: Connection) -> Command | None:
    selected = conn.selected
    if selected is None or selected.readonly:
        return None
    deleted = [uid for uid, one in selected.by_uid() if one.flags is not None and b"\\Deleted" in one.flags]
    if plan.source.random() < 0.4 and deleted:
        uids = _some(plan, deleted)
        return Command(b"UID EXPUNGE", [b"UID EXPUNGE %b\r\n" % number_set(uids)], _expunged)
    return Command(b"EXPUNGE", [b"EXPUNGE\r\n"], _expunged)


def _expunged(conn: Connection, command: Command, answer: Answer) -> None:
    if answer.code == b"HIGHESTMODSEQ" and conn.selected is not None:
        conn.selected.highest = int(answer.argument)


def append(plan: Plan, conn: Connection) -> Command | None:
    """One or several messages, with and without flags, synchronising literals or not."""
    if conn.selected is not None and len(conn.selected.messages) > LARGE and plan.source.random() < 0.8:
        return None
    name = plan.source.choice([*plan.stable, *plan.stable, conn.mailbox or plan.stable[0]])
    several = b"MULTIAPPEND" in conn.capabilities and plan.source.random() < 0.3
    ids = [conn.world.library.make() for _ in range(plan.source.choice((2, 3)) if several else 1)]
    sync = plan.source.random() < 0.3
    parts = [b"APPEND %b" % name]
    flags: list[list[bytes]] = []
    for number in ids:
        words = plan.source.sample([*SYSTEM, *KEYWORDS], plan.source.choice((0, 0, 1, 2)))
        flags.append(words)
        head = b" (%b)" % b" ".join(words) if words or plan.source.random() < 0.3 else b""
        body = conn.world.library.bodies[number]
        parts[-1] += b"%b {%d%b}\r\n" % (head, len(body), b"" if sync else b"+")
        if sync:
            parts.append(body)
        else:
            parts[-1] += body
    parts[-1] += b"\r\n"
    command = Command(b"APPEND", parts, _appended, may_fail=name in TEMPORARY)
    command.result = (name, name in plan.stable, ids, flags)
    return command


def _appended(conn: Connection, command: Command, answer: Answer) -> None:
    name, stable, ids, flags = command.result  # type: ignore[misc]
    if not answer.ok:
        if conn.server != "dovecot":  # its failure to write the keywords comes after the message is there
            conn.world.library.never.update(ids)
        return
    if answer.code != b"APPENDUID":
        return
    uidvalidity, uids = answer.argument.split(b" ")
    box = conn.world.named(conn.user, name, int(uidvalidity), stable=stable)
    given = numbers(uids)
    if len(given) != len(ids):
        raise Violation(f"APPENDUID tells of {len(given)} messages, {len(ids)} were appended")
    for uid, number, words in zip(given, ids, flags, strict=True):
        box.has(uid, number)
        box.sure.add(uid)
        for keyword in KEYWORDS:
            if (uid, keyword) not in box.stored:
                box.set(uid, keyword, keyword in words, conn.world.tick)


def copy(plan: Plan, conn: Connection) -> Command | None:
    """COPY and MOVE, by number and by UID."""
    selected = _chosen(conn)
    if selected is None:
        return None
    move = not selected.readonly and b"MOVE" in conn.capabilities and plan.source.random() < 0.5
    by_uid = plan.source.random() < 0.5
    uids = selected.uids()
    if move or by_uid:
        if not uids:
            return None
        chosen = _some(plan, uids)
        if move:
            selected.box.moved.update(chosen)
        what = number_set(chosen if by_uid else [selected.seq_of(uid) for uid in chosen])
    else:
        what = _seqs(plan, selected)
    if not move and len(selected.messages) > LARGE and plan.source.random() < 0.8:
        return None
    target = plan.source.choice([*plan.stable, *TEMPORARY])
    verb = (b"UID " if by_uid else b"") + (b"MOVE" if move else b"COPY")
    command = Command(verb, [b"%b %b %b\r\n" % (verb, what, target)], _copied, may_fail=True)
    command.result = (target, target in plan.stable, selected.box)
    return command


def _copied(conn: Connection, command: Command, answer: Answer) -> None:
    target, stable, source = command.result  # type: ignore[misc]
    found = [flat(values)[0] for word, values in command.untagged if word == b"COPYUID"]
    if answer.code == b"COPYUID":
        found.append(answer.argument)
    if not answer.ok and stable and answer.code not in (b"EXPUNGEISSUED", b"NONEXISTENT"):
        raise Violation(f"{command.verb.decode()} to {target.decode()} failed: {answer.text!r}")
    for argument in found:
        uidvalidity, left, right = argument.split(b" ")
        box = conn.world.named(conn.user, target, int(uidvalidity), stable=stable)
        old, new = numbers(left), numbers(right)
        if len(old) != len(new):
            raise Violation(f"COPYUID of {len(old)} messages to {len(new)}")
        for one, other in zip(old, new, strict=True):
            if one in source.ids:
                box.has(other, source.ids[one])
            if conn.server != "dovecot":
                box.sure.add(
                    other
                )  # 2.3.19 loses one of many now and then that are copied into their own mailbox
            if one in source.may_go:
                box.may_go.add(other)
            for keyword in KEYWORDS:
                wanted = source.expected(one, keyword, command.sent)
                if wanted is not None and (other, keyword) not in box.stored:
                    box.set(other, keyword, wanted, conn.world.tick)


# -- asking ------------------------------------------------------------------------------------------------


def search(plan: Plan, conn: Connection) -> Command | None:
    selected = conn.selected
    if selected is None:
        return None
    by_uid = plan.source.random() < 0.5
    verb = b"UID SEARCH" if by_uid else b"SEARCH"
    flag = plan.source.choice((*SYSTEM, *KEYWORDS))
    key = flag[1:].upper() if flag.startswith(b"\\") else b"KEYWORD " + flag
    negated = plan.source.random() < 0.3
    key = plan.source.choice((b"ALL", b"NOT " + key if negated else key))
    if key == b"ALL":
        flag = b""
    extended = b"ESEARCH" in conn.capabilities and plan.source.random() < 0.4
    middle = b" RETURN (MIN MAX COUNT ALL)" if extended else b""
    command = Command(verb, [b"%b%b %b\r\n" % (verb, middle, key)], _searched)
    command.result = (by_uid, flag, negated)
    return command


def _searched(conn: Connection, command: Command, answer: Answer) -> None:
    selected = conn.selected
    if not command.untagged:
        raise Violation(f"{command.verb.decode()} without a result")
    if selected is None:
        return
    by_uid, flag, negated = command.result  # type: ignore[misc]
    word, values = command.untagged[0]
    found = _extended(values) if word == b"ESEARCH" else single(values)
    if len(found) != len(set(found)):
        raise Violation(f"{command.verb.decode()} tells a message twice")
    told = set(found)
    for seq, (uid, flags) in enumerate(command.view, 1):
        if uid is None or (flag and flags is None) or uid in selected.changed.flags:
            continue
        wanted = (flag in (flags or ())) != negated if flag else True
        if wanted != ((uid if by_uid else seq) in told) and uid in selected.uids():
            raise Violation(
                f"{command.verb.decode()} {'lacks' if wanted else 'tells of'} message {seq} (UID {uid})"
            )
    if not by_uid and told and max(told) > len(command.view):
        raise Violation(f"SEARCH tells of message {max(told)} of {len(command.view)}")


def _extended(values: list[Value]) -> list[int]:
    words = [value for value in values if isinstance(value, bytes) and value.upper() != b"UID"]
    table = {name.upper(): value for name, value in zip(words[::2], words[1::2], strict=True)}
    found = numbers(table[b"ALL"]) if b"ALL" in table else []
    if int(table.get(b"COUNT", b"0")) != len(found):
        raise Violation(f"ESEARCH COUNT {table.get(b'COUNT')!r} of {len(found)} messages")
    if found and (int(table[b"MIN"]) != min(found) or int(table[b"MAX"]) != max(found)):
        raise Violation(f"ESEARCH MIN and MAX of {found} are {table[b'MIN']!r} and {table[b'MAX']!r}")
    return found


def sort(plan: Plan, conn: Connection) -> Command | None:
    selected = conn.selected
    if selected is None or b"SORT" not in conn.capabilities:
        return None
    verb = plan.source.choice((b"SORT", b"UID SORT"))
    reverse = plan.source.random() < 0.3
    key = plan.source.choice((b"SIZE", b"SIZE", b"SUBJECT", b"ARRIVAL", b"DATE", b"FROM"))
    line = b"%b (%b%b) UTF-8 ALL\r\n" % (verb, b"REVERSE " if reverse else b"", key)
    command = Command(verb, [line], _sorted)
    command.result = (key == b"SIZE", reverse)
    return command


def _sorted(conn: Connection, command: Command, answer: Answer) -> None:
    if not command.untagged:
        raise Violation("SORT without a result")
    found = single(command.untagged[0][1])
    by_uid = command.verb == b"UID SORT"
    _each_once(command, found, by_uid)
    sized, reverse = command.result  # type: ignore[misc]
    if not sized or conn.selected is None:
        return
    ids, bodies = conn.selected.box.ids, conn.world.library.bodies
    uids = found if by_uid else [command.view[seq - 1][0] for seq in found]
    box = conn.selected.box
    may_go = box.may_go | box.moved  # Dovecot takes an expunged message for an empty one
    sizes = [len(bodies[ids[uid]]) for uid in uids if uid is not None and uid in ids and uid not in may_go]
    if sizes != sorted(sizes, reverse=reverse):
        raise Violation(f"SORT by size: {sizes}")


def _each_once(command: Command, found: list[int], by_uid: bool) -> None:
    """All messages of the view, none twice."""
    if len(found) != len(set(found)):
        raise Violation(f"{command.verb.decode()} tells a message twice")
    if not by_uid and set(found) - set(range(1, len(command.view) + 1)):
        raise Violation(f"{command.verb.decode()} tells of messages that are not there: {sorted(found)[-3:]}")
    for seq, (uid, _) in enumerate(command.view, 1):
        if uid is not None and (uid if by_uid else seq) not in found:
            raise Violation(f"{command.verb.decode()} lacks message {seq} (UID {uid})")


def thread(plan: Plan, conn: Connection) -> Command | None:
    if conn.selected is None or b"THREAD=REFERENCES" not in conn.capabilities:
        return None
    verb = plan.source.choice((b"THREAD", b"UID THREAD"))
    how = plan.source.choice((b"REFERENCES", b"ORDEREDSUBJECT"))
    if b"THREAD=" + how not in conn.capabilities:
        how = b"REFERENCES"
    return Command(verb, [b"%b %b UTF-8 ALL\r\n" % (verb, how)], _threaded)


def _threaded(conn: Connection, command: Command, answer: Answer) -> None:
    if not command.untagged:
        raise Violation("THREAD without a result")
    found = [int(word) for word in flat(command.untagged[0][1])]
    _each_once(command, found, command.verb == b"UID THREAD")


def idle(plan: Plan, conn: Connection) -> Command | None:
    return Command(b"IDLE", [b"IDLE\r\n"])


# -- mailboxes ---------------------------------------------------------------------------------------------


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
    names = plan.source.sample(TEMPORARY, 2 if verb == b"RENAME" else 1)
    if verb != b"CREATE" and conn.mailbox in names:
        return None
    return Command(verb, [b"%b %b\r\n" % (verb, b" ".join(names))], may_fail=True)


MAKERS: tuple[tuple[Maker, int], ...] = (
    (noop, 10),
    (fetch_all, 8),
    (fetch, 16),
    (store, 12),
    (store_keywords, 12),
    (delete, 6),
    (expunge, 6),
    (append, 10),
    (copy, 6),
    (search, 8),
    (sort, 4),
    (thread, 3),
    (status, 3),
    (list_all, 1),
    (idle, 8),
    (select, 5),
    (close, 2),
    (temporary, 2),
)

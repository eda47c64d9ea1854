"""SEARCH, SORT, THREAD and IDLE. See commands.py."""

from tests.stress.connection import Answer, Command, Connection, single
from tests.stress.model import KEYWORDS
from tests.stress.parse import Value, Violation, flat, numbers
from tests.stress.plan import SYSTEM, Plan


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
    save = b" SAVE" if b"SEARCHRES" in conn.capabilities and plan.source.random() < 0.4 else b""
    middle = b" RETURN (MIN MAX COUNT ALL%b)" % save if extended else b""
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

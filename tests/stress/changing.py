"""Commands that change messages: STORE, EXPUNGE, APPEND, COPY, MOVE. See commands.py."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.stress.connection import Answer, Command, Connection
from tests.stress.model import KEYWORDS, TEMPORARY, Box
from tests.stress.parse import Violation, flat, number_set, numbers
from tests.stress.plan import LARGE, SYSTEM, Plan, open_with_mail, owned, seqs_of, some
from tests.stress.selected import Selected


def store(plan: Plan, conn: Connection) -> Command | None:
    """System flags, of anybody's messages; by number or UID."""
    selected = open_with_mail(conn)
    if selected is None or selected.readonly:
        return None
    sign = plan.source.choice((b"+", b"-"))
    silent = b".SILENT" if plan.source.random() < 0.3 else b""
    flags = b" ".join(plan.source.sample(SYSTEM, plan.source.randrange(1, 3)))
    by_uid = plan.source.random() < 0.5 and bool(selected.uids())
    what = number_set(some(plan, selected.uids())) if by_uid else seqs_of(plan, selected)
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
    selected = open_with_mail(conn)
    if selected is None or selected.readonly:
        return None
    mine = owned(plan, conn, selected)
    if not mine:
        return None
    uids = some(plan, mine)
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
    selected = open_with_mail(conn)
    if selected is None or selected.readonly or not selected.uids():
        return None
    uids = some(plan, selected.uids())
    selected.box.may_go.update(uids)
    return Command(b"UID STORE", [b"UID STORE %b +FLAGS (\\Deleted)\r\n" % number_set(uids)])


def expunge(plan: Plan, conn: Connection) -> Command | None:
    selected = conn.selected
    if selected is None or selected.readonly:
        return None
    deleted = [uid for uid, one in selected.by_uid() if one.flags is not None and b"\\Deleted" in one.flags]
    if plan.source.random() < 0.4 and deleted:
        uids = some(plan, deleted)
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


def replace(plan: Plan, conn: Connection) -> Command | None:
    """A message in the place of another. RFC 8508."""
    selected = open_with_mail(conn)
    if selected is None or selected.readonly or b"REPLACE" not in conn.capabilities or not selected.uids():
        return None
    uid = plan.source.choice(selected.uids())
    selected.box.moved.add(uid)
    name = plan.source.choice(plan.stable)
    number = conn.world.library.make()
    body = conn.world.library.bodies[number]
    by_uid = plan.source.random() < 0.5
    verb = b"UID REPLACE" if by_uid else b"REPLACE"
    line = b"%b %d %b {%d+}\r\n%b\r\n" % (
        verb,
        uid if by_uid else selected.seq_of(uid),
        name,
        len(body),
        body,
    )
    command = Command(verb, [line], _replaced, may_fail=True)
    command.result = (name, number)
    return command


def _replaced(conn: Connection, command: Command, answer: Answer) -> None:
    name, number = command.result  # type: ignore[misc]
    if not answer.ok:
        if answer.code not in (b"EXPUNGEISSUED", b"NONEXISTENT", b""):
            raise Violation(f"REPLACE failed: {answer.text!r}")
        conn.world.library.never.add(number)
        return
    found = [flat(values)[0] for word, values in command.untagged if word == b"APPENDUID"]
    if len(found) != 1:
        raise Violation(f"REPLACE told APPENDUID {len(found)} times")
    uidvalidity, uid = found[0].split(b" ")
    box = conn.world.named(conn.user, name, int(uidvalidity), stable=True)
    box.has(int(uid), number)
    box.sure.add(int(uid))


def copy(plan: Plan, conn: Connection) -> Command | None:
    """COPY and MOVE, by number and by UID."""
    selected = open_with_mail(conn)
    if selected is None:
        return None
    move = not selected.readonly and b"MOVE" in conn.capabilities and plan.source.random() < 0.5
    by_uid = plan.source.random() < 0.5
    uids = selected.uids()
    if move or by_uid:
        if not uids:
            return None
        chosen = some(plan, uids)
        if move:
            selected.box.moved.update(chosen)
        what = number_set(chosen if by_uid else [selected.seq_of(uid) for uid in chosen])
    else:
        what = seqs_of(plan, selected)
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
                if wanted is not None and (other, keyword) not in box.stored and not conn.world.mixed:
                    box.set(other, keyword, wanted, conn.world.tick)

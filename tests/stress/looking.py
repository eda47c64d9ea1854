"""Commands that look: NOOP, FETCH, STATUS, LIST. See commands.py."""

from tests.stress.connection import Answer, Command, Connection
from tests.stress.model import TEMPORARY
from tests.stress.parse import Violation, flat, number_set, numbers
from tests.stress.plan import Plan, open_with_mail, seqs_of, some

ITEMS = (
    b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODYSTRUCTURE", b"BODY", b"BODY.PEEK[]",
    b"BODY[]",
    b"BODY.PEEK[HEADER]", b"BODY.PEEK[TEXT]", b"BODY.PEEK[1]", b"BODY.PEEK[1.MIME]", b"BODY.PEEK[]<7.90>",
    b"BODY.PEEK[HEADER.FIELDS (SUBJECT X-Stress-Id)]", b"RFC822.HEADER", b"MODSEQ", b"RFC822",
)  # fmt: skip
EXTENSION_ITEMS = {
    b"BINARY": (b"BINARY.PEEK[TEXT]", b"BINARY.SIZE[1]"),
    b"PREVIEW": (b"PREVIEW",),
    b"OBJECTID": (b"EMAILID", b"THREADID"),
}


def noop(plan: Plan, conn: Connection) -> Command | None:
    if plan.source.random() < 0.2 and conn.selected is not None:
        return Command(b"CHECK", [b"CHECK\r\n"], _looked)
    return Command(b"NOOP", [b"NOOP\r\n"], None if plan.mixed else _looked)


def _looked(conn: Connection, command: Command, answer: Answer) -> None:
    if conn.selected is not None:
        conn.selected.owners_flags(command.sent)


def fetch_all(plan: Plan, conn: Connection) -> Command | None:
    if open_with_mail(conn) is None:
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
    selected = open_with_mail(conn)
    if selected is None:
        return None
    choice = list(ITEMS)
    for word, items in EXTENSION_ITEMS.items():
        if word in conn.capabilities:
            choice += items
    items = plan.source.sample(choice, plan.source.randrange(1, 5))
    by_uid = plan.source.random() < 0.5 and bool(selected.uids())
    what = number_set(some(plan, selected.uids())) if by_uid else seqs_of(plan, selected)
    tail = b""
    if plan.source.random() < 0.1:
        tail = b" (CHANGEDSINCE %d)" % plan.source.randrange(1, selected.highest + 2)
    verb = b"UID FETCH" if by_uid else b"FETCH"
    uid = b"" if by_uid else b"UID "
    if b"SEARCHRES" in conn.capabilities and plan.source.random() < 0.1:
        # RFC 5182: what SEARCH RETURN (SAVE) has found, nothing before the first
        return Command(verb, [b"%b $ (%b%b)\r\n" % (verb, uid, b" ".join(items))], _fetched)
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
        and not plan.mixed  # what the other has just done Dovecot may learn a second later
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

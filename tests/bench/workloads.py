"""What the servers are asked to do. Each workload prepares outside the clock and works inside it."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.bench import administration, deliveries
from tests.bench.bruteforce import bruteforce
from tests.bench.client import Imap, Pop3
from tests.bench.idle import idle
from tests.bench.mail import Library
from tests.support.mailgen import Generator
from tests.support.serverconf import PASSWORD
from tests.support.wire import Server

Clock = Callable[[str], AbstractContextManager[None]]


@dataclass(slots=True)
class Bench:
    """One server under test. `clock(name)` measures what is done inside it."""

    server: Server
    root_pid: int
    library: Library
    messages: int
    scale: float  # 1.0: full counts
    clock: Clock
    clock_with_children: Clock  # programs that the workload starts count too
    notes: dict[str, str] = field(default_factory=dict)

    def times(self, count: int) -> int:
        """A repetition count, scaled down by --quick."""
        return max(1, round(count * self.scale))

    def user(self, name: str, count: int) -> str:
        """A fresh user with that many messages."""
        self.library.give(self.library.maildir(count), self.server.place, name)
        return name

    def imap(self, user: str) -> Imap:
        return Imap(self.server.imap, user, PASSWORD)

    @property
    def some(self) -> int:
        """Size of a mailbox that is changed."""
        return max(1, min(self.messages, 5000, round(self.messages * 0.1)))


def logins(bench: Bench) -> None:
    """LOGIN and LOGOUT, one after the other."""
    bench.user("login", 1)
    for tls, port, name in ((False, bench.server.imap, "plain"), (True, bench.server.imaps, "TLS")):
        count = bench.times(200)
        Imap(port, "login", PASSWORD, tls).logout()
        with bench.clock(f"login, {name} x{count}"):
            for _ in range(count):
                Imap(port, "login", PASSWORD, tls).logout()


def select(bench: Bench) -> None:
    """SELECT of the large mailbox: the first ever, and again."""
    user = bench.user("select", bench.messages)
    client = bench.imap(user)
    with bench.clock("select, first ever"):
        client.ask("SELECT INBOX")
    count = bench.times(20)
    with bench.clock(f"select, again x{count}"):
        for _ in range(count):
            client.ask("UNSELECT")
            client.ask("SELECT INBOX")
    client.logout()


def fetch(bench: Bench) -> None:
    """FETCH of all messages, before and after the server has looked into them."""
    user = bench.user("fetch", bench.messages)
    client = bench.imap(user)
    client.ask("SELECT INBOX")
    count = bench.times(5)
    with bench.clock(f"fetch flags x{count}"):
        for _ in range(count):
            client.ask("FETCH 1:* (UID FLAGS)")
    items = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
    with bench.clock("fetch envelope+structure, cold"):
        client.ask(f"FETCH 1:* {items}")
    with bench.clock("fetch envelope+structure, warm"):
        client.ask(f"FETCH 1:* {items}")
    fields = "(UID BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES)])"
    with bench.clock("fetch header fields, first"):
        client.ask(f"FETCH 1:* {fields}")
    with bench.clock("fetch header fields, again"):
        client.ask(f"FETCH 1:* {fields}")
    with bench.clock(f"fetch bodies x{bench.some}"):
        client.ask(f"FETCH 1:{bench.some} (UID BODY.PEEK[])")
    client.logout()


def big(bench: Bench) -> None:
    """One message of 25 MB."""
    bench.library.give(bench.library.big(), bench.server.place, "big")
    client = bench.imap("big")
    client.ask("SELECT INBOX")
    count = bench.times(5)
    with bench.clock(f"fetch a 25 MB message x{count}"):
        for _ in range(count):
            client.ask("FETCH 1 BODY.PEEK[]")
    client.logout()


def search(bench: Bench) -> None:
    """SEARCH by what the index knows, and by content."""
    user = bench.user("search", bench.messages)
    client = bench.imap(user)
    client.ask("SELECT INBOX")
    for name, keys, count in (
        ("flag", "UNSEEN", 20),
        ("date", "SINCE 1-Feb-2021", 20),
        ("header, first", "SUBJECT lantern", 1),
        ("header, again", "SUBJECT meadow", 1),
        ("sent date", "SENTSINCE 1-Feb-2021", 1),
    ):
        repeated = bench.times(count)
        with bench.clock(f"search {name} x{repeated}"):
            for _ in range(repeated):
                client.ask(f"SEARCH {keys}")
    count = bench.times(20)
    with bench.clock(f"search flag or date or size x{count}"):
        for _ in range(count):
            client.ask("UID SEARCH OR UNSEEN (SINCE 1-Feb-2021 LARGER 2000)")
    with bench.clock(f"search modseq x{count}"):
        for _ in range(count):
            client.ask("SEARCH RETURN (MIN MAX COUNT) MODSEQ 2")
    with bench.clock(f"search saved, fetched x{count}"):
        for _ in range(count):
            client.ask("SEARCH RETURN (SAVE) UNSEEN")
            client.ask("FETCH $ (UID FLAGS)")
    with bench.clock(f"search body in {bench.some}"):
        client.ask(f"SEARCH 1:{bench.some} BODY quarry")
    client.logout()


def resync(bench: Bench) -> None:
    """QRESYNC: coming back after few and after many changes. RFC 7162 3.2.5."""
    user = bench.user("resync", bench.messages)
    client = bench.imap(user)
    client.ask("ENABLE QRESYNC")
    found = client.ask("SELECT INBOX")
    start = _number(found, rb"HIGHESTMODSEQ (\d+)")
    client.ask(f"STORE 1:{bench.some} +FLAGS.SILENT (\\Answered)")
    client.ask("STORE 5,7,9 +FLAGS.SILENT (\\Deleted)")
    client.ask("EXPUNGE")
    before = _number(client.ask("SELECT INBOX"), rb"HIGHESTMODSEQ (\d+)")
    client.ask("STORE 20,30 +FLAGS.SILENT (\\Flagged)")
    validity = _number(found, rb"UIDVALIDITY (\d+)")
    count = bench.times(20)
    for name, modseq in (("few changes", before), (f"{bench.some} changes", start)):
        with bench.clock(f"resync, {name} x{count}"):
            for _ in range(count):
                client.ask(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
    with bench.clock(f"changed since, vanished x{count}"):
        for _ in range(count):
            client.ask(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {before} VANISHED)")
    client.logout()


def _number(answer: bytes, pattern: bytes) -> int:
    found = re.search(pattern, answer)
    assert found, answer
    return int(found[1])


def _few_and_all(bench: Bench) -> tuple[int, ...]:
    return (bench.messages,) if bench.messages <= bench.some else (bench.some, bench.messages)


def sort(bench: Bench) -> None:
    """SORT by text and by date: the first ever, and again."""
    for messages in _few_and_all(bench):
        bench.library.give(bench.library.discussion(messages), bench.server.place, "sort")
        client = bench.imap("sort")
        client.ask("SELECT INBOX")
        count = bench.times(20)
        for keys in ("SUBJECT", "DATE", "FROM", "REVERSE FROM DATE"):
            with bench.clock(f"sort {keys.lower()} of {messages}, first"):
                client.ask(f"SORT ({keys}) UTF-8 ALL")
            with bench.clock(f"sort {keys.lower()} of {messages} x{count}"):
                for _ in range(count):
                    client.ask(f"SORT ({keys}) UTF-8 ALL")
        client.logout()


def thread(bench: Bench) -> None:
    """THREAD: the first ever, in the next session, again, and after a new message."""
    for messages in _few_and_all(bench):
        bench.library.give(bench.library.discussion(messages), bench.server.place, "thread")
        client = bench.imap("thread")
        client.ask("SELECT INBOX")
        with bench.clock(f"thread references of {messages}, first"):
            client.ask("THREAD REFERENCES UTF-8 ALL")
        client.logout()
        client = bench.imap("thread")
        client.ask("SELECT INBOX")
        with bench.clock(f"thread references of {messages}, next session"):
            client.ask("THREAD REFERENCES UTF-8 ALL")
        count = bench.times(20)
        for kind in ("REFERENCES", "REFS", "ORDEREDSUBJECT"):
            with bench.clock(f"thread {kind.lower()} of {messages} x{count}"):
                for _ in range(count):
                    client.ask(f"THREAD {kind} UTF-8 ALL")
        with bench.clock(f"thread references of {messages}, unseen x{count}"):
            for _ in range(count):
                client.ask("THREAD REFERENCES UTF-8 UNSEEN")
        few = bench.times(5)
        with bench.clock(f"append, thread references of {messages} x{few}"):
            for number in range(few):
                client.append("INBOX", b"Subject: Re: new\r\nMessage-ID: <new%d@x>\r\n\r\nb\r\n" % number)
                client.ask("THREAD REFERENCES UTF-8 ALL")
        client.logout()


def store(bench: Bench) -> None:
    """Flag changes: all at once, and one by one."""
    user = bench.user("store", bench.some)
    client = bench.imap(user)
    client.ask("SELECT INBOX")
    with bench.clock(f"store all {bench.some}, twice"):
        client.ask(r"STORE 1:* +FLAGS (\Flagged)")
        client.ask(r"STORE 1:* -FLAGS (\Flagged)")
    count = bench.times(500)
    with bench.clock(f"store one x{count}"):
        for number in range(count):
            client.ask(rf"STORE {number % bench.some + 1} +FLAGS (\Answered)")
    client.logout()


def append(bench: Bench) -> None:
    """APPEND one by one."""
    user = bench.user("append", 1)
    client = bench.imap(user)
    generator = Generator(99)
    count = bench.times(500)
    bodies = [generator.message() for _ in range(count)]
    with bench.clock(f"append x{count}"):
        for body in bodies:
            client.append("INBOX", body)
    client.logout()


def copy(bench: Bench) -> None:
    """COPY, MOVE and EXPUNGE of many."""
    user = bench.user("copy", bench.some)
    client = bench.imap(user)
    client.ask("CREATE Copies")
    client.ask("CREATE Moved")
    client.ask("SELECT INBOX")
    with bench.clock(f"copy {bench.some}"):
        client.ask("COPY 1:* Copies")
    half = max(1, bench.some // 2)
    with bench.clock(f"move {half}"):
        client.ask(f"MOVE 1:{half} Moved")
    client.ask("SELECT Copies")
    with bench.clock(f"expunge {bench.some}"):
        client.ask(r"STORE 1:* +FLAGS.SILENT (\Deleted)")
        client.ask("EXPUNGE")
    client.logout()


def pop3(bench: Bench) -> None:
    """A POP3 client empties a mailbox."""
    count = min(bench.some, 2000)
    user = bench.user("pop3", count)
    with bench.clock(f"POP3 drain of {count}"):
        client = Pop3(bench.server.pop3, user, PASSWORD)
        client.fetch(["UIDL", "LIST"])
        client.fetch(f"RETR {number}" for number in range(1, count + 1))
        for number in range(1, count + 1):
            client.ask(f"DELE {number}")
        client.ask("QUIT")
        client.close()


def lmtp(bench: Bench) -> None:
    """Deliveries over one connection, over eight, and to many recipients at once."""
    count = bench.times(500)
    mails = deliveries.messages(count)
    with bench.clock(f"LMTP, one connection x{count}"):
        deliveries.one_connection(bench.server, mails, "lmtp")
    with bench.clock(f"LMTP, {deliveries.CONNECTIONS} connections x{count}"):
        deliveries.many_connections(bench.server, mails)
    few = bench.times(50)
    names = [f"many{number}" for number in range(deliveries.RECIPIENTS)]
    with bench.clock(f"LMTP, {len(names)} recipients x{few}"):
        deliveries.one_connection(bench.server, mails[:few], *names)


def lda(bench: Bench) -> None:
    """dovecot-lda, a process for each message; its own CPU seconds are counted."""
    count = bench.times(50)
    mails = deliveries.messages(count)
    with bench.clock_with_children(f"dovecot-lda x{count}"):
        deliveries.lda(bench.server, mails, "lda")


def doveadm(bench: Bench) -> None:
    """Short commands of doveadm, a process for each; its own CPU seconds are counted."""
    count = bench.times(30)
    user = bench.user("doveadm", bench.some)
    administration.doveadm(bench.server, 1, "mailbox", "status", "-u", user, "all", "INBOX")
    commands = {
        "who": ("who",),
        "user": ("user", user),
        "mailbox status": ("mailbox", "status", "-u", user, "all", "INBOX"),
        "search": ("search", "-u", user, "mailbox", "INBOX", "unseen", "since", "2020-10-01"),
        "fetch": ("fetch", "-u", user, "uid flags hdr.subject", "mailbox", "INBOX", "1:20"),
    }
    for name, words in commands.items():
        with bench.clock_with_children(f"doveadm {name} x{count}"):
            administration.doveadm(bench.server, count, *words)


WORKLOADS: dict[str, Callable[[Bench], None]] = {
    "login": logins,
    "select": select,
    "fetch": fetch,
    "big": big,
    "search": search,
    "resync": resync,
    "sort": sort,
    "thread": thread,
    "store": store,
    "append": append,
    "copy": copy,
    "pop3": pop3,
    "lmtp": lmtp,
    "lda": lda,
    "doveadm": doveadm,
    "idle": idle,
    "bruteforce": bruteforce,
}

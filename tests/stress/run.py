"""The run: connects, lets every connection do something at random, and looks at everything now and then."""

import random
import select
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.stress import asking, changing, looking, mailboxes
from tests.stress.checkpoint import Checkpoint
from tests.stress.commands import MAKERS
from tests.stress.connection import Answer, Closed, Command, Connection, Tamper
from tests.stress.mailboxes import Cache, cache_of, resync
from tests.stress.model import TEMPORARY, World
from tests.stress.parse import Violation
from tests.stress.plan import Plan
from tests.support.serverconf import PASSWORD

HANG_SECS = 30.0
PIPELINED = (
    looking.fetch,
    asking.search,
    changing.store,
    changing.store_keywords,
    looking.fetch,
    looking.noop,
)


@dataclass(slots=True)
class Options:
    """What to do. `servers`: (name, port) each; connections take turns."""

    servers: Sequence[tuple[str, int]]
    seed: int = 1
    connections: int = 20
    users: int = 1
    mailboxes: int = 1
    seconds: float = 60.0
    checkpoint: float = 10.0  # seconds between looks at everything
    messages: int = 10  # in each mailbox at the start
    hang: float = HANG_SECS
    tamper: Tamper | None = None
    outgoing: Callable[[bytes], bytes] | None = None  # changes what is sent: another way to plant a bug
    meanwhile: Callable[["Run"], None] | None = None  # called now and then
    quiet: bool = True


@dataclass(slots=True)
class Counts:
    """What was done, for the report."""

    commands: int = 0
    checkpoints: int = 0
    reconnects: int = 0
    resyncs: int = 0
    by_verb: dict[str, int] = field(default_factory=dict)


class Failure(Exception):
    """A violation, with the talk that led to it."""

    def __init__(self, seed: int, violation: Violation, conn: Connection, talks: str) -> None:
        self.violation, self.talks = str(violation), talks
        tail = "\n".join(conn.talk)
        super().__init__(f"seed {seed}, {conn.name} on {conn.server}: {violation}\n{tail}")


class Run:
    """One run. Raises Failure at the first response that cannot be."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.source = random.Random(options.seed)
        self.world = World(options.seed)
        self.counts = Counts()
        self.users = [f"s{options.seed}u{number}" for number in range(options.users)]
        self.stable = [b"INBOX", *(b"Box%d" % number for number in range(1, options.mailboxes))]
        each = {
            user: len(range(at, options.connections, options.users)) for at, user in enumerate(self.users)
        }
        self.plan = Plan(self.source, self.stable, each, mixed=len(options.servers) > 1)
        self.world.mixed = self.plan.mixed
        self.connections: list[Connection] = []
        self._caches: dict[int, Cache | None] = {}
        self._now: Connection | None = None

    def run(self) -> Counts:
        """Until the time is up; a last look at the end."""
        try:
            self._prepare()
            end = time.monotonic() + self.options.seconds
            while (now := time.monotonic()) < end:
                self._loop(min(end, now + self.options.checkpoint))
                self._look()
        except Violation as exc:
            assert self._now is not None
            raise Failure(self.options.seed, exc, self._now, "\n".join(self.world.talk)) from exc
        finally:
            for conn in self.connections:
                conn.close()
        return self.counts

    # -- connections ---------------------------------------------------------------------------------------

    def connect(self, index: int, user: str) -> Connection:
        """Logged in, with CONDSTORE or QRESYNC."""
        server, port = self.options.servers[index % len(self.options.servers)]
        conn = Connection(self.world, index, user, server, port, self.options.tamper)
        conn.outgoing = self.options.outgoing
        self._now = conn
        self.ask(
            conn, Command(b"LOGIN", [b"LOGIN %b %b\r\n" % (user.encode(), PASSWORD.encode())], _logged_in)
        )
        self.ask(conn, Command(b"CAPABILITY", [b"CAPABILITY\r\n"]))
        conn.qresync = b"QRESYNC" in conn.capabilities and index % 2 == 0
        self.ask(
            conn, Command(b"ENABLE", [b"ENABLE QRESYNC\r\n" if conn.qresync else b"ENABLE CONDSTORE\r\n"])
        )
        return conn

    def ask(self, conn: Connection, command: Command) -> None:
        """One command, waited for."""
        self._now = conn
        conn.send(command)
        self._settle(conn)

    def _settle(self, conn: Connection) -> None:
        end = time.monotonic() + self.options.hang
        while conn.pending:
            if not select.select([conn.sock], [], [], max(0.0, end - time.monotonic()))[0]:
                raise Violation(f"no answer to {conn.pending[0].verb.decode()}")
            conn.pump()

    def _prepare(self) -> None:
        for at, user in enumerate(self.users):
            conn = self.connect(at, user)
            for name in self.stable[1:]:
                self.ask(conn, Command(b"CREATE", [b"CREATE %b\r\n" % name], may_fail=True))
            for name in self.stable:
                for _ in range(self.options.messages):
                    body = self.world.library.bodies[self.world.library.make()]
                    line = b"APPEND %b {%d+}\r\n%b\r\n" % (name, len(body), body)
                    self.ask(conn, Command(b"APPEND", [line]))
            conn.close()
        for index in range(self.options.connections):
            self.connections.append(self.connect(index, self.users[index % len(self.users)]))

    def _again(self, conn: Connection, *, lost: bool) -> Connection:
        """A new connection in the place of one that is gone."""
        cache = cache_of(conn) if conn.qresync and not conn.pending else self._caches.get(conn.index)
        conn.close()
        new = self.connect(conn.index, conn.user)
        new.talk.extendleft(reversed([*conn.talk][-20:]))
        new.sessions = conn.sessions
        self.connections[conn.index] = new
        self.counts.reconnects += 1
        if cache is not None and new.qresync and not lost:
            self.counts.resyncs += 1
            self.ask(new, resync(self.plan, new, cache))
        return new

    # -- at random -----------------------------------------------------------------------------------------

    def _loop(self, until: float) -> None:
        while (now := time.monotonic()) < until:
            if self.options.meanwhile is not None:
                self.options.meanwhile(self)
            for at in range(len(self.connections)):
                self._act(self.connections[at], now)
            socks = {conn.sock: conn for conn in self.connections}
            for sock in select.select(list(socks), [], [], 0.005)[0]:
                self._take(socks[sock])

    def _act(self, conn: Connection, now: float) -> None:
        self._now = conn
        if conn.idling and now >= conn.ready_at:
            if self.source.random() < 0.05:
                self._again(conn, lost=False)
                return
            conn.idling = False
            conn.more(b"DONE\r\n")
        elif conn.pending:
            if now - conn.pending[0].sent_at > self.options.hang and not conn.idling:
                raise Violation(f"no answer to {conn.pending[0].verb.decode()}")
        elif now >= conn.ready_at:
            conn.ready_at = now + self.source.random() ** 3 * 0.05
            self._do(conn)

    def _do(self, conn: Connection) -> None:
        chance = self.source.random()
        if chance < 0.01:
            self._break_append(conn)
        elif chance < 0.03:
            self._again(conn, lost=False)
        elif chance < 0.15 and conn.selected is not None:
            self._pipeline(conn)
        elif conn.selected is None and chance < 0.7:
            self._send(conn, mailboxes.select(self.plan, conn))
        else:
            makers, weights = zip(*MAKERS, strict=True)
            command = self.source.choices(makers, weights)[0](self.plan, conn)
            if command is not None:
                self._send(conn, command)

    def _send(self, conn: Connection, *made: Command) -> None:
        for command in made:
            self.counts.commands += 1
            verb = command.verb.decode()
            self.counts.by_verb[verb] = self.counts.by_verb.get(verb, 0) + 1
            if command.verb == b"IDLE":
                conn.ready_at = time.monotonic() + self.source.random()
            if command.verb in (b"SELECT", b"EXAMINE"):
                self._caches[conn.index] = None
        try:
            conn.send(*made)
        except OSError:
            self._lost(conn)

    def _pipeline(self, conn: Connection) -> None:
        """Several at once; those that use sequence numbers first, while these cannot move."""
        made = [self.source.choice(PIPELINED)(self.plan, conn) for _ in range(self.source.randrange(2, 5))]
        if b"SORT" in conn.capabilities:
            made.append(asking.sort(self.plan, conn))
        some = sorted((one for one in made if one is not None), key=lambda one: not one.frozen)
        if some:
            self._send(conn, *some)

    def _break_append(self, conn: Connection) -> None:
        """Hang up in the middle of a message."""
        number = self.world.library.make()
        self.world.library.never.add(number)
        body = self.world.library.bodies[number]
        line = b"X APPEND INBOX {%d+}\r\n%b" % (len(body), body[: len(body) // 2])
        conn.note("C", line)
        try:
            conn.sock.sendall(line)
        except OSError:
            pass
        self._again(conn, lost=False)

    def _take(self, conn: Connection) -> None:
        self._now = conn
        try:
            conn.pump()
        except Closed:
            self._lost(conn)

    def _lost(self, conn: Connection) -> None:
        """The server hung up: it may do so only when the mailbox was deleted or renamed."""
        running = [command.verb for command in conn.pending]
        if conn.mailbox not in TEMPORARY and b"DELETE" not in running:
            raise Violation(f"closed by the server while {running} ran")
        self._again(conn, lost=True)

    # -- all at once ---------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Everybody stops; then all must agree."""
        end = time.monotonic() + self.options.hang
        while any(conn.pending for conn in self.connections):
            now = time.monotonic()
            for at in range(len(self.connections)):
                conn = self.connections[at]
                self._now = conn
                if conn.idling:
                    conn.idling = False
                    conn.more(b"DONE\r\n")
                elif conn.pending and now > end:
                    raise Violation(f"no answer to {conn.pending[0].verb.decode()}")
            socks = {conn.sock: conn for conn in self.connections}
            for sock in select.select(list(socks), [], [], 0.05)[0]:
                self._take(socks[sock])
        if self.plan.mixed:
            time.sleep(2.5)  # Dovecot trusts a directory that it has read within a second of its last change
        Checkpoint(self).look()
        self.counts.checkpoints += 1
        if not self.options.quiet:
            print(f"{self.counts.commands} commands, all agree", file=sys.stderr, flush=True)

    def lost_at_checkpoint(self, conn: Connection) -> None:
        self._lost(conn)


def _logged_in(conn: Connection, command: Command, answer: Answer) -> None:
    if answer.code == b"CAPABILITY":
        conn.capabilities = frozenset(answer.argument.upper().split())

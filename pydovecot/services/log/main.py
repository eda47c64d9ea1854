"""log - writes the log lines of all services.

Serves: one pipe for each service (inherited, read only) and the UNIX socket log-errors, which dumps the last
warnings and errors.
Runs as: root, to reopen log files after a rotation. It never reads from the network, and what clients caused
to be logged is data to it.
If taken over: can write and truncate log files, and hide what other services report.
"""

import asyncio
import os
from dataclasses import dataclass, field
from typing import Final

from pydovecot.event.event import Event, Level
from pydovecot.event.targets import Target, open_targets
from pydovecot.event.wire import Record
from pydovecot.runtime.child import Listener
from pydovecot.runtime.context import Accepted, Context
from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.log.errors import ErrorMemory
from pydovecot.services.log.lines import PipeReader, PrefixMemory

CHUNK: Final = 64 * 1024
FLOOD_LINES: Final = 20_000  # lines of one service within a second: it waits for the rest of that second
FLUSH_SECS: Final = 0.5  # a traceback that stops in the middle


@dataclass(slots=True)
class Source:
    """One service's pipe."""

    listener: Listener
    reader: PipeReader
    lines: int = 0
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class State:
    """All that the log process keeps."""

    targets: dict[Level, Target]
    memory: PrefixMemory = field(default_factory=PrefixMemory)
    errors: ErrorMemory = field(default_factory=ErrorMemory)
    sources: list[Source] = field(default_factory=list)
    resetting: bool = False

    def write(self, record: Record) -> None:
        """Write one record to its target."""
        self.errors.add(record)
        self.targets[record.level].write(record)


def before_jail(context: Context) -> None:
    """Open the log files, then read the pipes: what the others said meanwhile is waiting in them."""
    state = State(open_targets(context.log_target))
    context.state = state
    # Our own lines need no pipe: they would only come back to us.
    context.event = Event(lambda level, text, _fields: state.write(Record(level, 0, "log: ", text)))
    loop = asyncio.get_event_loop()
    for listener in context.listeners:
        if listener.kind == "pipe":
            source = Source(listener, PipeReader(listener.name, state.memory))
            state.sources.append(source)
            os.set_blocking(listener.fd, False)
            loop.add_reader(listener.fd, _readable, context, source)


def _readable(context: Context, source: Source) -> None:
    state: State = context.state
    fd = source.listener.fd
    try:
        data = os.read(fd, CHUNK)
    except (BlockingIOError, InterruptedError):
        return
    loop = asyncio.get_event_loop()
    if not data:
        loop.remove_reader(fd)
        state.sources.remove(source)
        for record in source.reader.end():
            state.write(record)
        if not state.sources:
            context.finish()  # all services have gone, the master too
        return
    for record in source.reader.feed(data):
        source.lines += 1
        state.write(record)
    if source.reader.waiting and source.timer is None:
        source.timer = loop.call_later(FLUSH_SECS, _flush, state, source)
    if source.lines > FLOOD_LINES:
        loop.remove_reader(fd)
        name = source.listener.name
        state.write(Record(Level.WARNING, 0, "log: ", f"service {name} logs too fast, it has to wait"))
    if not state.resetting:
        state.resetting = True
        loop.call_later(1.0, _new_second, context)


def _flush(state: State, source: Source) -> None:
    source.timer = None
    for record in source.reader.flush():
        state.write(record)


def _new_second(context: Context) -> None:
    """Forget the counts of the last second; read again what had to wait."""
    state: State = context.state
    state.resetting = False
    loop = asyncio.get_event_loop()
    for source in state.sources:
        if source.lines > FLOOD_LINES:
            loop.add_reader(source.listener.fd, _readable, context, source)
        source.lines = 0


def on_connection(context: Context, accepted: Accepted) -> None:
    """log-errors: dump and close."""
    asyncio.get_event_loop().create_task(_dump(context, accepted))


async def _dump(context: Context, accepted: Accepted) -> None:
    state: State = context.state
    loop = asyncio.get_event_loop()
    try:
        async with asyncio.timeout(10):
            await loop.sock_sendall(accepted.sock, state.errors.dump())
    except (OSError, TimeoutError):
        pass
    accepted.sock.close()
    context.done(accepted)


def on_usr1(context: Context) -> None:
    """Reopen the log files."""
    state: State = context.state
    for target in {id(t): t for t in state.targets.values()}.values():
        try:
            target.reopen()
        except OSError as exc:
            context.event.error(f"open({exc.filename}) failed: {exc.strerror}")


SPEC = ServiceSpec(
    name="log",
    family=Family.MANY_CLIENTS,
    before_jail=before_jail,
    on_connection=on_connection,
    on_usr1=on_usr1,
    needs_settings=False,
    stays_when_idle=True,
    outlives_master=True,
)


def main() -> int:
    """Entry of libexec/log."""
    return run(SPEC)

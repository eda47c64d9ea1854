"""config - parses dovecot.conf and answers what settings a process has.

Serves: the UNIX socket config, mode 0600: processes ask before they enter their jail.
Runs as: root, as it reads certificates and private keys. One per generation; a reload starts another.
Talks to: nobody; it only answers. Not reachable from the network.
If taken over: everything. It knows each password and key of the configuration, so it takes short lines only
and does nothing with them but look names up.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pydovecot.event.event import Event
from pydovecot.runtime.context import Accepted, Context
from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.config.requests import Answers, ProtocolError, Requests
from pydovecot.settings.parser import parse


@dataclass(slots=True)
class State:
    """What one config process keeps: the configuration of its generation, read once."""

    answers: Answers
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Requests, event: Event, on_closed: Callable[[], None]) -> None:
        self._requests = requests
        self._event = event
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        assert self._transport is not None
        try:
            self._transport.write(self._requests.feed(data))
        except ProtocolError as exc:
            self._event.error(f"config client {exc}")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._on_closed()


def before_jail(context: Context) -> None:
    """Parse. The master has checked the file; should it be broken since, this process ends and says why."""
    context.state = State(Answers(parse(context.config_file, expand=True)))


def on_connection(context: Context, accepted: Accepted) -> None:
    """Serve one process."""
    state: State = context.state
    loop = asyncio.get_event_loop()
    client = Client(Requests(state.answers), context.event, lambda: context.done(accepted))
    task = loop.create_task(_adopt(loop, client, accepted))
    state.tasks.add(task)
    task.add_done_callback(state.tasks.discard)


async def _adopt(loop: asyncio.AbstractEventLoop, client: Client, accepted: Accepted) -> None:
    await loop.connect_accepted_socket(lambda: client, accepted.sock)


SPEC = ServiceSpec(
    name="config",
    family=Family.MANY_CLIENTS,
    before_jail=before_jail,
    on_connection=on_connection,
    needs_settings=False,
    stays_when_idle=True,
)


def main() -> int:
    """Entry of libexec/config."""
    return run(SPEC)

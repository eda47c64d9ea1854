"""anvil - counts sessions by user and address, and failed logins by address, for all services.

Serves: the UNIX sockets anvil and anvil-auth-penalty; the pipe that login and mail processes inherit (they
tell of sessions, one way); a pipe from the master (it tells of dead processes).
Runs as: root until its sockets are inherited, then $default_internal_user in the chroot base_dir/empty.
If taken over: can lie about counts, so that limits do not hold or nobody can log in; it has no mail, no
passwords, no network.
"""

import asyncio
import os
import socket
import time
from dataclasses import dataclass

from pydovecot.base.fdpass import recv_fds
from pydovecot.runtime.child import LOG_FD, NOTIFY_FD
from pydovecot.runtime.context import Accepted, Context
from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.anvil.connection import Client, LineReader, Pipe
from pydovecot.services.anvil.limits import ConnectLimit
from pydovecot.services.anvil.penalty import Penalties
from pydovecot.services.anvil.protocol import Anvil

MASTER_PIPE = "master-pipe"  # listener names of kind "pipe", given by the master


@dataclass(slots=True)
class State:
    """What one anvil process keeps."""

    anvil: Anvil
    pipes: list[Pipe]


def after_jail(context: Context) -> None:
    """Begin to read the pipes."""
    anvil = Anvil(ConnectLimit(), Penalties(time.time))
    state = State(anvil, [])
    context.state = state
    loop = asyncio.get_event_loop()
    for listener in context.listeners:
        if listener.kind != "pipe":
            continue
        master = listener.name == MASTER_PIPE

        def reader(master: bool = master) -> LineReader:
            return LineReader(anvil, context.event, master=master, greeted=True)

        pipe = Pipe(listener.fd, reader)
        state.pipes.append(pipe)
        loop.add_reader(pipe.fd, _pipe_readable, loop, pipe)


    log_socket = socket.socket(fileno=NOTIFY_FD)
    log_socket.setblocking(False)
    loop.add_reader(NOTIFY_FD, _new_log, loop, log_socket)


def _new_log(loop: asyncio.AbstractEventLoop, log_socket: socket.socket) -> None:
    """A reload: the master sends the write end of our new log pipe."""
    try:
        data, fds = recv_fds(log_socket, 16)
    except (BlockingIOError, InterruptedError):
        return
    if not data:
        loop.remove_reader(NOTIFY_FD)
    for fd in fds:
        os.dup2(fd, LOG_FD)
        os.close(fd)


def _pipe_readable(loop: asyncio.AbstractEventLoop, pipe: Pipe) -> None:
    if not pipe.readable():
        loop.remove_reader(pipe.fd)


def on_connection(context: Context, accepted: Accepted) -> None:
    """Serve one client of a socket."""
    state: State = context.state

    def closed() -> None:
        context.done(accepted)
        context.set_title(f"{context.clients} connections")

    Client(accepted.sock, LineReader(state.anvil, context.event), closed)
    context.set_title(f"{context.clients} connections")


SPEC = ServiceSpec(
    name="anvil",
    family=Family.MANY_CLIENTS,
    after_jail=after_jail,
    on_connection=on_connection,
    needs_settings=False,
    stays_when_idle=True,
    only_moves_bytes=True,
)


def main() -> int:
    """Entry of libexec/anvil."""
    return run(SPEC)

"""auth - checks passwords and finds users, for login processes, mail processes, Postfix and Exim.

Serves: auth-client, auth-login, login/login (authentication), auth-master, auth-userdb (lookups), and any
unix_listener of `service auth` by the last word of its name.
Runs as: root while the databases are opened first, then $default_internal_user. Blocking lookups and costly
password hashes go to auth-worker processes.
Talks to: anvil (penalties), auth-worker. Never to the network, never to mail files.
If taken over: knows the passwords that clients send, and decides who is whom.
"""

import asyncio
import os
import pwd
import socket
import stat
from dataclasses import dataclass, field

from pydovecot.authdb import remote
from pydovecot.authdb.database import Database
from pydovecot.authdb.entry import BadDatabase
from pydovecot.base.peercred import peer_credentials
from pydovecot.ipc.anvil import AnvilClient
from pydovecot.runtime.context import Accepted, Context
from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.auth.client_session import ClientSession
from pydovecot.services.auth.master_session import MasterSession, Peer
from pydovecot.services.auth.mechanisms import BadMechanism, choose
from pydovecot.services.auth.penalty import EXPIRE_SECS, Penalties
from pydovecot.services.auth.server import AuthServer, World
from pydovecot.services.auth.transport import Connection, Make, is_dead
from pydovecot.services.auth.workers import WorkerPool

FATAL_EXIT = 89  # Dovecot: FATAL_DEFAULT


@dataclass(slots=True)
class State:
    """What one auth process keeps."""

    server: AuthServer
    workers: WorkerPool
    anvil: AnvilClient
    connections: set[Connection] = field(default_factory=set)
    without_anvil: bool = False


def before_jail(context: Context) -> None:
    """Read the configuration and connect to anvil, while everything may be opened."""
    event = context.event
    view = context.settings
    try:
        database = Database(view, event, workers=True)
        mechanisms = choose(database, event)
    except (BadDatabase, BadMechanism) as exc:
        event.fatal(str(exc))
        raise SystemExit(FATAL_EXIT) from exc
    if database.rules.debug:
        event = context.event.child(debug=True)
        database = Database(view, event, workers=True)
    loop = asyncio.get_event_loop()
    anvil = AnvilClient(context.run_path("anvil-auth-penalty"), event, lambda: _anvil_lost(context))
    anvil.connect()
    path = context.run_path("auth-worker")
    limit = database.settings.auth_worker_max_count
    workers = WorkerPool(path, remote.settings_hash(view), limit, event)
    world = World(socket.gethostname())
    penalties = Penalties(anvil, world.now)
    server = AuthServer(database, mechanisms, event, loop, world, workers=workers, penalties=penalties)
    context.state = State(server, workers, anvil)


def after_jail(context: Context) -> None:
    """Begin to listen to anvil."""
    state: State = context.state
    state.anvil.start()
    state.anvil.penalty_expire(EXPIRE_SECS)


def _anvil_lost(context: Context) -> None:
    """anvil was replaced. Its socket is root's, so only an unprivileged tree can connect again.

    Else there are no penalties until another auth process takes over: as soon as nobody is connected.
    """
    state: State = context.state
    if context.stopping:
        return
    if state.anvil.connect():
        state.anvil.start()
        state.anvil.penalty_expire(EXPIRE_SECS)
    else:
        state.without_anvil = True
        _finish_if_idle(context)


def _finish_if_idle(context: Context) -> None:
    state: State = context.state
    if state.without_anvil and not state.connections:
        context.finish()


def on_connection(context: Context, accepted: Accepted) -> None:
    """Serve one client by the kind of its socket."""
    state: State = context.state

    def done(connection: Connection) -> None:
        state.connections.discard(connection)
        context.done(accepted)
        _finish_if_idle(context)
        _show(context)

    make = _session_maker(state.server, accepted)
    loop = asyncio.get_event_loop()
    state.connections.add(Connection(accepted.sock, make, context.event, done, loop))
    _show(context)


def _show(context: Context) -> None:
    """The process title, with verbose_proctitle."""
    state: State = context.state
    failures, workers = len(state.server.failures), len(state.workers)
    context.set_title(f"{len(state.connections)} connections, {failures} wait, {workers} in workers")


def socket_kind(listener: str) -> str:
    """What is spoken on a listener: the last word of its name, after "-" or "/"."""
    return listener.rpartition("/")[2].rpartition("-")[2]


def _session_maker(server: AuthServer, accepted: Accepted) -> Make:
    kind = socket_kind(accepted.listener)
    sock = accepted.sock
    if kind in ("master", "userdb"):
        path = str(sock.getsockname())
        peer = _peer(sock, path)
        return lambda write, close: MasterSession(
            server, write, close, userdb_only=kind == "userdb", path=path, peer=peer
        )

    token = kind == "tokenlogin"
    login = kind == "login" or token
    return lambda write, close: ClientSession(
        server, write, close, login=login, token=token, is_dead=lambda: is_dead(sock)
    )


def _peer(sock: socket.socket, path: str) -> Peer:
    """Who is connected, and whether that may see everybody.

    A socket that is not open to all (0666) has decided by its mode; any x bit switches the check off.
    """
    pid, uid, gid = peer_credentials(sock)
    try:
        status = os.stat(path)
    except OSError:
        return Peer(pid, uid, "", restricted=uid != 0)
    restricted = (
        stat.S_IMODE(status.st_mode) == 0o666 and uid not in (0, status.st_uid) and gid != status.st_gid
    )
    return Peer(pid, uid, _name(uid) if restricted else "", restricted)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def on_stop(context: Context) -> None:
    """Say what is owed, and close."""
    state: State = context.state
    state.server.failures.flush()
    if context.stopping:
        state.server.stopping = True
        for connection in list(state.connections):
            connection.close()
        state.workers.close()
        state.anvil.close()


SPEC = ServiceSpec(
    name="auth",
    family=Family.MANY_CLIENTS,
    before_jail=before_jail,
    after_jail=after_jail,
    on_connection=on_connection,
    on_stop=on_stop,
)


def main() -> int:
    """Entry point of libexec/auth."""
    return run(SPEC)

"""A login process: its clients, its connection to auth, and what the runtime's hooks do.

Without a master's help it can do little: it is inside base_dir/login, talks to `login` (auth), to the mail
service's socket and, over a connection made before, to anvil.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydovecot.ipc import anvil
from pydovecot.ipc.anvil import AnvilClient
from pydovecot.ipc.auth_client import AuthClient
from pydovecot.login.client import LoginClient
from pydovecot.login.connection import Connection
from pydovecot.login.limits import LOGIN_TIMEOUT_SECS
from pydovecot.login.peer import Peer
from pydovecot.login.result import Bye
from pydovecot.login.settings import SslSettings
from pydovecot.login.tls_contexts import TlsContexts
from pydovecot.net.tls import TlsStream, seed
from pydovecot.runtime.context import Accepted, Context
from pydovecot.settings.view import SettingsView

MAX_TAG: Final = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class LoginProtocol:
    """What makes one login service differ from another."""

    name: str  # "imap"; also the mail service's socket
    client: type[LoginClient]


def prepare_tls(context: Context) -> None:
    """As root, once for all processes of a service: read the keys, make the context of most clients.

    It goes into `context.shared`; the processes forked after it share its memory and its session tickets.
    """
    contexts = TlsContexts(context.event)
    if contexts.get(context.settings.get(SslSettings)) is None:
        seed()
    context.shared = contexts


class LoginProcess:
    """The state of a login process, in `context.state`."""

    def __init__(self, context: Context, protocol: LoginProtocol) -> None:
        self.context, self.protocol = context, protocol
        self.loop = asyncio.get_event_loop()
        self.login_timeout: float = LOGIN_TIMEOUT_SECS
        self.streams: dict[TlsStream, Connection] = {}
        self.contexts: TlsContexts = context.shared
        self.contexts.settings_for_name = self._settings_for_name
        self._clients: dict[Connection, None] = {}  # in the order they came
        self._tag = 0
        self._title = ""
        self.mail_socket = ""
        self.auth: AuthClient
        self._anvil = AnvilClient(context.run_path("anvil"), context.event, self._anvil_lost)

    # --- hooks -----------------------------------------------------------------------------------------

    def before_jail(self) -> None:
        """As root: reach anvil."""
        self._anvil.connect()

    def after_jail(self) -> None:
        """As the login user, inside the chroot."""
        context = self.context
        self.mail_socket = context.run_path("login", self.protocol.name)
        self.auth = AuthClient(
            context.run_path("login", "login"),
            pid=os.getpid(),
            event=context.event,
            on_state=self._auth_state,
        )
        self._anvil.start(self.loop)
        self.loop.call_soon(self.auth.start)

    def connected(self, accepted: Accepted) -> None:
        """A new client."""
        who = Peer(
            accepted.local_ip,
            accepted.local_port,
            accepted.remote_ip,
            accepted.remote_port,
            accepted.listener,
            accepted.proxied,
        )
        connection = Connection(self, accepted)
        view = self.view_for(who)
        client = self.protocol.client(connection, who, view, self.context.event, tls=accepted.ssl)
        self._clients[connection] = None
        connection.start(client)
        self.refresh_title()

    def make_room(self) -> None:
        """All login processes are full: the oldest client whose password was not right yet has to go."""
        for connection in self._clients:
            if not connection.is_proxying and not connection.client.is_logging_in:
                text = "Connection queue full"
                connection.client.bye(Bye.FULL, text, f"Disconnected: {text}")
                return

    def stop(self) -> None:
        """The server stops, or a new generation takes over: then clients may finish."""
        if not (self.context.stopping or self.context.shutdown_clients):
            return
        for connection in list(self._clients):
            if connection.is_proxying:
                if self.context.stopping:
                    connection.shut()
            else:
                connection.client.bye(Bye.SHUTDOWN, "Server shutting down.", "Disconnected: Shutting down")

    # --- for connections -------------------------------------------------------------------------------

    def view_for(self, who: Peer, local_name: str = "") -> SettingsView:
        """The settings of one connection."""
        return self.context.settings_for(
            local_ip=who.local_ip, remote_ip=who.remote_ip, local_name=local_name
        )

    def next_tag(self) -> int:
        """A number for a handover."""
        self._tag = self._tag % MAX_TAG + 1
        return self._tag

    def count_sessions(self, user: str, remote_ip: str, callback: Callable[[int], None]) -> None:
        """How many sessions this user has from this address; 0 without anvil."""
        self._anvil.lookup(anvil.ident(self.protocol.name, remote_ip, user), callback)

    def logged_in(self, _connection: Connection) -> None:
        """A TLS client goes on with its worker, through us."""
        self.refresh_title()

    def gone(self, connection: Connection, accepted: Accepted) -> None:
        """A client's connection is closed or given away."""
        if self._clients.pop(connection, True) is None:
            self.refresh_title()
            self.context.done(accepted)

    def refresh_title(self) -> None:
        """`[2 connections (1 TLS)]`, or the only client's address."""
        count, tls = len(self._clients), len(self.streams)
        if count == 1:
            only = next(iter(self._clients))
            text = f"{only.client.peer.remote_ip}{' TLS' if tls else ''}"
        else:
            text = f"{count} connections ({tls} TLS)" if count else ""
        if text != self._title:
            self._title = text
            self.context.set_title(text)

    # --- internals -------------------------------------------------------------------------------------

    def _auth_state(self, ready: bool) -> None:
        if ready:
            for connection in list(self._clients):
                connection.auth_came()

    def _anvil_lost(self) -> None:
        """From inside the chroot anvil cannot be reached again: let a new process take over."""
        self.context.event.error("anvil connection lost: no new clients in this process")
        self.context.finish()

    def _settings_for_name(self, stream: object, name: str) -> SslSettings | None:
        connection = self.streams.get(stream) if isinstance(stream, TlsStream) else None
        if connection is None:
            return None
        return self.view_for(connection.client.peer, name).get(SslSettings)

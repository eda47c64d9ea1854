"""What a role's hooks are given: settings, log, titles, sockets, and the way to say that a client is done."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydovecot.event.event import Event
from pydovecot.event.targets import LogTarget
from pydovecot.runtime.child import Listener
from pydovecot.settings.view import SettingsView


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a trusted proxy said of its client beyond the addresses, and the ends of the proxy's connection.

    `tls`: the client's connection to the proxy is TLS; `certificate_name`: of the client's certificate there.
    """

    tls: bool
    hostname: str
    certificate_name: str
    real_local_ip: str
    real_local_port: int
    real_remote_ip: str
    real_remote_port: int


@dataclass(slots=True)
class Accepted:
    """A client that was just accepted.

    `listener` is the listener's name as in dovecot.conf: "imaps", "login/imap", "auth-client". Addresses are
    empty and ports 0 on UNIX sockets; `ssl` is the listener's own flag. `haproxy`: so is this; the role sees
    the client when its proxy has told who it is (`proxied`), and the addresses are the client's then.
    """

    sock: socket.socket
    listener: str
    ssl: bool = False
    local_ip: str = ""
    local_port: int = 0
    remote_ip: str = ""
    remote_port: int = 0
    haproxy: bool = False
    proxied: Proxied | None = None


class Context(Protocol):
    """The process as its role sees it."""

    service: str  # the name in dovecot.conf: "imap-login"
    protocol: str  # service { protocol = }: "imap"
    event: Event
    state: Any  # the role's own, set in before_jail/after_jail
    shared: Any  # the role's own, set in before_fork: the same object in all processes forked after it
    generation: int
    client_limit: int
    stopping: bool  # finish now: the server stops
    closing: bool  # accept nothing more; clients may finish: reload, or the server stops
    shutdown_clients: bool  # the setting: idle clients are sent away when `closing`
    argv: tuple[str, ...]  # words after the role's name in `executable =`
    base_dir: str  # as the outside sees it
    config_file: str  # the main configuration file
    listeners: Sequence[Listener]  # what was inherited, pipes included
    log_target: LogTarget  # for the log service

    @property
    def clients(self) -> int:
        """Clients being served now."""
        ...

    @property
    def settings(self) -> SettingsView:
        """Settings of the service, no filters applied but `protocol`."""
        ...

    def settings_for(self, *, local_ip: str = "", remote_ip: str = "", local_name: str = "") -> SettingsView:
        """Settings of one connection; free of cost when the configuration has no such filters."""
        ...

    def run_path(self, *parts: str) -> str:
        """Path of a socket of ours as this process sees it (a login process is inside base_dir/login).

        Without arguments of a chroot: base_dir/parts. In a login process "login/imap" becomes "imap".
        """
        ...

    def set_title(self, text: str) -> None:
        """Show `pydovecot/<service> [text]` in ps when verbose_proctitle = yes."""
        ...

    def done(self, accepted: Accepted) -> None:
        """MANY_CLIENTS: this client is finished, a new one may come."""
        ...

    def finish(self) -> None:
        """MANY_CLIENTS: take no new clients and end when the present ones are done."""
        ...

    def anvil_fd(self) -> int:
        """The inherited pipe to anvil, one-way, shared; -1 where there is none. See ipc.anvil."""
        ...

    def last_client(self) -> None:
        """ONE_CLIENT: take no further connection, end after this one (the process became a user for good)."""
        ...

    def set_log_prefix(self, prefix: str, *, announce: bool = True) -> None:
        """Prefix of all log lines from now on: `imap(alice)<4711><sess>: `; empty: the service's own.

        Without `announce` the log process learns of it with the first line that has it.
        """
        ...

    def wait_readable(self, fds: Sequence[int], timeout: float | None = None) -> set[int]:
        """ONE_CLIENT: wait until one of `fds` is readable; empty: time is up, or the master has called.

        A signal or the end of the master ends the wait (look at `stopping` and `closing`), so every long wait
        of a mail worker goes through here.
        """
        ...

"""What a role's hooks are given: settings, log, titles, sockets, and the way to say that a client is done."""

import socket
from dataclasses import dataclass
from typing import Any, Protocol

from pydovecot.event.event import Event
from pydovecot.settings.view import SettingsView


@dataclass(slots=True)
class Accepted:
    """A client that was just accepted.

    `listener` is the listener's name as in dovecot.conf: "imaps", "login/imap", "auth-client". Addresses are
    empty and ports 0 on UNIX sockets; `ssl` is the listener's own flag.
    """

    sock: socket.socket
    listener: str
    ssl: bool = False
    local_ip: str = ""
    local_port: int = 0
    remote_ip: str = ""
    remote_port: int = 0
    haproxy: bool = False


class Context(Protocol):
    """The process as its role sees it."""

    service: str  # the name in dovecot.conf: "imap-login"
    protocol: str  # service { protocol = }: "imap"
    settings: SettingsView  # no filters applied but `protocol`
    event: Event
    state: Any  # the role's own, set in before_jail/after_jail
    generation: int
    client_limit: int
    stopping: bool

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

    def anvil_fd(self) -> int:
        """The inherited connection to anvil; -1 where there is none."""
        ...

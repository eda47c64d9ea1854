"""What a service declares about itself; `runtime.service.run` does the rest.

A role's `main.py` holds a docstring (what it serves, its privileges, its sockets, what an attacker inside
gains), one SPEC and `main()`. Hooks carry the privilege phase in their name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydovecot.runtime.context import Accepted, Context


class Family(Enum):
    """MANY_CLIENTS: asyncio, hooks run in the loop. ONE_CLIENT: blocking, one connection at a time."""

    MANY_CLIENTS = "many"
    ONE_CLIENT = "one"


def _nothing(_context: "Context") -> None:
    """The default hook."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One kind of child process.

    `before_fork`: root, in the process that short-lived ones are forked from (or in the process itself): what
    is the same for all of them, kept in `context.shared`. No sockets, no loop.
    `on_connection`: MANY_CLIENTS gets a non-blocking socket and must call `context.done(accepted)` when that
    client is finished (the socket closed or given away); ONE_CLIENT gets a blocking one, returns when done.
    `on_stop`: TERM or a dead master; MANY_CLIENTS closes its clients and calls `done` for each.
    `on_full`: login services drop their oldest client that is not logged in. Called by the process
    itself where it may take another client then, else when the master asks for it (SIGUSR2).
    `needs_settings`: ask the config socket before the jail (config, log and anvil live without).
    `stays_when_idle`: SIGINT does not end it (config, log, anvil, stats).
    `outlives_master`: TERM and a dead master do not end it: `context.finish()` does (log).
    `on_usr1`: reopen files.
    `starts_programs`: it does, and they may be setuid (PAM's helper, sendmail); all others are forbidden to
    gain rights that way.
    `only_moves_bytes`: behind the jail it does nothing but that, and may do nothing else (base.confine).
    `standalone`: serves argv on stdin/stdout without a master (`libexec/imap -u user`).
    """

    name: str
    family: Family
    on_connection: Callable[["Context", "Accepted"], None]
    before_fork: Callable[["Context"], None] = field(default=_nothing)  # root, once for many processes
    before_jail: Callable[["Context"], None] = field(default=_nothing)  # as started (root)
    after_jail: Callable[["Context"], None] = field(default=_nothing)  # service user, inside the chroot
    on_stop: Callable[["Context"], None] = field(default=_nothing)
    on_full: Callable[["Context"], None] = field(default=_nothing)
    on_usr1: Callable[["Context"], None] = field(default=_nothing)
    needs_settings: bool = True
    outlives_master: bool = False
    stays_when_idle: bool = False
    starts_programs: bool = False
    only_moves_bytes: bool = False
    standalone: Callable[[Sequence[str]], int] | None = None

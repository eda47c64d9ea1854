"""doveadm top: what the server's processes cost, and who keeps them busy.

On a terminal it is drawn anew every few seconds; into a pipe it is written once, or as often as -n says.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psutil

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import AdminError
from pydovecot.admin.host.sessions import Session, sessions, socket_path
from pydovecot.admin.settings import AdminSettings
from pydovecot.runtime import master_pid

if TYPE_CHECKING:
    from rich.table import Table

SECS: Final = 2
ROWS: Final = 20
COLUMNS: Final = ("service", "pid", "cpu%", "mem", "clients", "users")
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One process."""

    service: str
    pid: int
    cpu: float
    memory: int
    sessions: int
    users: str

    def cells(self) -> tuple[str, ...]:
        """As texts, in the order of COLUMNS."""
        memory = f"{self.memory / _MIB:.1f}M"
        return self.service, str(self.pid), f"{self.cpu:.1f}", memory, str(self.sessions or ""), self.users


class Watch:
    """The processes below the master; `cpu` is that since the last look."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._known: dict[int, psutil.Process] = {}

    def rows(self, connected: list[Session]) -> list[Row]:
        """The busiest first."""
        by_pid: dict[int, list[Session]] = {}
        for one in connected:
            by_pid.setdefault(int(one.pid), []).append(one)
        found = list(self._look(by_pid))
        return sorted(found, key=lambda row: (-row.cpu, -row.memory, row.pid))

    def _look(self, by_pid: dict[int, list[Session]]) -> Iterator[Row]:
        try:
            top = psutil.Process(self._master)
            processes = [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess as exc:
            raise AdminError("The server has gone") from exc
        alive = {one.pid for one in processes}
        self._known = {pid: one for pid, one in self._known.items() if pid in alive}
        for one in processes:
            process = self._known.setdefault(one.pid, one)
            try:
                with process.oneshot():
                    name = _service(process)
                    cpu, memory = process.cpu_percent(), process.memory_info().rss
            except psutil.Error:
                continue  # it has just ended
            mine = by_pid.get(one.pid, [])
            users = " ".join(dict.fromkeys(f"{session.user}@{session.ip or '-'}" for session in mine))
            yield Row(name, one.pid, cpu, memory, sum(session.number for session in mine), users)


def _service(process: psutil.Process) -> str:
    """From its title: "pydovecot/imap [alice ...]"; the master has the command line it was started with."""
    title = (process.cmdline() or [process.name()])[0]
    _, slash, service = title.partition("pydovecot/")
    return service.split(" [")[0] if slash else "master"


def run(context: Context, arguments: Arguments) -> int:
    """Until interrupted; `rounds` of them when -n is given."""
    base_dir = context.settings().get(AdminSettings).base_dir
    pid = master_pid.running_pid(base_dir)
    if pid is None:
        raise AdminError(f"Dovecot is not running (read from {base_dir}/{master_pid.PID_FILE})")
    path = socket_path(context, arguments, "anvil")
    pause = max(arguments.number("delay", SECS), 1)
    rounds = arguments.number("rounds", 0 if context.watched else 1)
    watch = Watch(pid)
    watch.rows([])  # the first look has nothing to compare with
    if context.watched and os.environ.get("TERM", "dumb") != "dumb":
        return _draw(watch, path, pause, rounds)
    number = 0
    while True:
        time.sleep(min(pause, SECS) if number else 0.2)
        number += 1
        _write(context, watch.rows(list(sessions(path))))
        if rounds and number >= rounds:
            return 0
        context.print("")


def _write(context: Context, rows: list[Row]) -> None:
    context.print(summary(rows))
    context.print(_line(COLUMNS))
    for row in rows:
        context.print(_line(row.cells()))


def _line(cells: tuple[str, ...]) -> str:
    service, pid, cpu, memory, clients, users = cells
    return f"{service:<20} {pid:>7} {cpu:>6} {memory:>8} {clients:>7} {users}".rstrip()


def summary(rows: list[Row]) -> str:
    """One line about all of it."""
    memory, cpu = sum(row.memory for row in rows) / _MIB, sum(row.cpu for row in rows)
    users = {user for row in rows for user in row.users.split()}
    total = sum(row.sessions for row in rows)
    who = f"{total} sessions of {len(users)} users"
    return f"{len(rows)} processes, {who}, cpu {cpu:.1f}%, memory {memory:.0f}M"


def _draw(watch: Watch, path: str, pause: int, rounds: int) -> int:
    from rich.live import Live

    number = 0
    with Live(screen=True, auto_refresh=False) as live:
        while not rounds or number < rounds:
            live.update(_table(watch.rows(list(sessions(path)))), refresh=True)
            number += 1
            time.sleep(pause)
    return 0


def _table(rows: list[Row]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=summary(rows), caption="Ctrl-C ends")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("service", "users") else "right")
    for row in rows[:ROWS]:
        table.add_row(*map(escape, row.cells()))
    return table

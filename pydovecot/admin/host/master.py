"""doveadm reload, stop, service, process: the master process and what it runs."""

import os
import signal
import time
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import NOT_FOUND, AdminError
from pydovecot.admin.settings import AdminSettings
from pydovecot.ipc import questions
from pydovecot.runtime import master_pid

STOP_SECS: Final = 30.0
SERVICE_COLUMNS: Final = (
    "name", "process_count", "process_avail", "process_limit", "client_limit", "throttle_secs",
    "exit_failure_last", "exit_failures_in_sec", "last_drop_warning", "listen_pending", "listening",
    "doveadm_stop", "process_total",
)  # fmt: skip
PROCESS_COLUMNS: Final = (
    "name", "pid", "available_count", "total_count", "idle_start", "last_status_update", "last_kill_sent",
)  # fmt: skip


def signal_master(context: Context, number: int) -> int:
    """Send a signal to the master of this configuration; its pid. Raises AdminError."""
    base_dir = context.settings().get(AdminSettings).base_dir
    pid = master_pid.running_pid(base_dir)
    if pid is None:
        raise AdminError(f"Dovecot is not running (read from {base_dir}/{master_pid.PID_FILE})")
    try:
        os.kill(pid, number)
    except OSError as exc:
        raise AdminError(f"kill({pid}) failed: {exc.strerror}") from exc
    return pid


def reload(context: Context, _arguments: Arguments) -> int:
    """Read the configuration again."""
    signal_master(context, signal.SIGHUP)
    return 0


def stop(context: Context, _arguments: Arguments) -> int:
    """End the server, and wait until it has ended."""
    base_dir = context.settings().get(AdminSettings).base_dir
    pid = signal_master(context, signal.SIGTERM)
    if context.server:
        return 0  # the server that is stopped is the one that runs us
    end = time.monotonic() + STOP_SECS
    while time.monotonic() < end:
        if master_pid.read_pid(base_dir) != pid or not master_pid.is_alive(pid):
            return 0  # it removes the file last
        time.sleep(0.02)
    raise AdminError(f"The server did not stop in {STOP_SECS:.0f} seconds")


def _path(context: Context) -> str:
    return os.path.join(context.settings().get(AdminSettings).base_dir, "master")


def service_status(context: Context, arguments: Arguments) -> None:
    """Counters of services."""
    _rows(context, "SERVICE-STATUS", arguments.many("service"), SERVICE_COLUMNS, "pager")


def process_status(context: Context, arguments: Arguments) -> None:
    """Processes of services."""
    _rows(context, "PROCESS-STATUS", arguments.many("service"), PROCESS_COLUMNS, "table")


def _rows(context: Context, command: str, names: list[str], columns: tuple[str, ...], style: str) -> None:
    printer = context.printer(style)
    for key in columns:
        printer.header(key)
    for row in questions.master(_path(context), command):
        if names and row[0] not in names:
            continue
        for value in (*row, *[""] * len(columns))[: len(columns)]:
            printer.value(value)


def service_stop(context: Context, arguments: Arguments) -> int:
    """End the processes of services, and start none again until a reload."""
    names = arguments.many("service")
    if not names:
        raise AdminError("service parameter missing")
    for name in names:
        if not questions.master_stop(_path(context), name):
            context.log.error(f"Unknown service: {name}")
            context.fail(NOT_FOUND)
    return context.status

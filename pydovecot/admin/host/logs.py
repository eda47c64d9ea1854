"""doveadm log: where the log lines go, and the last bad ones."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.host.master import signal_master
from pydovecot.admin.settings import AdminSettings, LogSettings
from pydovecot.event.event import Level
from pydovecot.event.targets import LogTarget, close_targets, open_targets
from pydovecot.event.wire import Record
from pydovecot.ipc import questions

TEST_TEXT: Final = "This is Dovecot's "
LEVELS: Final = (Level.DEBUG, Level.INFO, Level.WARNING, Level.ERROR, Level.FATAL)
MAX_FILES: Final = 10_000  # below /var/log
SYSLOG_SECS: Final = 1.0  # what syslog needs to write a line to its files
_LOG_FOLDERS: Final = ("/var/log", "/var/adm")


def reopen(context: Context, _arguments: Arguments) -> int:
    """Open the log files anew, after a rotation."""
    signal_master(context, signal.SIGUSR1)
    return 0


def test(context: Context, _arguments: Arguments) -> int:
    """A line of each level, by the way that all lines take."""
    targets = open_targets(_target(context))
    now = int(time.time())
    for level in LEVELS:
        text = f"{TEST_TEXT}{level.name.lower()} log ({now})"
        targets[level].write(Record(level, os.getpid(), "doveadm: ", text))
    close_targets(targets)
    return 0


def _target(context: Context) -> LogTarget:
    settings = context.settings().get(LogSettings)
    return LogTarget(
        log_path=settings.log_path or "syslog",
        info_log_path=settings.info_log_path,
        debug_log_path=settings.debug_log_path,
        log_timestamp=settings.log_timestamp.strip('"'),
        syslog_facility=settings.syslog_facility,
        instance_name=context.settings().get(AdminSettings).instance_name,
    )


def find(context: Context, arguments: Arguments) -> int:
    """The file of each level; where syslog writes is found out with `test`."""
    settings = context.settings().get(LogSettings)
    found: dict[Level, list[str]] = {level: [] for level in LEVELS}
    paths = configured(settings.log_path, settings.info_log_path, settings.debug_log_path)
    for level, path in paths.items():
        found[level].append(path)
    if len(paths) < len(LEVELS):
        _through_syslog(context, arguments.text("log-dir"), found)
    for level in LEVELS:
        for path in found[level] or ["Not found"]:
            context.print(f"{level.name.capitalize()}: {path}")
    return 0


def configured(log: str, info: str, debug: str) -> dict[Level, str]:
    """The files that the settings name; a level that goes to syslog is missing."""
    info = info or log
    debug = debug or info
    paths = {Level.DEBUG: debug, Level.INFO: info}
    paths |= dict.fromkeys((Level.WARNING, Level.ERROR, Level.FATAL), log)
    return {level: path for level, path in paths.items() if path not in ("", "syslog")}


def _through_syslog(context: Context, folder: str, found: dict[Level, list[str]]) -> None:
    folder = folder or next((one for one in _LOG_FOLDERS if os.path.isdir(one)), "")
    if not folder:
        return
    context.print(f"Looking for log files from {folder}")
    if not os.path.isdir(folder):
        context.log.error(f"opendir({folder}) failed: No such file or directory")
        return
    sizes = dict(_files(folder))
    test(context, Arguments())
    time.sleep(SYSLOG_SECS)
    for path, size in sizes.items():
        for level in _levels_in(path, size):
            if path not in found[level]:
                found[level].append(path)


def _files(folder: str) -> Iterator[tuple[str, int]]:
    """Files below a folder and their sizes."""
    count = 0
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            with suppress(OSError):
                path = os.path.join(here, name)
                if not name.startswith("."):
                    count += 1
                    yield path, os.stat(path).st_size
            if count >= MAX_FILES:
                return


def _levels_in(path: str, start: int) -> set[Level]:
    """The levels of the test lines that were written behind `start`."""
    with suppress(OSError):
        if os.path.getsize(path) > start:
            with open(path, "rb") as file:
                file.seek(start)
                text = file.read(1 << 20).decode("utf-8", "replace")
            return {one for one in LEVELS if f"{TEST_TEXT}{one.name.lower()} log" in text}
    return set()


def errors(context: Context, arguments: Arguments) -> None:
    """The last warnings and errors that the log process remembers."""
    since = arguments.number("since")
    path = os.path.join(context.settings().get(AdminSettings).base_dir, "log-errors")
    printer = context.printer("formatted")
    context.set_pattern("%{timestamp} %{type}: %{prefix}: %{text}\n")
    for key in ("timestamp", "prefix", "type", "text"):
        printer.header(key)
    for row in questions.log_errors(path):
        if len(row) != 4 or not row[1].isdigit():
            context.log.error(f"Invalid input from log: {' '.join(row)}")
            continue
        kind, when, prefix, text = row
        if int(when) < since:
            continue
        printer.value(time.strftime("%b %d %H:%M:%S", time.localtime(int(when))))
        printer.value(prefix.removesuffix(": "))
        printer.value(kind.capitalize())
        printer.value(text)

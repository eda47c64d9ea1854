"""What a command gets besides its arguments: settings, log, printer, streams; the same for all front ends."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from pydovecot.admin.printer import Printer

if TYPE_CHECKING:
    from pydovecot.admin.arguments import Param
    from pydovecot.settings.view import SettingsView


class Log:
    """`doveadm(user): Error: text` lines; `prefix` changes with the user whose turn it is."""

    def __init__(self, write: Callable[[str], object], *, debug: bool = False) -> None:
        self._write, self._debug = write, debug
        self.prefix = ""

    def fatal(self, text: str) -> None:
        self.line("Fatal", text)

    def error(self, text: str) -> None:
        self.line("Error", text)

    def warning(self, text: str) -> None:
        self.line("Warning", text)

    def info(self, text: str) -> None:
        self.line("Info", text)

    def debug(self, text: str) -> None:
        """Only with -D."""
        if self._debug:
            self.line("Debug", text)

    def plain(self, text: str) -> None:
        """A line without level and prefix."""
        self._write(text + "\n")

    def line(self, level: str, text: str, prefix: str | None = None) -> None:
        """One line of any level, one line whatever the text has."""
        clean = "".join(one if one >= " " or one == "\t" else "?" for one in text)
        self._write(f"{self.prefix if prefix is None else prefix}{level}: {clean}\n")


@dataclass(slots=True)
class Context:
    """One run of one command. `user`: who it is for when nobody is named ($USER); None: unknown.

    `make_printer` gives the printer of -f, or of the command's own default format. `server`: run for a client
    of the doveadm server, so the process serves others later and userdb is always asked.
    `status`: the exit status so far; `fail` sets it as Dovecot does.
    """

    load_settings: Callable[[str], "SettingsView"]
    log: Log
    make_printer: Callable[[str], Printer]
    write: Callable[[bytes], object]
    config_file: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    verbose: bool = False
    debug: bool = False
    server: bool = False
    input: BinaryIO | None = None
    status: int = 0
    command_name: str = ""
    params: "Sequence[Param]" = ()  # the command's
    watched: bool = False  # standard output is a terminal
    _printer: Printer | None = None
    _late: list[bytes] = field(default_factory=list)
    _settings: "dict[str, SettingsView]" = field(default_factory=dict)

    def settings(self, service: str = "doveadm") -> "SettingsView":
        """The configuration as a service sees it; read once. Raises ConfigError."""
        found = self._settings.get(service)
        if found is None:
            found = self._settings[service] = self.load_settings(service)
        return found

    def printer(self, default: str = "flow") -> Printer:
        """The one printer of this run."""
        if self._printer is None:
            self._printer = self.make_printer(default)
        return self._printer

    @property
    def has_printer(self) -> bool:
        """The command prints rows."""
        return self._printer is not None

    def flush(self) -> None:
        """The command has ended."""
        if self._printer is not None:
            self._printer.flush()
        late, self._late = self._late, []
        for line in late:
            self.write(line)

    def print(self, text: str) -> None:
        """A line of plain text, for commands without columns.

        Beside columns it comes after all of them, as in Dovecot, unless somebody watches.
        """
        line = text.encode("utf-8", "surrogateescape") + b"\n"
        if self._printer is None or self.watched or not self._printer.text_comes_late:
            self.write(line)
        else:
            self._late.append(line)

    def sent(self) -> None:
        """What was printed so far shall be seen now: commands that go on for long."""
        if not self.server:
            sys.stdout.flush()

    def complain(self, text: str) -> None:
        """A line of plain text for standard error; the server has no such thing."""
        if not self.server:
            sys.stderr.write(text + "\n")

    def set_pattern(self, pattern: str) -> None:
        """How the format "formatted" shows a row of this command; other formats take no notice."""
        printer = self._printer
        if printer is not None and hasattr(printer, "pattern"):
            printer.pattern = pattern

    def stdin(self) -> BinaryIO:
        """Where the command reads from."""
        return self.input if self.input is not None else sys.stdin.buffer

    def fail(self, status: int) -> None:
        """The first failure counts, but "try again" beats all others."""
        from pydovecot.admin.errors import TEMPFAIL

        if not self.status or status == TEMPFAIL:
            self.status = status

"""Runs a command for a client, whatever protocol it speaks: which ones are allowed, and how it fails."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydovecot.admin import table
from pydovecot.admin.arguments import Arguments, BadArguments, Kind, parse
from pydovecot.admin.context import Context, Log
from pydovecot.admin.errors import TEMPFAIL, USAGE, AdminError, Usage
from pydovecot.admin.printer import Printer
from pydovecot.event.event import Event
from pydovecot.model.errors import InternalError, UserError
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.view import SettingsView

if TYPE_CHECKING:
    from typing import BinaryIO

Tell = Callable[[str, str], object]  # level ("Error"), text with its prefix


@dataclass(frozen=True, slots=True)
class Host:
    """What all commands of one client share."""

    view: SettingsView
    event: Event
    config_file: str
    allowed: frozenset[str]

    def may(self, name: str) -> bool:
        """doveadm_allowed_commands; empty is all."""
        return not self.allowed or name in self.allowed


def find(words: list[str]) -> tuple[table.Command, list[str]] | None:
    """A command that a server has, and the words behind its name."""
    found = table.find(words)
    return None if found is None or found[0].cli_only else found


def run(
    host: Host,
    command: table.Command,
    arguments: Arguments,
    user: str | None,
    *,
    printer: Callable[[str], Printer],
    write: Callable[[bytes], object],
    tell: Tell,
    stdin: "BinaryIO | None" = None,
    verbose: bool = False,
    debug: bool = False,
) -> int:
    """The exit status. Log lines go to the server's log, and to `tell`."""
    context = Context(
        load_settings=lambda _service: host.view,
        log=_ServerLog(host.event, tell, debug=debug),
        make_printer=printer,
        write=write,
        config_file=host.config_file,
        user=user,
        verbose=verbose,
        debug=debug,
        server=True,
        input=stdin or io.BytesIO(),
    )
    try:
        status = command.run(context, arguments)
        context.flush()
    except Usage:
        context.log.error(f"Client sent invalid command. Usage: {command.name} {command.usage}")
        return USAGE
    except AdminError as exc:
        if exc.text:
            context.log.error(exc.text)
        return exc.status
    except BadArguments as exc:
        context.log.error(str(exc))
        return USAGE
    except ConfigError as exc:
        for line in exc.lines:
            context.log.error(line)
        return TEMPFAIL
    except (InternalError, UserError) as exc:
        context.log.error(str(exc))
        return TEMPFAIL
    return status


class _ServerLog(Log):
    """A command's log lines: for the server's log, and for the client."""

    def __init__(self, event: Event, tell: Tell, *, debug: bool) -> None:
        super().__init__(lambda _line: None, debug=debug)
        self._event, self._tell = event, tell

    def line(self, level: str, text: str, prefix: str | None = None) -> None:
        """As any log, but what ended a command does not end the server."""
        shown = (self.prefix if prefix is None else prefix) + text
        match level:
            case "Debug":
                self._event.debug(shown)
            case "Info":
                self._event.info(shown)
            case "Warning":
                self._event.warning(shown)
            case _:
                self._event.error(shown)
        self._tell(level, shown)


def arguments_of(command: table.Command, words: list[str]) -> Arguments:
    """Raises BadArguments."""
    return Arguments(raw=words) if command.raw else parse(command.params, words, command.name)


def files_of(command: table.Command, arguments: Arguments) -> list[str]:
    """The values of parameters that are files. From now on they are what the client sends, no files of ours.

    Commands run as root until they know the user.
    """
    found = []
    for param in command.params:
        if param.kind is Kind.FILE and arguments.given(param.name):
            found.append(arguments.text(param.name))
            arguments.values[param.name] = "-"
    return found

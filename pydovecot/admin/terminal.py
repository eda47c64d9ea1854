"""doveadm's command line, parsed and run: options before the command, failures, exit statuses.

    doveadm [-Dhv] [-f formatter] [-c file] [-i instance] [-o setting=value]... command [arguments]

Commands, options, output and exit statuses are those of Dovecot's doveadm. The modules of commands are
imported as they are needed: most of the time of a short command is Python's start. Called by cli.doveadm, or
by a process of the server that has everything loaded already.
"""

import getopt
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydovecot.admin import table
from pydovecot.admin.arguments import Arguments, BadArguments, parse
from pydovecot.admin.context import Context, Log
from pydovecot.admin.errors import TEMPFAIL, USAGE, AdminError, Usage

if TYPE_CHECKING:
    from pydovecot.admin.printer import Printer
    from pydovecot.settings.view import SettingsView

DEFAULT_CONFIG: Final = "/etc/dovecot/dovecot.conf"
BAD_OPTION: Final = 89  # Dovecot: FATAL_DEFAULT, before its exit statuses are set up
STATE_DIR: Final = "/var/lib/dovecot"


@dataclass(slots=True)
class Options:
    """The options before the command."""

    config: str = ""
    formatter: str = ""
    hide_titles: bool = False
    verbose: bool = False
    debug: bool = False
    overrides: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of `doveadm` and `pydoveadm`; the exit status."""
    out = sys.stdout.buffer
    log = Log(_complain)
    try:
        options = _parse(sys.argv[1:] if argv is None else argv)
        status = _run(options, out.write, log)
        out.flush()
    except Ended as exc:
        sys.stderr.write(exc.text)
        return exc.status
    except BrokenPipeError:
        # The reader (head, less) has gone; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        log.warning("Killed with signal 2")
        return TEMPFAIL
    return status


class Ended(Exception):
    """Nothing was run: a text for standard error, and the status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text, self.status = text, status


def _complain(line: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stderr.buffer.write(line.encode("utf-8", "surrogateescape"))  # names of files have any octets
    sys.stderr.buffer.flush()


def words_of(argv: Sequence[str]) -> list[str]:
    """The command and what is behind it. Raises Ended."""
    return _parse(argv).words


def _parse(argv: Sequence[str]) -> Options:
    try:
        pairs, words = getopt.getopt(list(argv), "Df:hvc:i:o:k", ["help"])
    except getopt.GetoptError as exc:
        if exc.msg.endswith("requires argument"):
            raise Ended(f"doveadm: option requires an argument -- '{exc.opt}'\n", BAD_OPTION) from None
        raise Ended(f"doveadm: invalid option -- '{exc.opt}'\n", BAD_OPTION) from None
    options = Options(words=words)
    for option, value in pairs:
        match option:
            case "-D":
                options.debug = options.verbose = True
            case "-v":
                options.verbose = True
            case "-f":
                options.formatter = value
                _check_formatter(value)
            case "-h":
                options.hide_titles = True
            case "-c":
                options.config = value
            case "-i":
                options.config = _instance(value)
            case "-o":
                name, _, text = value.partition("=")
                options.overrides[name] = text
            case "--help":
                options.words = []
                break
    return options


def _check_formatter(name: str) -> None:
    from pydovecot.admin.formatters import FORMATTERS

    if name not in FORMATTERS:
        raise Ended(f"doveadm: Fatal: Unknown print formatter: {name}\n", TEMPFAIL)


def _instance(name: str) -> str:
    """The configuration file of a known instance."""
    from pydovecot.runtime.instances import read

    for one in read(STATE_DIR):
        if one.name == name:
            return one.config or f"{one.base_dir}/dovecot.conf"
    raise Ended(f"doveadm: Fatal: Unknown instance name: {name}\n", TEMPFAIL)


def _run(options: Options, write: Callable[[bytes], object], log: Log) -> int:
    words = options.words
    if not words:
        raise Ended(table.overview(), USAGE)
    found = table.find(words)
    if found is None:
        return _not_a_command(words[0], _context(options, write, Log(_complain)))
    command, rest = found
    log = Log(_complain, debug=options.debug)
    context = _context(options, write, log)
    context.command_name, context.params = command.name, command.params
    if options.formatter:
        context.printer()  # even a command without columns begins and ends the format
    try:
        arguments = _arguments(command, rest)
        status = command.run(context, arguments)
        context.flush()
    except BadArguments as exc:
        raise Ended(f"{exc}\n" if str(exc) else "", USAGE) from None
    except Usage:
        raise Ended(f"doveadm {command.name} {command.usage}\n", USAGE) from None
    except AdminError as exc:
        if exc.text:
            log.fatal(exc.text)
        status = exc.status
    except Exception as exc:  # noqa: BLE001 - the last one to see it; told, and where with -D
        status = _failed(exc, log, options)
    return status


def _not_a_command(word: str, context: Context) -> int:
    below = table.below(word)
    try:
        for command in below:
            if command.plugin:
                command.need_plugin(context)
    except AdminError as exc:
        context.log.fatal(exc.text)
        return exc.status
    raise Ended(table.overview(word if below else ""), USAGE)


def _arguments(command: table.Command, rest: list[str]) -> Arguments:
    if command.raw:
        return Arguments(raw=rest)
    return parse(command.params, rest, command.name.rpartition(" ")[2])


def _failed(exc: Exception, log: Log, options: Options) -> int:
    """A failure that the command did not foresee: its text, and where it was with -D."""
    from pydovecot.model.errors import InternalError, UserError
    from pydovecot.settings.errors import ConfigError

    if isinstance(exc, ConfigError):
        for line in exc.lines:
            log.fatal(line)
        return BAD_OPTION
    if not isinstance(exc, InternalError | UserError):
        if options.debug:
            raise exc
        log.fatal(f"Internal error: {type(exc).__name__}: {exc} (-D shows where)")
        return TEMPFAIL
    log.fatal(str(exc))
    return TEMPFAIL


def _context(options: Options, write: Callable[[bytes], object], log: Log) -> Context:
    path = options.config or os.environ.get("CONFIG_FILE", "") or DEFAULT_CONFIG

    def settings(service: str) -> "SettingsView":
        from pydovecot.settings.client import from_file

        view: SettingsView = from_file(path, service=service, protocol=service).view
        return view.with_overrides(options.overrides) if options.overrides else view

    def printer(default: str) -> "Printer":
        from pydovecot.admin.formatters import make

        return make(options.formatter or default, write, write, hide_titles=options.hide_titles)

    return Context(
        load_settings=settings,
        log=log,
        make_printer=printer,
        write=write,
        config_file=path,
        overrides=options.overrides,
        user=os.environ.get("USER"),
        verbose=options.verbose,
        debug=options.debug,
        watched=sys.stdout.isatty(),
    )

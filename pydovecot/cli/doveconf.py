"""doveconf - shows the configuration, and what is wrong with it.

    doveconf [-adhnNPsSx] [-c FILE] [-f FILTER=VALUE]... [-m MODULE] [NAME...]
    doveconf [-c FILE] [-f ...] --explain NAME
    doveconf [-c FILE] --check

Options and output are Dovecot's; --explain and --check are ours. Exit status 89 when the configuration
cannot be used.
"""

import getopt
import os
import platform
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TextIO

from pydovecot import __version__
from pydovecot.services.config.all_settings import implemented
from pydovecot.settings import doctor, dump
from pydovecot.settings.check import errors_of, not_implemented, notes_of
from pydovecot.settings.dump import Scope, Style
from pydovecot.settings.effective import effective, merge
from pydovecot.settings.errors import EXIT_STATUS, ConfigError, Problem, suggest
from pydovecot.settings.explain import explain
from pydovecot.settings.known.modules import MODULES
from pydovecot.settings.parser import parse_collecting
from pydovecot.settings.schema import SCHEMA
from pydovecot.settings.tree import Block, Query, Tree

DEFAULT_CONFIG: Final = "/etc/dovecot/dovecot.conf"

USAGE: Final = """\
usage: doveconf [-adhnNPsSx] [-c FILE] [-f FILTER=VALUE]... [-m MODULE] [NAME...]
       doveconf [-c FILE] [-f FILTER=VALUE]... --explain NAME
       doveconf [-c FILE] --check

  -a  all settings (default)         -n  settings that differ from the defaults
  -d  the defaults                   -N  as -n, and those set to their default
  -s  as -a, with tuning settings    -S  machine readable
  -h  values without names           -P  show passwords and keys
  -x  expand $variables and <files   -m  only settings that a module reads
  -f  local= remote= lname= protocol= (or service=): settings of such a connection
  --explain NAME  where the value comes from
  --check         look for errors and for what will not work on this machine
"""


@dataclass(slots=True)
class Options:
    """The command line."""

    config: str = ""
    scope: Scope | None = None
    simple: bool = False
    values_only: bool = False
    style: Style = field(default_factory=Style)
    query: Query = field(default_factory=Query)
    explain: str = ""
    check: bool = False
    names: list[str] = field(default_factory=list)


class UsageError(Exception):
    """The command line is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the doveconf command."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--help" in arguments:
        sys.stdout.write(USAGE)
        return 0
    if "--version" in arguments:
        print(__version__)
        return 0
    try:
        status = run(parse_arguments(arguments), sys.stdout, sys.stderr)
        sys.stdout.flush()
    except UsageError as exc:
        print(f"doveconf: {exc}", file=sys.stderr)
        return EXIT_STATUS
    except ConfigError as exc:
        _report(exc.lines, sys.stderr)
        return EXIT_STATUS
    except BrokenPipeError:
        # The reader (head, less) has gone; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    return status


def parse_arguments(arguments: list[str]) -> Options:
    """Options as Dovecot's getopt takes them. Raises UsageError."""
    options = Options()
    try:
        pairs, options.names = getopt.gnu_getopt(arguments, "ac:df:hi:m:nNpPsSx", ["explain=", "check"])
    except getopt.GetoptError as exc:
        if exc.msg.endswith("requires argument"):
            raise UsageError(f"option requires an argument -- '{exc.opt}'") from exc
        raise UsageError(f"invalid option -- '{exc.opt}'") from exc
    scopes = {scope.value: scope for scope in Scope}
    for option, value in pairs:
        if option in scopes:
            options.scope = scopes[option]
        elif option == "-c":
            options.config = value
        elif option == "-i":
            options.config = _instance(value)
        elif option == "-f":
            options.query = _filter(options.query, value)
        elif option == "-m":
            options.style = replace(options.style, module=value)
        elif option == "-S":
            options.simple = True
        elif option == "-h":
            options.values_only = True
        elif option == "-P":
            options.style = replace(options.style, passwords=True)
        elif option == "-x":
            options.style = replace(options.style, expand=True)
        elif option == "--explain":
            options.explain = value
        elif option == "--check":
            options.check = True
    return options


def _filter(query: Query, argument: str) -> Query:
    key, _, value = argument.partition("=")
    if key in ("local", "remote"):
        try:
            address = str(socket.getaddrinfo(value, None, type=socket.SOCK_STREAM)[0][4][0])
        except OSError as exc:
            raise ConfigError(text=f"{key} filter: gethostbyname({value}) failed: {exc.strerror}") from exc
        return replace(query, local_ip=address) if key == "local" else replace(query, remote_ip=address)
    if key in ("protocol", "service") and "=" in argument:
        return replace(query, protocol=value)
    if key in ("lname", "local_name") and "=" in argument:
        return replace(query, local_name=value)
    raise ConfigError(text=f"Unknown filter argument: {argument}")


def _instance(name: str) -> str:
    """The configuration file of a named instance, as state_dir/instances has it."""
    try:
        with open("/var/lib/dovecot/instances", encoding="utf-8", errors="surrogateescape") as stream:
            for line in stream:
                fields = line.rstrip("\n").split("\t")
                if len(fields) >= 4 and fields[1] == name:
                    return fields[3]
    except OSError:
        pass
    raise ConfigError(text=f"Unknown instance name: {name}")


def run(options: Options, out: TextIO, err: TextIO) -> int:
    """Do what the options say."""
    path = options.config or os.environ.get("CONFIG_FILE", "") or DEFAULT_CONFIG
    dumping = not options.names and not options.simple and not options.explain and not options.check
    if dumping:
        print(f"# {__version__} (pydovecot): {path}", file=out)
        out.flush()
    tree, problems = parse_collecting(path, expand=options.style.expand)
    for note in tree.notes:
        print(f"doveconf: {note.level}: {note.text}", file=err)
    # A missing "}" and the like do not hide what could be read.
    if any(problem.line for problem in problems):
        raise ConfigError(problems)
    if options.explain:
        return _explain(tree, options, out, err)
    if options.check:
        return _check(tree, path, out, err)
    late = problems or errors_of(tree)
    for note in notes_of(tree):
        print(f"doveconf: {note.level}: {note.text}", file=err)
    root = effective(merge(tree, options.query))
    if options.names:
        _show_names(options, tree, out, err)
    elif options.simple:
        out.writelines(f"{line}\n" for line in dump.simple(root, options.style))
    else:
        _dump(options, tree, out)
        if options.scope is Scope.CHANGED:
            _warn_not_implemented(tree, err)
            if not late:
                _warn_will_not_start(path, err)
    return _finish(late, out, err)


def _finish(late: list[Problem], out: TextIO, err: TextIO) -> int:
    """Errors of the whole come after the output, as the administrator wants to see both."""
    out.flush()
    if not late:
        return 0
    _report(ConfigError(late).lines, err)
    return EXIT_STATUS


def _report(lines: list[str], err: TextIO) -> None:
    for number, line in enumerate(lines):
        print(f"doveconf: {'Error' if number else 'Fatal'}: {line}", file=err)


def _header(options: Options, out: TextIO) -> None:
    system = platform.uname()
    print(f"# OS: {system.system} {system.release} {system.machine} {_distribution()} ", file=out)
    print(f"# Hostname: {socket.gethostname()}", file=out)
    if options.scope in (None, Scope.ALL):
        print("# NOTE: Send doveconf -n output instead when asking for help.", file=out)


def _distribution() -> str:
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        return ""
    return facts.get("PRETTY_NAME", facts.get("NAME", ""))


def _blocks(tree: Tree, query: Query) -> list[Block]:
    """Blocks that can hold for the query: parts that it leaves open exclude nothing."""
    return [block for block in tree.sorted_blocks() if doctor.possible(block.filter, query)]


def _dump(options: Options, tree: Tree, out: TextIO) -> None:
    scope = options.scope or Scope.ALL
    root = effective(merge(tree, options.query))
    _header(options, out)
    lines = dump.human(root, _blocks(tree, options.query), scope, options.style)
    out.writelines(f"{line}\n" for line in lines)


def _show_names(options: Options, tree: Tree, out: TextIO, err: TextIO) -> None:
    root = effective(merge(tree, options.query))
    scope = options.scope or Scope.ALL
    for name in options.names:
        answers = dump.lookup(root, name, options.style)
        if not answers and "/" not in name and name not in SCHEMA.sections:
            hint = suggest(name, [*SCHEMA.fields, *SCHEMA.sections])
            print(f"doveconf: Warning: There is no setting {name}{' - ' + hint if hint else ''}", file=err)
        for answer in answers:
            if answer.section is None and scope is Scope.CHANGED and answer.found is None:
                continue
            out.writelines(
                f"{line}\n" for line in dump.answer_lines(answer, name, options.style, scope, _liner(options))
            )


def _liner(options: Options) -> Callable[[str, str], str]:
    if options.values_only:
        return lambda _name, value: value
    if options.simple:
        return lambda name, value: f"{name}={value}"
    return lambda name, value: f"{name} = {value}"


def _explain(tree: Tree, options: Options, out: TextIO, err: TextIO) -> int:
    lines = explain(tree, options.explain, options.query)
    if not lines:
        hint = suggest(options.explain, SCHEMA.fields)
        text = f"There is no setting {options.explain}{' - ' + hint if hint else ''}"
        print(f"doveconf: Fatal: {text}", file=err)
        return EXIT_STATUS
    out.writelines(f"{line}\n" for line in lines)
    return 0


def _warn_not_implemented(tree: Tree, err: TextIO) -> None:
    for line in not_implemented(tree, implemented()):
        print(f"doveconf: Warning: {line}", file=err)


def _problems_of_auth(tree: Tree) -> list[Problem]:
    # Imported here: scripts call doveconf for single values, and this is half of the program.
    from pydovecot.authdb import startup

    return startup.problems_of(tree)


def _warn_will_not_start(path: str, err: TextIO) -> None:
    """What auth would refuse at the start and somebody wrote; a file without passdbs may be a piece."""
    expanded, problems = parse_collecting(path, expand=True)
    for problem in [] if problems else _problems_of_auth(expanded):
        if problem.line:
            where = f"{problem.file} line {problem.line}"
            print(f"doveconf: Warning: {where}: {problem.text}: the server will not start", file=err)


def what_we_have() -> doctor.Known:
    """Drivers and mechanisms of this version."""
    # Imported here: scripts call doveconf for single values, and these are most of the program.
    from pydovecot.authdb.registry import PASSDBS, USERDBS
    from pydovecot.sasl.registry import MECHANISMS
    from pydovecot.storage.drivers.registry import DRIVERS

    return doctor.Known(frozenset(PASSDBS), frozenset(USERDBS), frozenset(MECHANISMS), frozenset(DRIVERS))


def _check(tree: Tree, path: str, out: TextIO, err: TextIO) -> int:
    """All checks; errors make the status 89."""
    expanded, problems = parse_collecting(path, expand=True)
    problems = problems or errors_of(expanded)
    for note in notes_of(tree):
        print(f"doveconf: {note.level}: {note.text}", file=err)
    _warn_not_implemented(tree, err)
    findings = doctor.examine(expanded, what_we_have()) if not problems else []
    problems = problems or _problems_of_auth(expanded)
    for finding in findings:
        print(f"doveconf: {finding.level}: {finding.text}", file=err)
    set_by_admin = sum(len(section.values) for section in (tree.root, *tree.root.sections.values()))
    done = implemented()
    print(
        f"{path}: {len(expanded.files)} files, {set_by_admin} settings;"
        f" {len(done[''])} of {len(SCHEMA.fields)} known global settings are implemented",
        file=out,
    )
    if problems or any(finding.level == "Error" for finding in findings):
        return _finish(problems, out, err) or EXIT_STATUS
    print("No errors found.", file=out)
    return 0


__all__ = ["MODULES", "main", "parse_arguments", "run"]


if __name__ == "__main__":
    raise SystemExit(main())

"""Parses the configuration for the master. Runs in a short-lived child: the master itself parses nothing."""

from dataclasses import replace

from pydovecot.services.config.all_settings import implemented
from pydovecot.settings.check import errors_of, not_implemented, notes_of
from pydovecot.settings.errors import ConfigError, Problem
from pydovecot.settings.master import Configuration, configuration
from pydovecot.settings.parser import parse_collecting
from pydovecot.settings.tree import Tree
from pydovecot.settings.wire import contents


def load(path: str, *, open_files: bool = True) -> Configuration:
    """The master's part of the configuration. Raises ConfigError with every error in it.

    `open_files` False: `key = <file` is not looked at, for trees that belong to another machine.
    """
    tree, problems = parse_collecting(path, expand=True)
    if not problems:
        problems = [*errors_of(tree), *(_unreadable_files(tree) if open_files else ())]
    if not problems and open_files:
        from pydovecot.authdb import startup  # half of the program, which `pydovecot stop` does not need

        problems = startup.problems_of(tree)
    if problems:
        raise ConfigError(problems)
    tree.notes.extend(notes_of(tree))
    made = configuration(tree)
    return replace(made, warnings=(*made.warnings, *not_implemented(tree, implemented())))


def _unreadable_files(tree: Tree) -> list[Problem]:
    """`key = <file` whose file cannot be read: known now, not when the first client comes."""
    problems: list[Problem] = []
    for root in (tree.root, *(block.root for block in tree.blocks)):
        for key, value in root.values.items():
            try:
                contents(key, value)
            except ConfigError as exc:
                problems.extend(exc.problems)
    return problems

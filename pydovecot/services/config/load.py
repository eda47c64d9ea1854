"""Parses the configuration for the master. Runs in a short-lived child: the master itself parses nothing."""

from dataclasses import replace

from pydovecot.services.config.all_settings import implemented
from pydovecot.settings.check import errors_of, not_implemented, notes_of
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.master import Configuration, configuration
from pydovecot.settings.parser import parse_collecting


def load(path: str) -> Configuration:
    """The master's part of the configuration. Raises ConfigError with every error in it."""
    tree, problems = parse_collecting(path, expand=True)
    if not problems:
        problems = errors_of(tree)
    if problems:
        raise ConfigError(problems)
    tree.notes.extend(notes_of(tree))
    made = configuration(tree)
    return replace(made, warnings=(*made.warnings, *not_implemented(tree, implemented())))

"""Will authentication work with this configuration? Asked before a start, and by `doveconf --check`.

Dovecot finds out when its auth process starts, and tells every client `* BYE Auth process broken`. The words
are those of that process; file and line are ours.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from pydovecot.authdb import mechanisms, registry
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.entry import BadDatabase, check_ids, make_driver
from pydovecot.authdb.passwd_file import PasswdFiles
from pydovecot.event.event import Event
from pydovecot.settings.effective import Effective, effective
from pydovecot.settings.errors import Problem
from pydovecot.settings.tree import Section, Tree, Value

D = TypeVar("D")


def problems_of(tree: Tree) -> list[Problem]:
    """What would stop the auth process; the tree was parsed with `expand=True`.

    Files that drivers are set up by (sql) are read, code of the administrator (python) is not run.
    """
    root = effective(tree.root)
    world = DriverWorld(PasswdFiles(Event(lambda _level, _text, _fields: None)), dry=True)
    found: list[Problem] = []
    lookups: list[bool] = []
    for section in root.children("passdb"):
        passdb = _made(tree, section, registry.PASSDBS, world, found)
        lookups += [passdb.can_lookup] if passdb is not None else []
    for section in root.children("userdb"):
        _made(tree, section, registry.USERDBS, world, found)
        for key in ("default_fields", "override_fields"):
            try:
                check_ids(section.text("driver"), section.text(key))
            except BadDatabase as exc:
                found.append(_problem(tree, section.value(key) or section.section, exc))
    if not found and (root.text("protocols").strip() or lookups):
        found.extend(_mechanisms(tree, root, lookups))
    return found


def _made(
    tree: Tree,
    section: Effective,
    table: Mapping[str, Callable[[str, DriverWorld], D]],
    world: DriverWorld,
    found: list[Problem],
) -> D | None:
    """The section's driver; None, and a line in `found`, when it cannot be."""
    factory = table.get(section.text("driver"))
    try:
        return make_driver(factory, section.text("driver"), section.text("args"), world, section.type.name)
    except BadDatabase as exc:
        value = section.value("args" if factory is not None else "driver")
        found.append(_problem(tree, value or section.section, exc))
        return None


def _problem(tree: Tree, place: Value | Section | None, exc: Exception) -> Problem:
    return Problem(place.file, place.line, str(exc)) if place else Problem(tree.path, 0, str(exc))


def _mechanisms(tree: Tree, root: Effective, lookups: list[bool]) -> Iterator[Problem]:
    try:
        mechanisms.choose(
            root.text("auth_mechanisms"),
            lookups,
            lambda _warning: None,  # auth itself says it
            anonymous=root.text("auth_anonymous_username"),
            rpop=root.text("pop3_rpop") == "yes",
        )
    except mechanisms.BadMechanism as exc:
        yield _problem(tree, root.value("auth_mechanisms"), exc)

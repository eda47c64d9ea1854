"""doveadm's man pages have the options of its commands, and no others."""

import re
from pathlib import Path

import pytest

from pydovecot.admin import terminal as doveadm
from pydovecot.admin.mail_commands import MAIL
from pydovecot.admin.table import Command

MAN = Path(__file__).resolve().parents[3] / "man"
PAGES: dict[str, list[Command]] = {}
for _command in MAIL:
    PAGES.setdefault(_command.name.split()[0], []).append(_command)
MUTF7 = {"-7", "-8"}  # of `mailbox mutf7`, which reads its words itself


def described(page: str) -> set[str]:
    """Options that stand at the beginning of a paragraph of OPTIONS."""
    text = (MAN / page).read_text().replace("\\-", "-")
    section = text.partition(".SH OPTIONS\n")[2].partition("\n.SH ")[0]
    heads = re.findall(r"^\.TP\n\.B (.*)$", section, re.MULTILINE)
    assert heads
    return {word for head in heads for word in re.findall(r"(?<![\w-])--?[A-Za-z0-9][\w-]*", head)}


def taken(commands: list[Command]) -> set[str]:
    """Options of the parameters."""
    found = set()
    for param in (param for command in commands for param in command.params if not param.word):
        found.add(f"--{param.name}")
        if param.short:
            found.add(f"-{param.short}")
    return found


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_options(name: str) -> None:
    more = MUTF7 if name == "mailbox" else set()
    assert described(f"doveadm-{name}.1") == taken(PAGES[name]) | more


def test_the_page_of_all_has_the_options() -> None:
    source = Path(doveadm.__file__).read_text()
    found = re.search(r'getopt\.getopt\(list\(argv\), "([a-zA-Z:]+)", \["help"\]\)', source)
    assert found
    assert described("doveadm.1") == {f"-{letter}" for letter in found[1].replace(":", "")} | {"--help"}


def test_the_page_of_queries_has_all_keys() -> None:
    from pydovecot.admin.mail.query import KEYS

    text = (MAN / "doveadm-search-query.7").read_text().replace("\\-", "-")
    other_names = {name for name in KEYS if name.startswith("X-")} | {"SAVEDATESUPPORTED"}
    assert not [name for name in KEYS if name not in other_names and not re.search(rf"\b{name}\b", text)]

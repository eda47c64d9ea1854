"""The man pages of the commands about the host have their options, and no others."""

import re
from pathlib import Path

import pytest

from pydovecot.admin.host_commands import HOST
from pydovecot.admin.table import Command

MAN = Path(__file__).resolve().parents[3] / "man"
OWN_WORDS = {"pw": {"-l", "-p", "-r", "-s", "-t", "-u", "-V"}}  # commands that read their words themselves
OTHERS = {"mailbox mutf7"}  # in the page of doveadm-mailbox
PAGES: dict[str, list[Command]] = {}
for _command in HOST:
    if _command.name not in OTHERS:
        PAGES.setdefault(_command.name.split()[0], []).append(_command)


def taken(command: Command) -> set[str]:
    short = {f"-{one.short}" for one in command.params if one.short and not one.word}
    return short | OWN_WORDS.get(command.name, set())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_options(name: str) -> None:
    text = (MAN / f"doveadm-{name}.1").read_text().replace("\\-", "-")
    assert text.startswith(f'.\\" Manual of doveadm-{name}; part of pydovecot.\n')
    parts = {part.split("\n")[0] for part in text.split("\n.SS ")[1:]}
    for command in PAGES[name]:
        head = next((part for part in parts if part.startswith(f"{command.name} ")), "")
        if head or len(PAGES[name]) > 2:
            said = set(re.findall(r"\[(-\w)", head))
        else:
            section = text.partition(".SH OPTIONS\n")[2].partition("\n.SH ")[0]
            heads = re.findall(r"^\.TP\n\.B (.*)$", section, re.MULTILINE)
            said = {word for line in heads for word in re.findall(r"(?<![\w-])-\w\b", line)}
            long = {word for line in heads for word in re.findall(r"--([\w-]+)", line)}
            assert long <= {one.name for one in command.params} | _others(PAGES[name])
        if command.name != "instance remove":
            assert said == taken(command), command.name


def _others(commands: list[Command]) -> set[str]:
    return {one.name for command in commands for one in command.params}

"""All commands: name, module, usage, parameters. A module is imported when its command runs."""

from collections.abc import Sequence
from importlib import import_module
from typing import Final, NamedTuple, cast

from pydovecot.admin.arguments import Arguments, Param
from pydovecot.admin.context import Context
from pydovecot.admin.errors import AdminError


class Command(NamedTuple):
    """One command. Its module has `run(context, arguments) -> int | None` (or `function`).

    `raw`: the command reads its words itself. `plugin`: it is there only if mail_plugins names that plugin.
    """

    name: str
    module: str
    usage: str
    params: tuple[Param, ...] = ()
    function: str = "run"
    raw: bool = False
    plugin: str = ""
    hidden: bool = False  # not in the list of commands
    cli_only: bool = False  # the doveadm server has it not: it replaces the process, or asks at the terminal

    def run(self, context: Context, arguments: Arguments) -> int:
        """The exit status. Raises AdminError, Usage."""
        if self.plugin:
            self.need_plugin(context)
        run = getattr(import_module(self.module), self.function)
        status = cast("int | None", run(context, arguments))
        return context.status if status is None else status

    def need_plugin(self, context: Context) -> None:
        """Raise AdminError unless mail_plugins has the command's plugin."""
        from pydovecot.storage.settings import MailSettings

        if self.plugin not in context.settings().get(MailSettings).mail_plugins.split():
            text = f"Unknown command '{self.name.split()[0]}', but plugin {self.plugin} exists."
            raise AdminError(f"{text} Try to set mail_plugins={self.plugin}")


def commands() -> Sequence[Command]:
    """All of them."""
    from pydovecot.admin.host_commands import HOST
    from pydovecot.admin.mail_commands import MAIL

    return (*HOST, *MAIL)


def find(words: Sequence[str]) -> tuple[Command, list[str]] | None:
    """The command that the words begin with, and the words behind its name."""
    by_name = {one.name: one for one in commands()}
    for count in range(min(len(words), MAX_WORDS), 0, -1):
        found = by_name.get(" ".join(words[:count]))
        if found is not None:
            return found, list(words[count:])
    return None


MAX_WORDS: Final = 3


def overview(prefix: str = "") -> str:
    """The list of commands, those with more words in one line; with `prefix` only what follows that word."""
    intro = "usage: doveadm [-Dv] [-f <formatter>] " + (f"{prefix} " if prefix else "")
    lines = [intro + "<command> [<args>]"]
    if not prefix:
        lines.append(" " * 15)
    groups: dict[str, list[str]] = {}
    for command in sorted(commands(), key=lambda one: one.name):
        name = command.name
        if not name.startswith(prefix + " ") if prefix else command.hidden:
            continue
        first, _, rest = (name[len(prefix) + 1 :] if prefix else name).partition(" ")
        if rest:
            groups.setdefault(first, []).append(rest.split(" ")[0])
        else:
            groups[first] = [command.usage]
    lines += [f"  {first:<12} {_joined(rest)}" for first, rest in groups.items()]
    return "\n".join(lines) + "\n"


def _joined(parts: list[str]) -> str:
    return "|".join(dict.fromkeys(parts))


def below(word: str) -> list[Command]:
    """Commands of more words that begin with this one."""
    return [one for one in commands() if one.name.startswith(word + " ")]

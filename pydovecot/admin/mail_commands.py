"""The commands on users' mail."""

from typing import Final

from pydovecot.admin.arguments import Param, file, flag, many, text, word, words
from pydovecot.admin.table import Command

# What every mail command takes, and how usages begin.
COMMON: Final[tuple[Param, ...]] = (
    flag("A", "all-users"),
    text("S", "socket-path"),
    text("u", "user"),
    file("F", "user-file"),
    flag("", "no-userdb-lookup"),
)
WHO: Final = "[-u <user>|-A] [-S <socket_path>] "
_HERE: Final = "pydovecot.admin.mail."


def _mail(name: str, module: str, usage: str, *params: Param, function: str = "run") -> Command:
    return Command(name, _HERE + module, WHO + usage, (*COMMON, *params), function)


_QUERY: Final = words("query")
_TO: Final = (word("destination-mailbox"), _QUERY)

MAIL: Final[tuple[Command, ...]] = (
    _mail("copy", "copying", "<destination> [user <source user>] <search query>", *_TO, function="copy"),
    _mail("move", "copying", "<destination> [user <source user>] <search query>", *_TO, function="move"),
    _mail("expunge", "expunging", "[-m] <search query>", flag("d", "delete-empty-mailbox"), _QUERY),
    _mail("fetch", "fetch", "<fields> <search query>", many("f", "field"), word("fieldstr"), _QUERY),
    _mail("search", "searching", "<search query>", _QUERY),
)

"""The commands about the server, its processes and its databases."""

from typing import Final

from pydovecot.admin.arguments import word
from pydovecot.admin.table import Command

_HERE: Final = "pydovecot.admin.host."

HOST: Final[tuple[Command, ...]] = (
    Command("config", _HERE + "config", "[doveconf parameters]", raw=True),
    Command("exec", _HERE + "execute", "<binary> [binary parameters]", raw=True),
    Command("help", _HERE + "manual", "[<cmd>]", (word("cmd"),)),
    Command("mailbox mutf7", _HERE + "mutf7", "[-7|-8] <name> [...]", raw=True),
)

"""How a command ends: the exit statuses of Dovecot's doveadm (sysexits.h and two of its own)."""

from typing import Final

OK: Final = 0
NOT_POSSIBLE: Final = 65  # Dovecot: DOVEADM_EX_NOTPOSSIBLE; also EX_DATAERR
USAGE: Final = 64
DATA: Final = 65
NO_USER: Final = 67
NOT_FOUND: Final = 68
CANT_CREATE: Final = 73
TEMPFAIL: Final = 75
NO_PERM: Final = 77
CONFIG: Final = 78


class AdminError(Exception):
    """The command cannot go on: "Fatal: text", and the status. Without a text there was one already."""

    def __init__(self, text: str = "", status: int = TEMPFAIL) -> None:
        super().__init__(text)
        self.text, self.status = text, status


class Usage(Exception):
    """The arguments make no sense: the command's usage is shown."""

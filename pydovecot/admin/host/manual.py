"""doveadm help: the list of commands, or the manual page of one."""

import os
import sys

from pydovecot.admin import table
from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import USAGE, AdminError


def run(_context: Context, arguments: Arguments) -> int:
    """Does not come back when there is a manual to show."""
    name = arguments.text("cmd")
    sys.stdout.flush()
    if not name:
        sys.stderr.write(table.overview())
        return USAGE
    try:
        os.execvp("man", ["man", f"doveadm-{name}"])
    except OSError as exc:
        raise AdminError(f"execvp(man) failed: {exc.strerror}") from exc

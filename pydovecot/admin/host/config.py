"""doveadm config: doveconf, with the configuration file of this run."""

import os
import sys

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context


def run(context: Context, arguments: Arguments) -> int:
    """Does not come back."""
    sys.stdout.flush()
    program = [sys.executable, "-m", "pydovecot.cli.doveconf", *arguments.raw]
    os.execve(sys.executable, program, {**os.environ, "CONFIG_FILE": context.config_file})

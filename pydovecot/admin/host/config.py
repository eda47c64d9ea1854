"""doveadm config: doveconf, with the configuration file of this run."""

import os
import sys

import pydovecot
from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context


def run(context: Context, arguments: Arguments) -> int:
    """Does not come back."""
    sys.stdout.flush()
    program = [sys.executable, "-m", "pydovecot.cli.doveconf", *arguments.raw]
    library = os.path.dirname(os.path.dirname(os.path.abspath(pydovecot.__file__)))
    environment = {**os.environ, "CONFIG_FILE": context.config_file, "PYTHONPATH": library}
    os.execve(sys.executable, program, environment)

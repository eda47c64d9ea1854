"""doveadm exec: one of the programs of libexec_dir."""

import os
import sys

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import AdminError, Usage
from pydovecot.admin.settings import AdminSettings


def run(context: Context, arguments: Arguments) -> int:
    """Does not come back unless it fails."""
    if not arguments.raw:
        raise Usage
    folder = context.settings().get(AdminSettings).libexec_dir
    path = os.path.join(folder, arguments.raw[0])
    sys.stdout.flush()
    try:
        os.execv(path, [path, *arguments.raw[1:]])
    except OSError as exc:
        raise AdminError(f"execv({path}) failed: {exc.strerror}") from exc

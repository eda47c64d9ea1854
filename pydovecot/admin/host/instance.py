"""doveadm instance: the installations that were started on this machine."""

import time

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import NOT_FOUND, Usage
from pydovecot.admin.settings import AdminSettings
from pydovecot.runtime import instances, master_pid


def list_all(context: Context, arguments: Arguments) -> None:
    """A row for each; with -c only their configuration files."""
    wanted = arguments.text("name")
    found = instances.read(context.settings().get(AdminSettings).state_dir)
    found = [one for one in found if not wanted or one.name == wanted]
    if arguments.flag("show-config"):
        for one in found:
            context.print(one.config)
        return
    printer = context.printer("table")
    printer.header("path", expand=True)
    printer.header("name")
    printer.header("last used")
    printer.header("running")
    for one in found:
        printer.value(one.base_dir)
        printer.value(one.name)
        printer.value(_when(one.last_used))
        printer.value("yes" if master_pid.running_pid(one.base_dir) is not None else "no")


def _when(stamp: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stamp)) if stamp else "never"


def remove(context: Context, arguments: Arguments) -> int:
    """Forget an installation, by its name or its base_dir."""
    if not arguments.given("name"):
        raise Usage
    if not instances.forget(context.settings().get(AdminSettings).state_dir, arguments.text("name")):
        context.log.error("Instance already didn't exist")
        return NOT_FOUND
    return 0

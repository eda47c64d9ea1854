"""doveadm who: the users who are logged in."""

from collections.abc import Iterable

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.host.sessions import Session, masks_of, sessions, socket_path


def run(context: Context, arguments: Arguments) -> None:
    """A row for each user and protocol; with -1 one for each session."""
    masks = masks_of(context, arguments.many("mask"))
    found = [one for one in sessions(socket_path(context, arguments, "anvil")) if masks.fit(one)]
    if arguments.flag("separate-connections"):
        _each(context, found)
    else:
        _together(context, found)


def _each(context: Context, found: list[Session]) -> None:
    printer = context.printer("table")
    printer.header("username", expand=True)
    printer.header("service", "proto")
    printer.header("pid")
    printer.header("ip")
    for one in found:
        for _ in range(one.number):
            for value in (one.user, one.service, one.pid, one.ip):
                printer.value(value)


def _together(context: Context, found: list[Session]) -> None:
    printer = context.printer("table")
    printer.header("username")
    printer.header("connections", "#", right=True)
    printer.header("service", "proto")
    printer.header("pids", "(pids)")
    printer.header("ips", "(ips)")
    groups: dict[tuple[str, str], list[Session]] = {}
    for one in found:
        groups.setdefault((one.user, one.service), []).append(one)
    for (user, service), members in groups.items():
        printer.value(user)
        printer.value(str(sum(one.number for one in members)))
        printer.value(service)
        printer.value(_listed(one.pid for one in members))
        printer.value(_listed(one.ip for one in members if one.ip))


def _listed(words: Iterable[str]) -> str:
    return "(" + " ".join(dict.fromkeys(words)) + ")"

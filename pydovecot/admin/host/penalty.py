"""doveadm penalty: addresses with failed logins, whose next login waits."""

import time

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import USAGE
from pydovecot.admin.host.sessions import contains, parse_network, socket_path
from pydovecot.ipc import questions


def run(context: Context, arguments: Arguments) -> int | None:
    """A row for each address."""
    network = None
    if arguments.given("netmask"):
        text = arguments.text("netmask")
        network = parse_network(text)
        if network is None:
            context.log.error(f"Invalid netmask '{text}' given")
            return USAGE
    printer = context.printer("table")
    for key in ("IP", "penalty", "last_penalty", "last_update"):
        printer.header(key)
    for row in questions.anvil(socket_path(context, arguments, "anvil"), "PENALTY-DUMP"):
        if len(row) < 4 or not (row[2].isdigit() and row[3].isdigit()):
            raise questions.AskError(f"Invalid data from anvil: {row}")
        ip, penalty, last_penalty, last_update = row[:4]
        if network is not None and not contains(network, ip):
            continue
        printer.value(ip)
        printer.value(penalty)
        printer.value(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(last_penalty))))
        printer.value(time.strftime("%H:%M:%S", time.localtime(int(last_update))))
    return None

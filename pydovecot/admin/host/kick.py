"""doveadm kick: end sessions. Mail processes that get a SIGTERM say goodbye to their clients."""

import os
import signal
from collections.abc import Iterable

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import NOT_FOUND, TEMPFAIL, USAGE
from pydovecot.admin.host.sessions import Masks, Session, masks_of, sessions, socket_path


def run(context: Context, arguments: Arguments) -> int:
    """Ends the processes of the sessions that the masks name.

    A process with other users too is spared without -f; the server (no one to ask) has -f always.
    """
    words = arguments.many("mask")
    if not words:
        context.log.error("user and/or ip[/bits] must be specified.")
        return USAGE
    masks = masks_of(context, words)
    printer = context.printer("formatted")
    context.set_pattern("%{result} ")
    printer.header("result")
    wanted, others = choose(sessions(socket_path(context, arguments, "anvil")), masks)
    if others and not (arguments.flag("force") or context.server):
        _tell(context, others, "warning: other connections would also be kicked from following users:")
        context.print("Use the '-f' option to enforce the disconnect.")
        return 0
    users: set[str] = set()
    for pid, names in wanted.items():
        if _end(context, pid):
            users |= names
    if not users:
        if not context.server:
            context.print("no users kicked")
        return NOT_FOUND
    _tell(context, users, "kicked connections from the following users:")
    return context.status


def choose(found: Iterable[Session], masks: Masks) -> tuple[dict[str, set[str]], set[str]]:
    """Processes to end with all their users; and users who are not meant but share such a process."""
    by_pid: dict[str, dict[str, bool]] = {}
    for one in found:
        users = by_pid.setdefault(one.pid, {})
        users[one.user] = users.get(one.user, False) or masks.fit(one)
    wanted = {pid: users for pid, users in by_pid.items() if any(users.values())}
    others = {user for users in wanted.values() for user, meant in users.items() if not meant}
    return {pid: set(users) for pid, users in wanted.items()}, others


def _end(context: Context, pid: str) -> bool:
    """False: no permission. A process that has just gone is as good as ended."""
    if not pid.isdigit() or int(pid) < 2:
        return False
    try:
        os.kill(int(pid), signal.SIGTERM)
    except ProcessLookupError:
        return True
    except PermissionError as exc:
        context.log.error(f"kill({pid}, SIGTERM) failed: {exc.strerror}")
        context.fail(TEMPFAIL)
        return False
    return True


def _tell(context: Context, users: set[str], text: str) -> None:
    if not context.server:
        context.print(text)
    for user in sorted(users):
        context.printer().value(user)
    if not context.server:
        context.print("")

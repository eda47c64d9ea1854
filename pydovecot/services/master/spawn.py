"""Fork one child: descriptors at their fixed numbers, limits, then a role's code or a program.

What happens between fork and the role is the most dangerous part of the server: it runs as root in a copy of
the master. It does no more than is written here, and ends in `os._exit`.
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydovecot.runtime.child import FIRST_LISTENER_FD, ChildParams
from pydovecot.runtime.service import run_child
from pydovecot.runtime.spec import ServiceSpec
from pydovecot.runtime.template import run_template
from pydovecot.services.master.exits import FATAL_DEFAULT

EXEC_FAILED: Final = 84
_PR_SET_CHILD_SUBREAPER: Final = 36
_RESET: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGCHLD, signal.SIGPIPE, signal.SIGALRM, signal.SIGQUIT,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """One child before the fork. `fds` are the descriptors for 0, 1, 2, ... in order."""

    params: ChildParams
    fds: Sequence[int]
    spec: ServiceSpec | None = None
    executable: Sequence[str] = ()  # used when there is no spec
    memory_limit: int = 0  # RLIMIT_AS in bytes, 0 none
    env: Mapping[str, str] = field(default_factory=dict)  # import_environment
    template: bool = False
    ssl_key_password: str = field(default="", repr=False)  # asked for with -p
    before_exec: Callable[[], None] | None = None  # drop_priv_before_exec


def fork(plan: Plan, release_signals: Callable[[], None]) -> int:
    """Fork; returns the child's pid. Raises OSError when the system has no more processes."""
    pid = os.fork()
    if pid:
        return pid
    status = FATAL_DEFAULT
    try:
        _settle(plan, release_signals)
        if plan.spec is not None and plan.template:
            status = run_template(plan.spec, plan.params)
        elif plan.spec is not None:
            status = run_child(plan.spec, plan.params)
        else:
            _execute(plan)
            status = EXEC_FAILED
    except BaseException:  # noqa: BLE001 - the last edge of a child: its stderr is the log pipe
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _settle(plan: Plan, release_signals: Callable[[], None]) -> None:
    for number in _RESET:
        signal.signal(number, signal.SIG_DFL)
    if plan.spec is not None:
        # Until the role has its handlers: the dead pipe tells it what it missed.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    release_signals()
    os.umask(0o077)
    arrange(plan.fds)
    os.chdir(plan.params.base_dir)
    if plan.ssl_key_password:
        os.environ["SSL_KEY_PASSWORD"] = plan.ssl_key_password
    if plan.memory_limit:
        resource.setrlimit(resource.RLIMIT_AS, (plan.memory_limit, plan.memory_limit))


def arrange(fds: Sequence[int]) -> None:
    """Make `fds[n]` descriptor n, inheritable, and close all others."""
    above = max(max(fds), len(fds)) + 1
    # Copies first: a source may sit on the number of another's target.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in fds]
    for number, copy in enumerate(copies):
        os.dup2(copy, number, inheritable=True)
    keep = len(fds)
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= keep:
            try:
                os.close(int(name))
            except OSError:
                continue  # the descriptor of this listing


def _execute(plan: Plan) -> None:
    env = dict(plan.env) | plan.params.to_environ()
    if plan.before_exec is not None:
        plan.before_exec()
    try:
        os.execve(plan.executable[0], list(plan.executable), env)
    except OSError as exc:
        os.write(2, f"execv({plan.executable[0]}) failed: {exc.strerror}\n".encode())


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent dies: processes of a template that is gone. prctl(2)."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def layout(
    null: int, log: int, anvil: int, notify: int, status: int, dead: int, listeners: Sequence[int]
) -> list[int]:
    """Descriptors in the order of runtime.child: null, null, log, anvil, notify, status, dead, listeners."""
    fds = [null, null, log, anvil, notify, status, dead, *listeners]
    assert len(fds) == FIRST_LISTENER_FD + len(listeners)
    return fds

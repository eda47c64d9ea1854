"""The entry of every role: forked by the master, exec'ed with Dovecot's environment, or by hand.

`run(SPEC)` is what a role's `main()` returns.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from pydovecot.runtime.child import ENV_MARK, ChildParams
from pydovecot.runtime.many import ManyClients
from pydovecot.runtime.one import OneClient
from pydovecot.runtime.process import flush_std
from pydovecot.runtime.spec import Family, ServiceSpec

FATAL_STATUS: Final = 89  # Dovecot's FATAL_DEFAULT
USAGE_STATUS: Final = 64


def run(spec: ServiceSpec, argv: Sequence[str] | None = None) -> int:
    """Be the service until its work is done; returns the exit status.

    With Dovecot's child environment: a child of a master. Without: `spec.standalone` on stdin and stdout.
    """
    if ENV_MARK in os.environ:
        return run_child(spec, ChildParams.from_environ())
    words = list(sys.argv[1:] if argv is None else argv)
    if spec.standalone is None:
        print(f"{spec.name} is started by the master process (pydovecot -F)", file=sys.stderr)
        return USAGE_STATUS
    return spec.standalone(words)


def make_process(spec: ServiceSpec, params: ChildParams) -> ManyClients | OneClient:
    """The process object of a role, before anything has happened."""
    return ManyClients(spec, params) if spec.family is Family.MANY_CLIENTS else OneClient(spec, params)


def run_child(spec: ServiceSpec, params: ChildParams) -> int:
    """Be a child of the master: descriptors are in place already (see runtime.child)."""
    process = make_process(spec, params)
    process.begin(params.generation)
    return guard(process, process.prepare) or run_process(process)


def guard(process: ManyClients | OneClient, call: Callable[[], int | None]) -> int:
    """The edge of a process: its exit status, when `call` fails with the reason in the log.

    SystemExit is a role's own: it has logged already.
    """
    try:
        return call() or 0
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else FATAL_STATUS
    except Exception as exc:  # noqa: BLE001 - the outermost one of a process
        process.fatal(exc)
        return FATAL_STATUS


def run_process(process: ManyClients | OneClient) -> int:
    """Be a process that is prepared and begun, to its end; returns the exit status."""
    try:
        return guard(process, process.run)
    finally:
        flush_std()

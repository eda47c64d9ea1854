"""Programs that insist on a terminal: run under one, and fail with what they drew when they do not end."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

BOUND = 120.0


def client_environment(home: Path) -> dict[str, str]:
    """Nothing of ours: a HOME of its own, UTF-8, a simple terminal."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "vt100"}


def run_in_terminal(
    command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, ok: tuple[int, ...] = (0,)
) -> bytes:
    """Run until it ends; what it drew. A client that asks something would wait for ever: it is killed."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env or client_environment(cwd),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        screen = _watch(process, master)
        assert process.wait(5) in ok, screen
        return screen
    finally:
        os.close(master)


def _watch(process: "subprocess.Popen[bytes]", terminal: int) -> bytes:
    screen = b""
    deadline = time.monotonic() + BOUND
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise AssertionError(f"{process.args!r} did not end: {screen[-3000:]!r}")
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                screen += os.read(terminal, 65536)
            except OSError:
                break
    return screen

"""base_dir/master.pid: who to send signals to."""

import os
from typing import Final

PID_FILE: Final = "master.pid"


def read_pid(base_dir: str) -> int | None:
    """The pid in master.pid; None when there is none."""
    try:
        with open(f"{base_dir}/{PID_FILE}", encoding="ascii", errors="replace") as file:
            text = file.read(32).strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdigit() and int(text) > 1 else None


def running_pid(base_dir: str) -> int | None:
    """The pid of a living master of this base_dir."""
    pid = read_pid(base_dir)
    return pid if pid is not None and is_alive(pid) else None


def is_alive(pid: int) -> bool:
    """There is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

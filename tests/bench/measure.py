"""CPU seconds and memory of a server's whole process tree, read from /proc."""

import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
# A counter of ended children may move from a zombie to its parent while we read: read until two agree.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """What one workload cost."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    ticks: int  # own and of waited-for children


def _processes() -> Iterator[_Process]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except OSError:
            continue
        # The name may hold blanks and parentheses; everything after the last one is numbers.
        fields = text.rpartition(")")[2].split()
        yield _Process(int(entry.name), int(fields[1]), sum(map(int, fields[11:15])))


def tree(root: int) -> list[_Process]:
    """The process and all below it."""
    everything = list(_processes())
    children: dict[int, list[_Process]] = {}
    for process in everything:
        children.setdefault(process.parent, []).append(process)
    found = [process for process in everything if process.pid == root]
    for process in found:  # grows while we walk
        found.extend(children.get(process.pid, ()))
    return found


def children_seconds() -> float:
    """User and system time of the programs that this process has started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpu_seconds(root: int) -> float:
    """User and system time of the tree since its start, ended children included: the master waits."""
    last = -1
    for _ in range(_TRIES):
        total = sum(process.ticks for process in tree(root))
        if total == last:
            break
        last = total
    return total / _TICK


def settle(root: int, quiet: float = 0.15, limit: float = 5.0) -> None:
    """Wait until the tree has stopped working, so that a workload does not pay for the one before."""
    deadline = time.monotonic() + limit
    before = cpu_seconds(root)
    while time.monotonic() < deadline:
        time.sleep(quiet)
        now = cpu_seconds(root)
        if now == before:
            return
        before = now


def pss_kib(root: int) -> int:
    """Proportional set size of the tree: shared pages are counted once, divided among their users."""
    total = 0
    for process in tree(root):
        try:
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total

"""`python -m tests.bench`: workload by workload, wall and CPU seconds of both servers, and the ratio.

--only login,fetch    some workloads (--list names them)
--messages 50000      size of the large mailbox
--quick               small mailbox, few repetitions: shows that it works, proves nothing
--corpus FOLDER       real messages instead of generated ones
--server ours         one server only
--conf FILE           more dovecot.conf for both servers, such as tests/bench/fast-login.conf
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.bench.mail import Library
from tests.bench.measure import Cost, children_seconds, cpu_seconds, settle
from tests.bench.workloads import WORKLOADS, Bench
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.wire import Server

QUICK_MESSAGES = 500
QUICK_SCALE = 0.02


class Measured(Server, Protocol):
    """A server whose process tree can be found."""

    @property
    def master_pid(self) -> int: ...
    def start(self) -> "Measured": ...


class Table:
    """Costs by workload line and server; a line is printed as soon as both have it."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._costs: dict[str, dict[str, Cost]] = {}
        heads = "".join(f"{name + ' wall':>15}{'cpu':>9}" for name in names)
        print(f"{'':42}{heads}{'cpu ratio':>12}")

    def add(self, name: str, line: str, cost: Cost) -> None:
        """Ratio: CPU of the last server by that of the first."""
        costs = self._costs.setdefault(line, {})
        costs[name] = cost
        if len(costs) == len(self._names):
            columns = "".join(f"{costs[one].wall:15.2f}{costs[one].cpu:9.2f}" for one in self._names)
            print(f"{line:42}{columns}{self._ratio(costs):>12}", flush=True)

    def _ratio(self, costs: dict[str, Cost]) -> str:
        first, last = costs[self._names[0]].cpu, costs[self._names[-1]].cpu
        return f"{last / first:.2f}" if len(self._names) > 1 and first else "-"


def start(name: str, conf: str) -> Measured:
    """A fresh server; mail_max_userip_connections and limits as in the tests."""
    conf = f"protocols = imap pop3 lmtp\n{conf}"
    if name == "dovecot":
        return DovecotInstance(conf).start()
    from tests.support.cluster import Cluster

    cluster: Measured = Cluster(conf).start()
    return cluster


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="comma-separated workloads")
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--corpus", type=Path, help="a folder of messages, one a file")
    parser.add_argument("--server", choices=("both", "ours", "dovecot"), default="both")
    parser.add_argument("--conf", type=Path, help="more dovecot.conf, for both servers")
    parser.add_argument("--list", action="store_true", help="name the workloads")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Exit status 1 when a workload failed on some server."""
    options = parse(argv)
    if options.list:
        print("\n".join(f"{name:8} {run.__doc__}" for name, run in WORKLOADS.items()))
        return 0
    only = options.only.split(",") if options.only else list(WORKLOADS)
    if unknown := [name for name in only if name not in WORKLOADS]:
        print(f"no such workload: {', '.join(unknown)} (there are {', '.join(WORKLOADS)})", file=sys.stderr)
        return 64
    names = ["dovecot", "ours"] if options.server == "both" else [options.server]
    if "dovecot" in names and (reason := dovecot_missing()):
        print(f"without comparison: {reason}", file=sys.stderr)
        names.remove("dovecot")
    if not names:
        return 64
    messages = min(options.messages, QUICK_MESSAGES) if options.quick else options.messages
    # Hard links must work from here to the servers' directories, so it is all below one temp directory.
    root = Path(tempfile.mkdtemp(prefix="pdbench"))
    root.chmod(0o755)
    library = Library(root, options.corpus)
    try:
        conf = options.conf.read_text() if options.conf else ""
        return run(names, only, library, messages, QUICK_SCALE if options.quick else 1.0, conf)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run(
    names: Sequence[str], only: Sequence[str], library: Library, messages: int, scale: float, conf: str
) -> int:
    """Each workload on each server in turn, so that a busy machine hits both alike."""
    table = Table(names)
    servers: list[Measured] = []
    benches: list[Bench] = []
    failed = False
    try:
        for name in names:
            servers.append(start(name, conf))
            benches.append(_bench(name, servers[-1], library, messages, scale, table))
        for workload in only:
            for name, bench in zip(names, benches, strict=True):
                try:
                    WORKLOADS[workload](bench)
                except Exception as exc:  # noqa: BLE001 - one workload failed: say so and go on
                    failed = True
                    print(f"{workload} failed on {name}: {type(exc).__name__}: {exc}", file=sys.stderr)
        for name, bench in zip(names, benches, strict=True):
            for note, text in bench.notes.items():
                print(f"{name}: {note}: {text}")
    finally:
        for server in servers:
            server.close()
    return int(failed)


def _bench(name: str, server: Measured, library: Library, messages: int, scale: float, table: Table) -> Bench:
    root = server.master_pid

    @contextmanager
    def clock(line: str, *, children: bool = False) -> Iterator[None]:
        settle(root)
        own = children_seconds() if children else 0.0
        cpu, wall = cpu_seconds(root), time.monotonic()
        yield
        wall = time.monotonic() - wall
        settle(root)  # what the work has left to be done belongs to it
        own = children_seconds() - own if children else 0.0
        table.add(name, line, Cost(wall, cpu_seconds(root) - cpu + own))

    return Bench(server, root, library, messages, scale, clock, partial(clock, children=True))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

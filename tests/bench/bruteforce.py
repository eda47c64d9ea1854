"""Good logins while somebody tries passwords: how long they take, with the attack and without."""

import statistics
import time
from typing import TYPE_CHECKING

from tests.bench.client import Imap
from tests.support.bruteforce import Attack
from tests.support.serverconf import PASSWORD

if TYPE_CHECKING:
    from tests.bench.workloads import Bench

SENT_SECS = 60.0


def bruteforce(bench: "Bench") -> None:
    """Latency of good logins, alone and while 1,000 wrong ones come from one address (try --conf)."""
    bench.user("bruteforce", 1)
    count, wrong = bench.times(50), bench.times(1000)
    with bench.clock(f"good logins x{count}"):
        alone = _latencies(bench.server.imap, count)
    with Attack(bench.server.imap, ["bruteforce"], count=wrong) as attack:
        # A server that has not room for all of them turns some away.
        deadline = time.monotonic() + SENT_SECS
        while attack.sent < min(wrong // 2, 50) and time.monotonic() < deadline:
            time.sleep(0.01)
        with bench.clock(f"good logins x{count}, {wrong} wrong ones"):
            attacked = _latencies(bench.server.imap, count)
        if attack.let_in:
            raise AssertionError("a wrong password was accepted")
    bench.notes["good logins alone, ms"] = _shown(alone)
    bench.notes["good logins under attack, ms"] = f"{_shown(attacked)} ({attack.sent} wrong ones sent)"


def _latencies(port: int, count: int) -> list[float]:
    """Seconds from the connection to the answer to LOGIN."""
    found = []
    for _ in range(count):
        begin = time.monotonic()
        client = Imap(port, "bruteforce", PASSWORD)
        found.append(time.monotonic() - begin)
        client.logout()
    return found


def _shown(seconds: list[float]) -> str:
    ordered = sorted(1000 * one for one in seconds)
    slow = ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
    return f"median {statistics.median(ordered):.1f}, 95% {slow:.1f}, worst {ordered[-1]:.1f}"

"""Sessions that wait in IDLE: memory, how soon a change is told, and what telling costs."""

import os
import select
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.client import Imap
from tests.bench.measure import pss_kib, settle, tree

if TYPE_CHECKING:
    from tests.bench.workloads import Bench

CHANGES = 20
MESSAGES = 200
PAUSE_SECS = 0.15  # between changes, so that each is told for itself
TOLD_SECS = 10.0
BODY = b"Subject: news\r\n\r\nSomething has happened.\r\n"


def idle(bench: "Bench") -> None:
    """Sessions in IDLE: memory, delay, wake-ups and CPU of each change."""
    _memory(bench)
    user = bench.user("idlenews", MESSAGES)
    waiting = _Waiting(bench, user)
    actor = bench.imap(user)
    actor.ask("SELECT INBOX")
    maildir = bench.server.place.maildir(user)
    kinds: tuple[tuple[str, Callable[[int], None]], ...] = (
        ("append", lambda _: actor.append("INBOX", BODY)),
        ("delivery", lambda number: _deliver(bench, maildir, number)),
        ("store", lambda number: _ask(actor, f"STORE 100 {'+-'[number % 2]}FLAGS (Seldom)")),
        ("expunge", lambda number: _ask(actor, f"UID EXPUNGE {number + 1}")),
    )
    actor.ask(f"STORE 1:{CHANGES} +FLAGS.SILENT (\\Deleted)")
    waiting.told()
    for name, change in kinds:
        _measure(bench, waiting, name, change)
    waiting.client.close()
    actor.logout()


def _memory(bench: "Bench") -> None:
    """PSS of each session, and what a change of another mailbox costs beside them."""
    count = bench.times(50)
    bench.user("idle", min(bench.messages, 1000))
    bench.user("idleother", 1)
    settle(bench.root_pid)
    before = pss_kib(bench.root_pid)
    waiting = [_Waiting(bench, "idle") for _ in range(count)]
    settle(bench.root_pid)
    each = (pss_kib(bench.root_pid) - before) // count
    bench.notes[f"PSS of an idle session, KiB (of {count})"] = str(each)
    actor = bench.imap("idleother")
    changes = bench.times(CHANGES)
    switches = sum(one.switches() for one in waiting)
    with bench.clock(f"idle x{count}, append elsewhere x{changes}"):
        for _ in range(changes):
            actor.append("INBOX", BODY)
    woken = sum(one.switches() for one in waiting) - switches
    bench.notes[f"wake-ups of {count} idle sessions by {changes} changes elsewhere"] = str(woken)
    actor.logout()
    for one in waiting:
        one.client.close()


class _Waiting:
    """A session in IDLE, and its process."""

    def __init__(self, bench: "Bench", user: str) -> None:
        before = {process.pid for process in tree(bench.root_pid)}
        self.client: Imap = bench.imap(user)
        self.client.ask("SELECT INBOX")
        self.client.sock.sendall(b"i IDLE\r\n")
        self.client.until((b"\r\n+",))
        fresh = [process.pid for process in tree(bench.root_pid) if process.pid not in before]
        # Login processes and spare ones may be new, too: the one that serves the mail has the user's uid.
        self._pids = [pid for pid in fresh if _owner(pid) == bench.server.place.mail_uid] or fresh

    def switches(self) -> int:
        """How often its process has slept and was woken."""
        return sum(_switches(pid) for pid in self._pids)

    def told(self) -> float:
        """Wait for a response; when it came."""
        if not select.select([self.client.sock], [], [], TOLD_SECS)[0]:
            raise TimeoutError("a change was not told")
        now = time.monotonic()
        while select.select([self.client.sock], [], [], 0)[0]:
            if not self.client.sock.recv(65536):
                raise EOFError("closed in IDLE")
        return now


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except FileNotFoundError:
        return -1


def _switches(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return int(text.partition("\nvoluntary_ctxt_switches:")[2].split(None, 1)[0])


def _measure(bench: "Bench", waiting: _Waiting, name: str, change: Callable[[int], None]) -> None:
    count = bench.times(CHANGES)
    delays: list[float] = []
    switches = waiting.switches()
    with bench.clock(f"idle, {name} x{count}"):
        for number in range(count):
            start = time.monotonic()
            change(number)
            delays.append(1000 * (waiting.told() - start))
            time.sleep(PAUSE_SECS)
            while select.select([waiting.client.sock], [], [], 0)[0]:
                waiting.client.sock.recv(65536)
    woken = (waiting.switches() - switches) / count
    high = statistics.quantiles(delays, n=20)[-1] if count > 1 else delays[0]
    bench.notes[f"idle, {name}"] = (
        f"told after {statistics.median(delays):.0f} ms (95 %: {high:.0f} ms), {woken:.1f} sleeps each"
    )


def _ask(actor: Imap, command: str) -> None:
    actor.ask(command)


def _deliver(bench: "Bench", maildir: Path, number: int) -> None:
    """As a delivery agent does it."""
    name = f"{int(time.time())}.M{number}P{os.getpid()}.delivery"
    path = maildir / "tmp" / name
    path.write_bytes(BODY.replace(b"\r\n", b"\n"))
    bench.server.place.give_to_mail_user(path)
    path.rename(maildir / "new" / name)

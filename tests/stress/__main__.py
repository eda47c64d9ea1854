"""`python -m tests.stress`: many connections do random legal things, and every response is checked.

--connections 50   how many at once            --seed 7        the same choices again
--users 3          whose mail                  --seconds 300   how long
--mailboxes 4      of each user                --runs 10       as often, each with the next seed
--server dovecot   instead of ours; `both`: one Maildir served by both at the same time
--conf TEXT        more dovecot.conf, such as "mail_location = maildir:~/Maildir:LAYOUT=fs"
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.stress.run import Counts, Failure, Options, Run
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance
from tests.support.ports import free_ports
from tests.support.serverconf import ServerDir

CONF = """\
service imap-login {
  service_count = 0
}
service imap {
  process_limit = 400
}
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.stress", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--users", type=int, default=1)
    parser.add_argument("--mailboxes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--checkpoint", type=float, default=10.0, help="seconds between looks at everything")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--server", choices=("ours", "dovecot", "both"), default="ours")
    parser.add_argument("--conf", default="", help="lines for dovecot.conf")
    return parser.parse_args(argv)


@contextmanager
def servers(which: str, conf: str = CONF) -> Iterator[list[tuple[str, int, ServerDir]]]:
    """Running servers: (name, IMAP port, files)."""
    place = ServerDir.make()
    running: list[Cluster | DovecotInstance] = []
    try:
        if which in ("ours", "both"):
            running.append(Cluster(conf, place=place))
        if which in ("dovecot", "both"):
            second = place
            if which == "both":
                # Its own sockets, log and ports; the mail is the same.
                root = place.root / "second"
                root.mkdir()
                second = ServerDir(root, *free_ports(4), place.mail_uid, place.mail_gid)
                (root / "mail").symlink_to(place.root / "mail")
            running.append(DovecotInstance(conf, place=second))
        for server in running:
            server.start()
        yield [(server.name, server.imap, server.place) for server in running]
    finally:
        for server in running:
            server.stop()
        place.close()


def complaints(places: Sequence[ServerDir]) -> list[str]:
    """What the servers have logged that is more than a remark."""
    return [
        line
        for place in places
        for line in place.log_text().splitlines()
        if re.search("Error:|Panic:|Fatal:", line) and "Broken sort-" not in line  # Dovecot 2.3.19 has these
    ]


def main(argv: Sequence[str]) -> int:
    """Exit status 1: something was found."""
    options = parse(argv)
    failed = 0
    for number in range(options.runs):
        with servers(options.server, CONF + options.conf + "\n") as running:
            failed += not _one(options, options.seed + number, running)
    return int(failed > 0)


def _one(options: argparse.Namespace, seed: int, running: Sequence[tuple[str, int, ServerDir]]) -> bool:
    run = Run(
        Options(
            [(name, port) for name, port, _ in running],
            seed=seed,
            connections=options.connections,
            users=options.users,
            mailboxes=options.mailboxes,
            seconds=options.seconds,
            checkpoint=options.checkpoint,
            quiet=False,
        )
    )
    places = [place for _, _, place in running]
    try:
        counts = run.run()
    except Failure as exc:
        time.sleep(0.5)  # for the log
        with tempfile.NamedTemporaryFile("w", prefix=f"stress-{seed}-", suffix=".log", delete=False) as out:
            out.write(exc.talks)
        print(f"FOUND: {exc}\nall talks: {out.name}")
        print("\n".join(complaints(places)[:20]))
        return False
    lines = complaints(places)
    print(f"seed {seed}: {_summary(counts)}" + "".join(f"\n{line}" for line in lines[:20]))
    return not lines


def _summary(counts: Counts) -> str:
    verbs = ", ".join(f"{name} {number}" for name, number in sorted(counts.by_verb.items()))
    return (
        f"{counts.commands} commands, {counts.checkpoints} looks at all, {counts.reconnects} reconnects, "
        f"{counts.resyncs} resynchronisations: nothing found ({verbs})"
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

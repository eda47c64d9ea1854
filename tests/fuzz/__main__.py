"""python -m tests.fuzz --seeds 1-20 --count 200: mutated messages to both servers until stopped or done.

Mutates the messages of tests/support/uglymail.py and scripts.py, and those of PYDOVECOT_CORPUS if it is set.
Prints each kind of difference once, with the smallest message that shows it.
"""

import argparse
import os
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz import ordering, run, searching
from tests.fuzz.mutate import Mutator
from tests.support.scripts import SCRIPTS
from tests.support.uglymail import UGLY

MOST_OF_A_KIND = 4  # differences shown of each item


def pool() -> list[bytes]:
    """Messages to mutate."""
    own = [*UGLY.values(), *SCRIPTS.values()]
    folder = os.environ.get("PYDOVECOT_CORPUS")
    return own + [path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))] if folder else own


def main() -> int:
    """Run the seeds; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--seeds", default="1-3")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--show", type=int, default=3, help="differences of a seed to make small")
    parser.add_argument("--search", action="store_true", help="SEARCH instead of FETCH")
    parser.add_argument("--order", action="store_true", help="SORT and THREAD instead of FETCH")
    parser.add_argument("--seconds", type=float, default=500.0, help="start no seed after this time")
    args = parser.parse_args()
    low, _, high = args.seeds.partition("-")
    mails = pool()
    shown: Counter[str] = Counter()
    started = time.monotonic()
    for seed in range(int(low), int(high or low) + 1):
        if time.monotonic() - started > args.seconds:
            break
        mutator = Mutator(seed, mails)
        batch = [mutator.message() for _ in range(args.count)]
        outcome = run.Outcome()
        if args.order:
            ordering.order_all(batch, outcome)
        elif args.search:
            searching.search_all(batch, random.Random(seed), outcome)
        else:
            run.fetch_all(batch, outcome)
        print(
            f"seed {seed}: {outcome.answers} answers, {len(outcome.found)} differ, {outcome.known} known, "
            f"{outcome.by_history} by history, {len(outcome.ended)} end Dovecot, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
        left = args.show
        for message, difference in outcome.found:
            kind = re.sub(rb"\d+", b"n", difference.question).decode("latin-1")
            if left and shown[kind] < MOST_OF_A_KIND:
                shown[kind] += 1
                left -= 1
                if args.order:
                    few, differences = ordering.fewest(batch, difference.question)
                    print(f"--- {differences}", *(repr(one[:1500]) for one in few), sep="\n", flush=True)
                    continue
                small = run.smallest(message, difference.question)
                print(f"--- {difference}\n{small[:1500]!r}", flush=True)
                _show_small(small, difference.question)
    return 1 if shown else 0


def _show_small(message: bytes, question: bytes) -> None:
    for one in run.ask_one(message, question):
        print(f"    {one}\n    ours   {one.ours[:600]!r}\n    theirs {one.theirs[:600]!r}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

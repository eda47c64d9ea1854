"""The stress tool finds nothing in our server, and finds every bug that is planted in front of it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stress.__main__ import complaints, servers
from tests.stress.plants import PLANTS, NoAnswer, Plant
from tests.stress.run import Failure, Options, Run
from tests.support.serverconf import ServerDir

pytestmark = [pytest.mark.process, pytest.mark.slow]

SECONDS = float(os.environ.get("PYDOVECOT_STRESS_SECS", "6"))
SEED = int(os.environ.get("PYDOVECOT_STRESS_SEED", "0"))
PLANTED_SECS = 40.0  # found long before that
Running = tuple[str, int, ServerDir]

# What must be said of each; a word or two of the violation. ANY: from there on all numbers are wrong, and
# whichever of them is asked about first tells.
ANY = ""
FOUND = {
    "DuplicateUid": ANY,
    "ExpungeInFetch": "EXPUNGE while FETCH runs",
    "ExpungeAlone": "EXPUNGE while no command runs",
    "LostFlag": "lost keyword|flags of UID .* changed, but not MODSEQ",
    "StaleModseq": "MODSEQ",
    "FallingModseq": "MODSEQ",
    "WrongExists": ANY,
    "SwappedBody": "is not that of message|has changed|was message",
    "MissedVanished": ANY,
    "ForgottenExpunge": ANY,
    "RecentTwice": "Recent",
    "LowUidnext": "UIDNEXT",
    "OtherUidvalidity": "UIDVALIDITY",
    "LowHighestModseq": "HIGHESTMODSEQ",
    "SearchLacks": "SEARCH",
    "SortLacks": "SORT",
    "ThreadTwice": "THREAD",
    "WrongStatus": "STATUS",
    "NoAnswer": ANY,
    "ChangedDate": "INTERNALDATE",
    "UntoldFlags": "flags|MODSEQ|keyword",
    "CopyuidMixedUp": ANY,
    "IgnoredCondition": "UNCHANGEDSINCE",
    "LostMail": "has lost UID",
    "ChangedMail": "has changed|content|is not that of",
}
ATTEMPTS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with servers("ours") as (running,):
        yield running


@pytest.mark.parametrize(
    ("connections", "users", "mailboxes"), [(20, 1, 1), (50, 3, 3)], ids=["one mailbox", "several"]
)
def test_nothing_is_found(server: Running, connections: int, users: int, mailboxes: int) -> None:
    seed = SEED or connections
    run = Run(
        Options(
            [server[:2]],
            seed=seed,
            connections=connections,
            users=users,
            mailboxes=mailboxes,
            seconds=SECONDS,
            checkpoint=SECONDS / 2,
        )
    )
    counts = run.run()
    assert counts.checkpoints >= 2 and counts.commands > connections
    assert not complaints([server[2]])


def test_every_plant_has_its_finding() -> None:
    assert FOUND.keys() == PLANTS.keys() and len(PLANTS) >= 12


@pytest.mark.parametrize("name", PLANTS)
def test_planted_bug_is_found(server: Running, name: str) -> None:
    """By its own words in one of a few runs: none is long, and another sign of it may be seen first."""
    seen = []
    for attempt in range(ATTEMPTS):
        seed = 1000 + 100 * attempt + list(PLANTS).index(name)
        try:
            _planted(server, PLANTS[name](), seed).run()
        except Failure as found:
            assert f"seed {seed}" in str(found)
            seen.append(found.violation)
            if re.search(FOUND[name], seen[-1]):
                return
    raise AssertionError(f"not found by its own words: {seen}")


def _planted(server: Running, plant: Plant, seed: int) -> Run:
    def meanwhile(run: Run) -> None:
        if run.counts.commands > 100:
            plant.meanwhile(Path(server[2].maildir(run.users[0])))

    return Run(
        Options(
            [server[:2]],
            seed=seed,
            connections=6,
            seconds=PLANTED_SECS,
            checkpoint=1.0,
            # Only one of them is found by its silence; other servers may be slow for a while.
            hang=5.0 if isinstance(plant, NoAnswer) else 60.0,
            tamper=plant.response,
            outgoing=plant.request,
            meanwhile=meanwhile,
        )
    )

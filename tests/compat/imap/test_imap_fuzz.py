"""Mutated mail, other in each seed, to our session and to Dovecot. More seeds: PYDOVECOT_FUZZ_SEEDS=1-500.

tests/fuzz makes what it finds small: python -m tests.fuzz --help.
"""

import os
import random

import pytest

from tests.fuzz import ordering, run, searching
from tests.fuzz.mutate import Mutator
from tests.support import preauth
from tests.support.scripts import SCRIPTS
from tests.support.uglymail import UGLY

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]

MESSAGES = 60  # of each seed


def seeds() -> list[int]:
    """A few fixed ones, or what the environment says."""
    low, _, high = os.environ.get("PYDOVECOT_FUZZ_SEEDS", "1-3").partition("-")
    return list(range(int(low), int(high or low) + 1))


def batch(seed: int) -> list[bytes]:
    """Mutations of messages written for tests, so that they are the same everywhere."""
    mutator = Mutator(seed, [*UGLY.values(), *SCRIPTS.values()])
    return [mutator.message() for _ in range(MESSAGES)]


@pytest.mark.parametrize("seed", seeds())
def test_items_and_sections(seed: int) -> None:
    outcome = run.Outcome()
    run.fetch_all(batch(seed), outcome)
    assert outcome.answers > MESSAGES
    assert [f"{one} of {message[:400]!r}" for message, one in outcome.found] == []


@pytest.mark.parametrize("seed", seeds())
def test_searches(seed: int) -> None:
    outcome = run.Outcome()
    searching.search_all(batch(seed), random.Random(seed), outcome)
    assert outcome.answers > MESSAGES
    assert [f"{one} of {message[:400]!r}" for message, one in outcome.found] == []


@pytest.mark.parametrize("seed", seeds())
def test_orders(seed: int) -> None:
    outcome = run.Outcome()
    ordering.order_all(batch(seed), outcome)
    assert outcome.answers > MESSAGES
    assert [str(one) for _, one in outcome.found] == []

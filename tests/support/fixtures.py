"""Fixtures of all tests."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.dovecot import DovecotInstance, dovecot_missing

StartDovecot = Callable[[str], DovecotInstance]


@pytest.fixture
def start_dovecot() -> Iterator[StartDovecot]:
    """`start_dovecot(extra_conf)`: a running private Dovecot; skips when none is installed."""
    if reason := dovecot_missing():
        pytest.skip(reason)
    running: list[DovecotInstance] = []

    def start(extra: str = "") -> DovecotInstance:
        running.append(DovecotInstance(extra))
        return running[-1].start()

    yield start
    for one in running:
        one.close()

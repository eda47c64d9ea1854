"""Fixtures of all tests."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.wire import Server

StartDovecot = Callable[[str], DovecotInstance]
MAX_RUNNING_SERVERS = 4


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


class Servers:
    """Servers kept running between tests: one for each program and configuration, the oldest go."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], Server] = {}

    def get(self, program: str, extra: str) -> Server:
        """`program`: "dovecot" or "ours". Skips with the reason when it cannot run here."""
        key = (program, extra)
        if key not in self._running:
            while len(self._running) >= MAX_RUNNING_SERVERS:
                self._running.pop(next(iter(self._running))).close()
            self._running[key] = _start(program, extra)
        return self._running[key]

    def close(self) -> None:
        """Stop them all."""
        while self._running:
            self._running.popitem()[1].close()


def _start(program: str, extra: str) -> Server:
    if program == "dovecot":
        if reason := dovecot_missing():
            pytest.skip(reason)
        return DovecotInstance(extra).start()
    from tests.support.cluster import Cluster

    server: Server = Cluster(extra).start()
    return server


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Running servers by configuration, shared by the whole run."""
    running = Servers()
    yield running
    running.close()

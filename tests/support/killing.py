"""Deliveries over LMTP while their processes are killed, and what of it was acknowledged."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from tests.support.cluster import Cluster

LONGEST_SECS = 0.1


class Mta(Protocol):
    """A client of LMTP."""

    def say(self, line: str) -> str: ...
    def deliver(self, *recipients: str, message: bytes) -> list[str]: ...
    def close(self) -> None: ...


@contextlib.contextmanager
def killed_soon(running: Cluster, service: str, wait: float) -> Iterator[None]:
    """After `wait` seconds all processes of a service are killed. What fails because of it is no failure."""

    def kill() -> None:
        time.sleep(wait)
        for pid in running.pids(service):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with contextlib.suppress(AssertionError, OSError):
            yield
    finally:
        killer.join()


def deliver_under_kills(
    running: Cluster,
    connect: Callable[[], Mta],
    users: Sequence[str],
    text_of: Callable[[int], bytes],
    *,
    kills: int,
    seed: int,
) -> dict[str, set[int]]:
    """Numbered messages to some of the users, lmtp killed every now and then: who must have which."""
    source = random.Random(seed)
    acked: dict[str, set[int]] = {user: set() for user in users}
    sent = 0
    for _ in range(kills):
        client = connect()
        with killed_soon(running, "lmtp", source.random() * LONGEST_SECS):
            client.say("LHLO h")
            while True:
                sent += 1
                recipients = source.sample(users, source.randint(1, len(users)))
                answers = client.deliver(*recipients, message=text_of(sent))
                for recipient, answer in zip(recipients, answers, strict=True):
                    assert answer.startswith("250 "), answer
                    acked[recipient].add(sent)
        client.close()
    assert sum(map(len, acked.values())) > 5  # it did something
    return acked

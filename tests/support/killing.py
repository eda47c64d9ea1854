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
    """After `wait` seconds all processes of a service are killed, or as soon as there is one, as long as the
    body runs. What fails because of it is no failure.
    """
    over = threading.Event()

    def kill() -> None:
        time.sleep(wait)
        while not (pids := running.pids(service)) and not over.wait(0.005):
            pass
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with contextlib.suppress(AssertionError, OSError):
            yield
    finally:
        over.set()
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
    began = time.monotonic()
    client = connect()
    client.say("LHLO h")
    assert client.deliver(*users, message=text_of(0))[0].startswith("250 ")
    client.close()
    for mine in acked.values():
        mine.add(0)
    # On a slow machine, so much later: a few deliveries should come to their end.
    longest = max(LONGEST_SECS, 3 * (time.monotonic() - began))
    sent = 0
    for _ in range(kills):
        client = connect()
        with killed_soon(running, "lmtp", source.random() * longest):
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

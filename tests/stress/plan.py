"""What a run is about, and the choices that all commands make alike."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.stress.connection import Command, Connection
from tests.stress.parse import number_set
from tests.stress.selected import Selected

SYSTEM = (b"\\Seen", b"\\Answered", b"\\Flagged", b"\\Draft")
LARGE = 60  # messages: from here on more is deleted than added


@dataclass(slots=True)
class Plan:
    """What the run is about."""

    source: random.Random
    stable: Sequence[bytes]  # mailboxes that are there all the time
    connections: dict[str, int]  # user -> how many connections he has
    mixed: bool = False  # two servers on one Maildir


Maker = Callable[[Plan, Connection], Command | None]


def open_with_mail(conn: Connection) -> Selected | None:
    selected = conn.selected
    return selected if selected is not None and selected.messages else None


def some(plan: Plan, among: Sequence[int]) -> list[int]:
    count = min(len(among), plan.source.choice((1, 1, 2, 5, 20)))
    return sorted(plan.source.sample(among, count))


def seqs_of(plan: Plan, selected: Selected) -> bytes:
    return number_set(some(plan, range(1, len(selected.messages) + 1)))


def owned(plan: Plan, conn: Connection, selected: Selected) -> list[int]:
    """UIDs whose keywords this connection may change."""
    users = plan.connections[conn.user]
    return [uid for uid in selected.uids() if uid % users == conn.index % users]

"""Turns are taken by key, and room is made by who has most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.services.auth.fair_queue import FairQueue


def test_one_of_many_is_next() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(1000):
        queue.append("attacker", f"a{number}")
    queue.append("alice", "b")
    queue.append("bob", "c")
    assert [queue.pop() for _ in range(5)] == ["a0", "b", "c", "a1", "a2"]
    assert len(queue) == 997
    queue.put_back("attacker", "again")
    queue.append("alice", "d")
    assert [queue.pop(), queue.pop(), queue.pop()] == ["again", "d", "a3"]


def test_room_is_made_by_who_has_most() -> None:
    queue: FairQueue[int] = FairQueue()
    queue.append("few", 0)
    for number in range(1, 4):
        queue.append("many", number)
    assert [queue.drop(), queue.drop(), queue.drop(), queue.drop()] in ([3, 2, 0, 1], [3, 2, 1, 0])
    for take in (queue.pop, queue.drop):
        with pytest.raises(KeyError):
            take()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_nothing_is_lost_and_order_is_kept_within_a_key(steps: list[tuple[str, bool]]) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    seen: list[tuple[str, int]] = []
    for number, (key, put) in enumerate(steps):
        if put or not queue:
            queue.append(key, (key, number))
        else:
            seen.append(queue.pop())
    seen += [queue.pop() for _ in range(len(queue))]
    assert len(seen) == len(set(seen)) and not queue
    for key in "abc":
        own = [number for name, number in seen if name == key]
        assert own == sorted(own)

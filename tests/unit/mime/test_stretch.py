"""Large sections block by block are what they are in one piece."""

import random

import pytest

from pydovecot.mime import section, stretch
from pydovecot.mime.stretch import Stretch


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretch, "BLOCK", 7)


def test_any_octets_at_any_offset() -> None:
    choose = random.Random(5)
    for _ in range(300):
        message = bytes(choose.choice(b"ab\r\n\r\n\0") for _ in range(choose.randrange(60)))
        start = choose.randrange(len(message) + 1)
        end = choose.randrange(start, len(message) + 1)
        if message.startswith(b"\n", start) and message.endswith(b"\r", 0, start):
            continue  # no section begins between CR and LF
        if message.startswith(b"\n", end) and message.endswith(b"\r", 0, end):
            continue
        want = section.wire(message[start:end])
        made = Stretch(message, start, end)
        assert made.size == len(want)
        assert b"".join(made.chunks()) == want
        offset, length = choose.randrange(70), choose.randrange(70)
        assert b"".join(made.chunks(offset, length)) == want[offset : offset + length]


def test_blocks_are_small_and_made_when_they_are_asked_for() -> None:
    made = Stretch(b"a\n" * 1000, 0, 2000)
    assert max(map(len, made.chunks())) <= 2 * (stretch.BLOCK + 1)
    (piece,) = made.chunks(1500, 1)
    assert piece == b"a"

"""Messages in parts go out as those in one piece."""

import random
from itertools import pairwise

from pydovecot.proto.pop3 import encode


def _parts(message: bytes, choose: random.Random) -> list[bytes]:
    cuts = sorted(choose.randrange(len(message) + 1) for _ in range(4))
    ends = [0, *cuts, len(message)]
    return [message[low:high] for low, high in pairwise(ends) if high > low]


def test_head_and_lines() -> None:
    choose = random.Random(8)
    for _ in range(2000):
        bits = (b"a: b\r\n", b"\r\n", b".\r\n", b"text\r\n", b"\r", b"x\n")
        message = b"".join(choose.choice(bits) for _ in range(choose.randrange(12)))
        lines = choose.randrange(6)
        want = encode.head_and_lines(message, lines)
        assert b"".join(encode.head_and_lines_of(_parts(message, choose), lines)) == want


def test_dots() -> None:
    choose = random.Random(9)
    for _ in range(500):
        bits = (b".", b"\r\n", b"a")
        message = b"".join(choose.choice(bits) for _ in range(choose.randrange(20))) + b"\r\n"
        sent, before = b"", b"\n"
        for part in _parts(message, choose):
            sent += encode.stuffed_part(part, before)
            before = part[-1:]
        assert sent == encode.stuffed(message)

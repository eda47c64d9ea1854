"""anvil's counts, penalties and protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.services.anvil.connection import LineReader
from pydovecot.services.anvil.limits import ConnectLimit
from pydovecot.services.anvil.penalty import Penalties
from pydovecot.services.anvil.protocol import Anvil, BadCommandError

ALICE = "imap/1.2.3.4/alice"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock | None = None) -> Anvil:
    return Anvil(ConnectLimit(), Penalties(clock or Clock()))


def test_sessions_are_counted_by_process() -> None:
    limits = ConnectLimit()
    for pid in (1, 1, 2):
        limits.connect(pid, ALICE)
    assert limits.lookup(ALICE) == 3
    assert sorted(limits.dump()) == [(ALICE, 1, 2), (ALICE, 2, 1)]
    assert limits.disconnect(2, ALICE)
    assert not limits.disconnect(2, ALICE)
    limits.kill(1)
    assert limits.lookup(ALICE) == 0
    assert list(limits.dump()) == []


@given(st.lists(st.tuples(st.sampled_from("cdk"), st.integers(1, 3), st.sampled_from(["a", "b"]))))
def test_counts_equal_a_plain_list(steps: list[tuple[str, int, str]]) -> None:
    limits, plain = ConnectLimit(), list[tuple[int, str]]()
    for step, pid, ident in steps:
        if step == "c":
            limits.connect(pid, ident)
            plain.append((pid, ident))
        elif step == "d":
            assert limits.disconnect(pid, ident) == ((pid, ident) in plain)
            if (pid, ident) in plain:
                plain.remove((pid, ident))
        else:
            limits.kill(pid)
            plain = [row for row in plain if row[0] != pid]
        for one in "ab":
            assert limits.lookup(one) == sum(i == one for _p, i in plain)


def test_penalty_rises_once_for_the_same_password() -> None:
    clock = Clock()
    penalties = Penalties(clock)
    assert penalties.get("1.2.3.4") == (0, 0)
    penalties.increase("1.2.3.4", 77, 2)
    clock.now += 10
    penalties.increase("1.2.3.4", 77, 4)
    assert penalties.get("1.2.3.4") == (2, 1000)
    penalties.increase("1.2.3.4", 78, 4)
    assert penalties.get("1.2.3.4") == (4, 1010)
    penalties.increase("1.2.3.4", 0, 0)  # a success
    penalties.increase("1.2.3.4", 78, 2)
    assert penalties.get("1.2.3.4") == (0, 1010)
    clock.now += 3601
    assert penalties.get("1.2.3.4") == (0, 0)


def test_penalties_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydovecot.services.anvil.penalty.MAX_ADDRESSES", 3)
    penalties = Penalties(Clock())
    for number in range(5):
        penalties.increase(str(number), 0, 1)
    assert [row[0] for row in penalties.dump()] == ["2", "3", "4"]


def test_answers_are_dovecots() -> None:
    """As asked from Dovecot 2.3.19."""
    anvil = make()

    def say(line: bytes) -> bytes:
        return anvil.command(line, master=False)

    assert say(b"CONNECT\t4242\timap/1.2.3.4/bob") == b""
    assert say(b"CONNECT\t4242\timap/1.2.3.4/bob") == b""
    assert say(b"LOOKUP\timap/1.2.3.4/bob") == b"2\n"
    assert say(b"CONNECT-DUMP") == b"imap/1.2.3.4/bob\t4242\t2\n\n"
    assert say(b"PENALTY-GET\t1.2.3.4") == b"0 0\n"
    assert say(b"PENALTY-INC\t1.2.3.4\t77\t5") == b""
    assert say(b"PENALTY-GET\t1.2.3.4") == b"5 1000\n"
    assert say(b"PENALTY-DUMP") == b"1.2.3.4\t5\t1000\t1000\n\n"
    assert say(b"PENALTY-SET-EXPIRE-SECS\t3600") == b""
    assert say(b"DISCONNECT\t4242\timap/1.2.3.4/bob") == b""
    assert say(b"LOOKUP\timap/1.2.3.4/bob") == b"1\n"
    assert anvil.command(b"KILL\t4242", master=True) == b""
    assert say(b"LOOKUP\timap/1.2.3.4/bob") == b"0\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"KILL\t4242", "KILL sent by a non-master connection"),
        (b"FOO", "Unknown command: FOO"),
        (b"LOOKUP", "LOOKUP: Not enough parameters"),
        (b"PENALTY-INC\tx", "PENALTY-INC: Not enough parameters"),
        (b"PENALTY-INC\tx\t1\t", "PENALTY-INC: Invalid parameters"),
        (b"CONNECT\tx\ty", "CONNECT: invalid pid"),
    ],
)
def test_complaints_are_dovecots(line: bytes, complaint: str) -> None:
    with pytest.raises(BadCommandError) as caught:
        make().command(line, master=False)
    assert str(caught.value) == complaint


@given(st.binary(max_size=300))
def test_noise_never_crashes(data: bytes) -> None:
    sink = ListSink()
    reader = LineReader(make(), Event(sink))
    alive = reader.feed(b"VERSION\tanvil\t1\t0\n" + data)
    assert alive or len(sink.lines) == 1


def test_handshake_first() -> None:
    sink = ListSink()
    assert not LineReader(make(), Event(sink)).feed(b"LOOKUP\tx\n")
    assert sink.texts == [
        "Anvil client not compatible with this server (mixed old and new binaries?) LOOKUP\tx"
    ]


def test_too_much_data() -> None:
    sink = ListSink()
    assert not LineReader(make(), Event(sink), greeted=True).feed(b"x" * 2000)
    assert sink.texts == ["BUG: Anvil client connection sent too much data"]

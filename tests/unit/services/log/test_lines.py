"""What the log process makes of the bytes of a service's pipe."""

from hypothesis import given
from hypothesis import strategies as st

from pydovecot.event import wire
from pydovecot.event.event import Level
from pydovecot.services.log.errors import ErrorMemory
from pydovecot.services.log.lines import PipeReader, PrefixMemory

TRACEBACK = b"""Traceback (most recent call last):
  File "x.py", line 1, in <module>
    call()

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "y.py", line 2, in call
ValueError: boom
"""


def reader() -> PipeReader:
    return PipeReader("imap", PrefixMemory())


def texts(data: bytes, cut: int = 0) -> list[str]:
    one = reader()
    parts = [data[:cut], data[cut:]] if cut else [data]
    records = [r for part in parts for r in one.feed(part)]
    return [f"{r.prefix}{r.text}" for r in [*records, *one.end()]]


def test_the_dead_are_named_by_their_last_prefix() -> None:
    memory = PrefixMemory()
    one = PipeReader("imap", memory)
    list(one.feed(b"".join(wire.encode(Level.INFO, 7, "imap(alice)<7><s>: ", "hello"))))
    (record,) = one.feed(wire.encode_for(Level.FATAL, 7, "killed"))
    assert (record.prefix, record.level) == ("imap(alice)<7><s>: ", Level.FATAL)
    (record,) = one.feed(wire.encode_for(Level.FATAL, 7, "killed"))
    assert record.prefix == "imap: "


def test_bye_forgets() -> None:
    one = reader()
    list(one.feed(b"".join(wire.encode(Level.INFO, 7, "imap(alice): ", "hello"))))
    assert list(one.feed(wire.encode_bye(7))) == []
    (record,) = one.feed(wire.encode_for(Level.FATAL, 7, "killed"))
    assert record.prefix == "imap: "


def test_a_traceback_is_one_line() -> None:
    first, after = texts(TRACEBACK + b"after\n")
    assert first.startswith('imap: Traceback (most recent call last): | File "x.py", line 1')
    assert first.endswith(" | ValueError: boom")
    assert after == "imap: after"


def test_text_without_header_is_an_error() -> None:
    (record,) = reader().feed(b"Segfault\x1b in libfoo\n")
    assert record == wire.Record(Level.ERROR, 0, "imap: ", "Segfault? in libfoo")


@given(st.integers(1, 200))
def test_any_cut(cut: int) -> None:
    lines = wire.encode(Level.INFO, 7, "p: ", "one") + wire.encode(Level.INFO, 8, "q: ", "two")
    data = b"".join(lines) + b"raw\n"
    assert texts(data, cut) == ["p: one", "q: two", "imap: raw"]


def test_a_line_without_end_is_cut() -> None:
    one = reader()
    assert list(one.feed(b"x" * 60_000)) == []
    (record,) = one.feed(b"x" * 10_000)
    assert len(record.text) == 70_000


def test_errors_are_kept_for_doveadm() -> None:
    memory = ErrorMemory()
    for number in range(1100):
        memory.add(wire.Record(Level.ERROR, 1, "p: ", f"e{number}\tx"))
    memory.add(wire.Record(Level.INFO, 1, "p: ", "not kept"))
    rows = memory.dump().split(b"\n")
    assert len(rows) == 1001
    assert rows[0].startswith(b"error\t")
    assert rows[0].endswith(b"\tp: \te100\x01tx")
    assert rows[-1] == b""

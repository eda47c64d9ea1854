"""The log line protocol between processes."""

import os
import select

from hypothesis import given
from hypothesis import strategies as st

from pydovecot.event import wire
from pydovecot.event.event import Event, Level
from pydovecot.event.oneline import one_line
from pydovecot.event.sinks import ListSink, PipeSink


@given(st.sampled_from(Level), st.integers(1, 2**31), st.text(max_size=50), st.text(max_size=200))
def test_round_trip(level: Level, pid: int, prefix: str, text: str) -> None:
    (line,) = wire.encode(level, pid, prefix, text)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    record = wire.decode(line[:-1])
    shown_prefix, shown = wire.clean(prefix), wire.clean(text)
    replaced = shown.encode("utf-8", "replace").decode(), shown_prefix.encode("utf-8", "replace").decode()
    assert record == wire.Record(level, pid, replaced[1], replaced[0])


def test_long_lines_are_cut_into_atomic_writes() -> None:
    lines = wire.encode(Level.ERROR, 1, "p: ", "x" * 10_000)
    assert all(len(line) <= select.PIPE_BUF for line in lines)
    records = [wire.decode(line[:-1]) for line in lines]
    assert "".join(r.text for r in records if r) == "x" * 10_000
    assert {r.prefix for r in records if r} == {"p: "}


def test_control_characters_cannot_fake_lines() -> None:
    assert wire.clean("a\nb\r\nc\x1b[1md\x00e\x7f") == "a b c?[1md?e?"
    assert wire.clean("tab\tstays") == "tab\tstays"
    assert wire.clean("ümläut € ok") == "ümläut € ok"


@given(st.binary(max_size=60))
def test_decode_never_fails(raw: bytes) -> None:
    record = wire.decode(b"\x01" + raw)
    assert record is None or record.level in Level


def test_masters_lines_carry_no_prefix() -> None:
    record = wire.decode(wire.encode_for(Level.FATAL, 42, "x" * 9000)[:-1])
    assert record is not None
    assert (record.pid, record.prefix) == (42, "")
    assert len(wire.encode_for(Level.FATAL, 42, "x" * 9000)) == select.PIPE_BUF


def test_pipe_sink() -> None:
    read, write = os.pipe()
    event = Event(PipeSink(write, "imap: ", pid=7)).child("Mailbox INBOX: ")
    event.warning("odd")
    event.debug("not wanted")
    assert os.read(read, 1000) == b"\x01\x837 6 imap: Mailbox INBOX: odd\n"
    os.close(read)
    event.info("nobody listens")  # must not raise
    os.close(write)


def test_children_inherit_fields_and_debug() -> None:
    sink = ListSink()
    event = Event(sink, fields={"user": "alice"})
    event.child("a: ", cmd="x").info("t", n=1)
    event.child(debug=True).child().debug("deep")
    assert sink.lines == [(Level.INFO, "a: t"), (Level.DEBUG, "deep")]
    assert sink.fields[0] == {"user": "alice", "cmd": "x", "n": 1}


def test_exceptions_take_one_line() -> None:
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as exc:
            raise ValueError("outer\nsecond line") from exc

    sink = ListSink()
    try:
        fail()
    except ValueError as exc:
        Event(sink).exception("failed", exc)
        assert "\n" not in one_line(exc)
    text = sink.texts[0]
    assert text.startswith("failed: ValueError: outer second line [test_wire.py:")
    assert " <- KeyError: 'inner' [" in text

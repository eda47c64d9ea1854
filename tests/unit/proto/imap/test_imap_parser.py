"""The IMAP stream cut into commands, however it arrives."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.proto.imap.parser import BadCommand, Command, LiteralStart, Parser, Signal
from pydovecot.proto.imap.syntax import BadSyntax

STREAMING = frozenset({b"APPEND"})


def parser(max_line: int = 1000, **options: bool) -> Parser:
    return Parser(max_line, streaming=STREAMING, **options)


def play(pieces: Iterable[bytes], max_line: int = 1000) -> list[object]:
    """All events, streamed literals taken as a handler would; a fatal error as the last one."""
    core = parser(max_line)
    events: list[object] = []
    waiting: Command | None = None
    body = b""

    def drain() -> None:
        nonlocal waiting, body
        while True:
            if waiting is not None:
                chunk = core.literal_chunk() if waiting.stream is not None else None
                if chunk == b"":
                    return
                if chunk is not None:
                    body += chunk
                    continue
                waiting.stream = None
                piece = core.next_piece()
                if piece is None:
                    return
                events.append((body, piece))
                body = b""
                waiting.stream = piece[1]
                if piece[1] is None:
                    waiting = None
                continue
            event = core.next_event()
            if event is Signal.NEED_DATA:
                return
            if isinstance(event, Command):
                events.append((event.tag, event.name, event.text, tuple(event.literals), event.stream))
                if event.stream is not None:
                    waiting = event
            else:
                events.append(event)

    try:
        for data in pieces:
            core.feed(data)
            drain()
    except BadSyntax as exc:
        assert exc.fatal
        events.append(exc.text)
    return events


def test_line_by_line() -> None:
    assert play([b"a NOOP\r\nb uid fetch 1 FLAGS\nc LOGOUT\r\n"]) == [
        (b"a", b"NOOP", b"", (), None),
        (b"b", b"UID FETCH", b"1 FLAGS", (), None),
        (b"c", b"LOGOUT", b"", (), None),
    ]


def test_literals_are_collected() -> None:
    assert play([b"a LOGIN {3}\r\nabc {4+}\r\nd\r\n) x\r\nb NOOP\r\n"]) == [
        Signal.CONTINUE,
        (b"a", b"LOGIN", b"{3}\r\n {4+}\r\n x", (b"abc", b"d\r\n)"), None),
        (b"b", b"NOOP", b"", (), None),
    ]


def test_streamed_literals_come_in_pieces() -> None:
    core = parser()
    core.feed(b"a APPEND INBOX (\\Seen) {10+}\r\n0123")
    event = core.next_event()
    assert isinstance(event, Command)
    assert event.stream == LiteralStart(10, sync=False)
    assert core.literal_chunk() == b"0123"
    assert core.literal_chunk() == b""
    core.feed(b"456789 ~{2}\r\n")
    assert core.literal_chunk() == b"456789"
    assert core.literal_chunk() is None
    assert core.next_piece() == (b" ~{2}\r\n", LiteralStart(2, sync=True, binary=True))
    core.feed(b"xy\r\nb NOOP\r\n")
    assert core.literal_chunk() == b"xy"
    assert core.literal_chunk() is None
    assert core.next_piece() == (b"", None)
    assert isinstance(core.next_event(), Command)


def test_refused_stream_is_swallowed() -> None:
    core = parser()
    core.feed(b"a APPEND no {5+}\r\nx NOO")
    assert isinstance(core.next_event(), Command)
    core.abandon(sent=True)
    assert core.next_event() is Signal.NEED_DATA
    core.feed(b"P tail {3+}\r\nabc\r\nb NOOP\r\n")
    event = core.next_event()
    assert isinstance(event, Command) and event.tag == b"b"


def test_refused_before_its_literal_was_sent() -> None:
    core = parser()
    core.feed(b"a APPEND no {5}\r\n")
    assert isinstance(core.next_event(), Command)
    core.abandon(sent=False)
    core.feed(b"b NOOP\r\n")
    event = core.next_event()
    assert isinstance(event, Command) and event.tag == b"b"


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b"", BadCommand(b"", "IMAP tag", "Invalid tag")),
        (b"+ NOOP", BadCommand(b"", "IMAP tag", "Invalid tag")),
        (b"(a) NOOP", BadCommand(b"", "IMAP tag", "Invalid tag")),
        (b"x" * 2000 + b" NOOP", BadCommand(b"", "IMAP tag", "Invalid tag")),
        (b"a", BadCommand(b"a", "IMAP command", "Invalid command name")),
        (b"a  NOOP", BadCommand(b"a", "IMAP command", "Invalid command name")),
        (b"a UID", BadCommand(b"a", "IMAP command", "Invalid command name")),
        (b"a " + b"N" * 100, BadCommand(b"a", "IMAP command", "Invalid command name")),
        (b"a NO\x00OP", BadCommand(b"a", "IMAP command", "Invalid command name")),
        (b"a LIST " + b"x" * 1001, BadCommand(b"a", "IMAP command LIST", "Too long argument")),
        (b"a LIST " + b"x" * 100000, BadCommand(b"a", "IMAP command LIST", "Too long argument")),
    ],
)
def test_bad_lines_do_not_stop_the_stream(line: bytes, event: BadCommand) -> None:
    good = (b"b", b"NOOP", b"", (), None)
    assert play([line + b"\r\nb NOOP\r\n"]) == [event, good]
    assert play([line[i : i + 100] for i in range(0, len(line), 100)] + [b"\r\nb NOOP\r\n"]) == [event, good]


def test_an_overlong_line_is_not_kept() -> None:
    core = parser(1000)
    told = []
    for _ in range(100):
        core.feed(b"a LIST " + b"x" * 1000)
        while (event := core.next_event()) is not Signal.NEED_DATA:
            told.append(event)
        assert core.buffered < 4000
    # The client is told without waiting for the line's end, once, and goes on after it.
    assert told == [BadCommand(b"a", "IMAP command LIST", "Too long argument")]
    core.feed(b" {5}\r\nb NOOP\r\n")
    assert core.next_event() == Command(b"b", b"NOOP", b"")


@pytest.mark.parametrize("size", [b"1001", b"99999999999999999999999", b"9223372036854775807"])
def test_a_huge_literal_ends_the_connection(size: bytes) -> None:
    assert play([b"a LOGIN {" + size + b"}\r\n"]) == ["Literal size too large"]


def test_many_literals_are_bounded_together() -> None:
    assert play([b"a X" + b" {400+}\r\n" + b"x" * 400 + b" {600+}\r\n"])[-1] == "Literal size too large"


def test_literal_minus_bounds_what_is_sent_unasked() -> None:
    core = Parser(10000, literal_minus=True)
    core.feed(b"a LOGIN {4097+}\r\n")
    with pytest.raises(BadSyntax) as caught:
        core.next_event()
    assert caught.value.fatal
    core = Parser(10000, literal_minus=True)
    core.feed(b"a LOGIN {4096+}\r\n" + b"x" * 4096 + b"\r\n")
    assert isinstance(core.next_event(), Command)


def test_braces_inside_a_quoted_string_are_text() -> None:
    assert play([b'a LOGIN "x {5}\r\nb NOOP\r\n']) == [
        (b"a", b"LOGIN", b'"x {5}', (), None),
        (b"b", b"NOOP", b"", (), None),
    ]


def test_unknown_commands_do_not_wait_for_literals() -> None:
    core = Parser(1000, known=frozenset({b"NOOP"}))
    core.feed(b"a FOO {5}\r\nb NOOP\r\nc FOO {6+}\r\nd NOOP\r\ne NOOP\r\n")
    tags = []
    while isinstance(event := core.next_event(), Command):
        tags.append(event.tag)
    assert tags == [b"a", b"b", b"c", b"e"]


CONVERSATION = (
    b"a LOGIN {3}\r\nabc {4+}\r\nd\r\n)\r\n"
    b"bad(tag NOOP\r\n"
    b"b APPEND INBOX {6+}\r\nhe\r\nlo (\\Seen) {3+}\r\nxyz\r\n"
    b"c NOOP\r\n"
    b"d APPEND {5+}\r\nINBOX {0+}\r\n\r\n"
    b'e LIST "" "*"\r\n'
)


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=12))
def test_any_splitting_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(CONVERSATION)]
    pieces = [CONVERSATION[a:b] for a, b in itertools.pairwise(edges)]
    assert play(pieces) == play([CONVERSATION])


def test_byte_by_byte_gives_the_same_events() -> None:
    assert play(CONVERSATION[i : i + 1] for i in range(len(CONVERSATION))) == play([CONVERSATION])


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_noise_raises_nothing_but_bad_syntax(pieces: list[bytes]) -> None:
    play(pieces, 200)


@given(
    st.lists(
        st.sampled_from([b"a ", b"UID ", b"NOOP", b"APPEND ", b"{5+}\r\n", b'"', b"\r\n", b"(", b"{0}\r\n"])
    )
)
def test_noise_of_our_own_words(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert play([data]) == play(data[i : i + 1] for i in range(len(data)))


def test_what_is_dropped_may_be_large() -> None:
    core = parser(1000)
    core.feed(b"a APPEND no {5+}\r\nhello {5000+}\r\n")
    assert isinstance(core.next_event(), Command)
    core.abandon(sent=True)
    assert core.next_event() is Signal.NEED_DATA
    core.feed(b"x" * 4000)
    assert core.next_event() is Signal.NEED_DATA
    assert core.buffered == 0
    core.feed(b"x" * 1000 + b" {7}\r\nb NOOP\r\n")  # the last literal is never sent: no "+" was seen
    event = core.next_event()
    assert isinstance(event, Command) and event.tag == b"b"

"""Whatever pieces the input comes in, the reader gives the same commands and the same message."""

from hypothesis import given
from hypothesis import strategies as st

from pydovecot.proto.smtp.reader import MAX_LINE_BYTES, BadCommand, Chunk, Command, End, SmtpReader

LINES = st.lists(
    st.sampled_from([b"", b".", b"..", b".x", b"a", b"\r", b"\n", b".\n", b".\r", b"From x", b"\0\xff"]),
    max_size=8,
)
CUTS = st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=30)


def stuffed(message: bytes) -> bytes:
    """RFC 5321 4.5.2, as an MTA sends it. The message ends with CRLF, or is empty."""
    body = message.replace(b"\r\n.", b"\r\n..")
    return (b"." if body.startswith(b".") else b"") + body + b".\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    found, at, turn = [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        found.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return found


def read(reader: SmtpReader, parts: list[bytes]) -> tuple[bytes, list[object]]:
    """The message and the other events."""
    message, others = b"", list[object]()
    for part in parts:
        reader.feed(part)
        while (event := reader.next_event()) is not None:
            if isinstance(event, Chunk):
                message += event.data
            else:
                others.append(event)
                if event == Command(b"DATA", b""):
                    reader.expect_data()
                elif isinstance(event, Command) and event.verb == b"BDAT":
                    reader.expect_chunk(int(event.args))
    return message, others


@given(lines=LINES, cuts=CUTS)
def test_data_in_any_pieces(lines: list[bytes], cuts: list[int]) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    # What is in a line must not look like a line end of its own.
    sent = b"DATA\r\n" + stuffed(message) + b"NOOP\r\n"
    got, others = read(SmtpReader(), pieces(sent, cuts))
    assert got == message
    assert others == [Command(b"DATA", b""), End(), Command(b"NOOP", b"")]


@given(data=st.binary(max_size=60), cuts=CUTS)
def test_chunks_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    sent = b"BDAT %d\r\n" % len(data) + data + b"QUIT\r\n"
    got, others = read(SmtpReader(), pieces(sent, cuts))
    assert got == data
    assert others == [Command(b"BDAT", b"%d" % len(data)), End(), Command(b"QUIT", b"")]


def test_a_bare_line_feed_ends_no_message() -> None:
    """CVE-2023-51764 and its sisters: two readings of one message would smuggle another one in."""
    message = b"a\n.\nMAIL FROM:<evil@x>\n.\r\nb\r\n"
    got, others = read(SmtpReader(), [b"DATA\r\n" + message + b".\r\n"])
    assert got == message
    assert others == [Command(b"DATA", b""), End()]


def test_a_line_without_an_end_is_dropped_not_kept() -> None:
    reader = SmtpReader()
    for _ in range(50):
        reader.feed(b"x" * MAX_LINE_BYTES)
        assert reader.next_event() is None
    assert len(reader._buffer) <= MAX_LINE_BYTES
    reader.feed(b"\r\nNOOP\r\n")
    assert isinstance(reader.next_event(), BadCommand)
    assert reader.next_event() == Command(b"NOOP", b"")


def test_a_message_is_not_gathered() -> None:
    reader = SmtpReader()
    reader.expect_data()
    for part in (b"\r\n" * 1000, b"." * 1000, b"\r" * 1000):
        reader.feed(part)
        while reader.next_event() is not None:
            assert len(reader._buffer) < 10

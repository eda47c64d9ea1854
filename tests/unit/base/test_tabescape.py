"""Tab-escaped lines."""

from hypothesis import given
from hypothesis import strategies as st

from pydovecot.base import tabescape


def test_dovecots_letters() -> None:
    assert tabescape.escape(b"a\0b\1c\td\re\nf") == b"a\x010b\x011c\x01td\x01re\x01nf"
    assert tabescape.unescape(b"\x01q\x01t\x01") == b"q\t"


@given(st.lists(st.binary(), min_size=1))
def test_round_trip(fields: list[bytes]) -> None:
    line = tabescape.join(fields)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert tabescape.split(line[:-1]) == fields


@given(st.binary())
def test_text_carries_any_bytes(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    assert tabescape.split_text(tabescape.join_text([text, "x"])[:-1]) == [text, "x"]
    assert tabescape.unescape_text(tabescape.escape_text(text)) == text

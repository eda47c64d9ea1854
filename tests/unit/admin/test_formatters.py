"""Output formats: bytes as Dovecot writes them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.admin.errors import AdminError
from pydovecot.admin.formatters import FORMATTERS, json_text, make, table_widths
from pydovecot.admin.printer import Header

Row = list[str | bytes | int]


def printed(form: str, rows: list[Row], *, hide_titles: bool = False) -> bytes:
    """Columns: name (title hidden), count (right, a number), text (streamed)."""
    out = bytearray()
    printer = make(form, out.extend, out.extend, hide_titles=hide_titles)
    printer.header("name", "Name", hide=True)
    printer.header("count", "Count", right=True, number=True)
    printer.header("text")
    for name, count, text in rows:
        printer.value(name)
        printer.value(count)
        assert isinstance(text, bytes)
        for octet in text:
            printer.stream(bytes((octet,)))
        printer.end_stream()
    printer.flush()
    return bytes(out)


ROWS: list[Row] = [["ä", 5, b"one"], ["bcd", 12, b""]]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("flow", "ä Count=5 text=one\nbcd Count=12 text=\n"),
        ("tab", "Name\tCount\ttext\nä\t5\tone\t\nbcd\t12\t\n"),
        ("pager", "ä\nCount: 5\ntext:\none\f\nbcd\nCount: 12\ntext:\n"),
        ("json", '[{"name":"ä","count":5,"text":"one"},{"name":"bcd","count":12,"text":""}]'),
    ],
)
def test_formats(form: str, expected: str) -> None:
    assert printed(form, ROWS).decode() == expected


def test_a_table_is_as_wide_as_its_values() -> None:
    titles, first, second, end = printed("table", ROWS).decode().split("\n")
    assert titles.split() == ["Name", "Count", "text"]
    assert first.startswith("ä        5 one")
    assert second.startswith("bcd     12 ")
    assert len(titles) == len(first) == len(second)
    assert end == ""
    assert b"Name" not in printed("table", ROWS, hide_titles=True)


def test_a_table_has_no_values_of_many_lines() -> None:
    with pytest.raises(AdminError, match="multi-line"):
        printed("table", [["a", 1, b"x\ny"]])


def test_nothing_was_found() -> None:
    assert printed("json", []) == b"[]"
    assert printed("flow", []) == b""
    assert printed("tab", []) == b"Name\tCount\ttext\n"


def test_sticky_values_fill_themselves_in() -> None:
    out = bytearray()
    printer = make("tab", out.extend, out.extend)
    printer.header("username", "Username", sticky=True)
    printer.header("uid")
    for user in ("alice", "bob"):
        printer.stick("username", user)
        printer.value(1)
        printer.value(2)
    assert out == b"Username\tuid\nalice\t1\nalice\t2\nbob\t1\nbob\t2\n"


def test_unknown_formats() -> None:
    with pytest.raises(AdminError, match="Unknown print formatter: xml"):
        make("xml", print, print)
    with pytest.raises(AdminError, match="cannot be used without a format"):
        printed("formatted", ROWS)


@given(st.binary(max_size=60))
def test_json_can_be_read_whatever_the_value(value: bytes) -> None:
    read = json.loads(b'"' + json_text(value) + b'"')
    assert read == value.decode("utf-8", "surrogateescape").translate(
        {code: "\ufffd" for code in range(0xDC80, 0xDD00)}
    )


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.lists(st.binary(max_size=90), max_size=40),
    st.integers(30, 200),
)
def test_widths_are_always_found(titles: list[int], values: list[bytes], room: int) -> None:
    headers = [Header("k", "x" * length) for length in titles]
    widths = table_widths(headers, values[: len(values) // len(headers) * len(headers)], room)
    assert len(widths) == len(headers)


@pytest.mark.parametrize("form", sorted(set(FORMATTERS) - {"formatted"}))
def test_octets_come_through(form: str) -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    out = printed(form, [[name, 1, b"\xfd"]])
    assert (b"\xff\xfe" in out and b"\xfd" in out) or form == "json"

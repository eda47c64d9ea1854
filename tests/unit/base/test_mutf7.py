"""Modified UTF-7: RFC 3501 5.1.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.base.mutf7 import BadMutf7, decode, decode_lenient, encode, encode_lenient


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", b"INBOX"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("a&b", b"a&-b"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("😀", b"&2D3eAA-"),
        ("\t", b"&AAk-"),
    ],
)
def test_examples(name: str, wire: bytes) -> None:
    assert encode(name) == wire
    assert decode(wire) == name


@pytest.mark.parametrize(
    "wire",
    [
        b"&",
        b"a&b",
        b"&Jjo!",
        b"&AGE-",
        b"&U,BTFw-&ZeVnLIqe-",
        b"&AOQ",
        b"\xc3\xa4",
        b"&2D0-",
        b"&A-",
        b"&AOQ=-",
        b"\t",
    ],
)
def test_other_spellings_are_refused(wire: bytes) -> None:
    with pytest.raises(BadMutf7):
        decode(wire)
    assert encode_lenient(decode_lenient(wire)) == wire


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_round_trip(name: str) -> None:
    assert decode(encode(name)) == name


@given(st.binary(max_size=40))
def test_one_spelling_for_each_name(wire: bytes) -> None:
    try:
        name = decode(wire)
    except BadMutf7:
        return
    assert encode(name) == wire


@given(st.binary(max_size=40))
def test_any_bytes_survive_leniently(wire: bytes) -> None:
    assert encode_lenient(decode_lenient(wire)) == wire

"""Strings for the wire."""

import pytest

from pydovecot.proto.imap import encode


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (b"INBOX", b"INBOX"),
        (b"a b", b'"a b"'),
        (b"a*b", b'"a*b"'),
        (b"", b'""'),
        (b"nil", b'"nil"'),
        (b'qu"o\\te', b'"qu\\"o\\\\te"'),
        (b"&AOQ-", b"&AOQ-"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xe4", b"{1}\r\n\xe4"),
    ],
)
def test_astring(text: bytes, wire: bytes) -> None:
    assert encode.astring(text) == wire


def test_string_is_a_literal_when_long_or_odd() -> None:
    assert encode.string(b"plain") == b'"plain"'
    assert encode.string(b'a"') == b'{2}\r\na"'
    assert encode.string(b"x" * 129).startswith(b"{129}\r\n")
    assert encode.nstring(None) == b"NIL"

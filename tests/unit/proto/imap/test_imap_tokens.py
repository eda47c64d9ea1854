"""Arguments of a command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.proto.imap import encode
from pydovecot.proto.imap.syntax import MAX_LIST_NESTING, Arg, Atom, BadSyntax, Literal, Quoted
from pydovecot.proto.imap.tokens import arguments


def test_atoms_strings_lists() -> None:
    found = arguments(b'1:* (FLAGS BODY[HEADER.FIELDS (From "To")]<0.5>) "a \\"b\\\\" {3}\r\n', [b"x\r\n"])
    assert found == [
        b"1:*",
        [b"FLAGS", b"BODY[HEADER.FIELDS", [b"From", b"To"], b"]<0.5>"],
        b'a "b\\',
        b"x\r\n",
    ]
    assert [type(arg) for arg in found] == [Atom, list, Quoted, Literal]


def test_several_blanks_count_as_one() -> None:
    assert arguments(b"  a   b ") == arguments(b"a b") == [b"a", b"b"]
    assert arguments(b' a  ( b  "c" ) ') == [b"a", [b"b", b"c"]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"(a", "Missing ')'"),
        (b"a)", "Unexpected ')'"),
        (b'"a', "Missing '\"'"),
        (b'"a\\', "Missing '\"'"),
        (b'"a\x00b"', "NULs not allowed in strings"),
        (b'a"b', "Invalid characters in atom"),
        (b"a(b", "Invalid characters in atom"),
        (b"a\x01", "Invalid characters in atom"),
        (b"a\x80", "8bit data in atom"),
        (b"{5", "Invalid literal size"),
        (b"{x}", "Invalid literal size"),
        (b"{5}x", "Missing LF after literal size"),
        (b"(" * (MAX_LIST_NESTING + 1), "Too many '('"),
    ],
)
def test_what_is_wrong_is_said(text: bytes, problem: str) -> None:
    with pytest.raises(BadSyntax) as caught:
        arguments(text)
    assert caught.value.text == problem
    assert not caught.value.fatal


@given(st.binary(max_size=200))
def test_any_bytes_give_arguments_or_bad_syntax(text: bytes) -> None:
    try:
        arguments(text)
    except BadSyntax as exc:
        assert exc.text and not exc.text.endswith(".")
    except StopIteration:
        raise AssertionError from None


_WORD = st.binary(max_size=30)
_ARGS = st.recursive(_WORD, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


def _wire(value: object, literals: list[bytes]) -> bytes:
    if isinstance(value, list):
        return b"(" + b" ".join(_wire(inner, literals) for inner in value) + b")"
    assert isinstance(value, bytes)
    encoded = encode.astring(value)
    if encoded.startswith(b"{"):
        literals.append(value)
        return encoded[: encoded.index(b"\n") + 1]
    return encoded


def _plain(args: "list[Arg]") -> list[object]:
    return [_plain(arg) if isinstance(arg, list) else bytes(arg) for arg in args]


@given(st.lists(_ARGS, max_size=5))
def test_what_is_encoded_comes_back(values: list[object]) -> None:
    literals: list[bytes] = []
    text = b" ".join(_wire(value, literals) for value in values)
    assert _plain(arguments(text, literals)) == values

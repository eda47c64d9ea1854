"""Cursor and sequence sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.model.seqset import STAR, SeqSet
from pydovecot.proto.imap.cursor import Cursor, parse_seqset
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.proto.imap.tokens import arguments


def cursor(text: bytes) -> Cursor:
    return Cursor(arguments(text))


def test_taken_in_order() -> None:
    cur = cursor(b'atom "string" (list) rest of it')
    assert cur.atom() == b"atom"
    assert cur.string() == b"string"
    assert cur.list() == [b"list"]
    assert cur.optional_list() is None
    assert cur.rest() == [b"rest", b"of", b"it"]
    assert not cur.more()


@pytest.mark.parametrize(
    ("text", "method", "problem"),
    [
        (b"", "atom", "Invalid arguments"),
        (b'"x"', "atom", "Invalid arguments"),
        (b"x", "string", "Invalid arguments"),
        (b"(x)", "astring", "Invalid arguments"),
        (b"", "required", "Missing arguments"),
        (b"x", "list", "Invalid arguments"),
    ],
)
def test_wrong_kinds(text: bytes, method: str, problem: str) -> None:
    with pytest.raises(BadSyntax, match=problem):
        getattr(cursor(text), method)()


@pytest.mark.parametrize(
    "text", [b"", b"0", b"a", b"1:", b":1", b"1,", b"1:2:3", b"4294967296", b"-1", b"1:0", b"+1"]
)
def test_no_sequence_sets(text: bytes) -> None:
    assert parse_seqset(text) is None


def test_sequence_sets() -> None:
    assert parse_seqset(b"4:2,7,3") == SeqSet(((2, 4), (7, 7)), ((4, 2), (7, 7), (3, 3)))
    star = parse_seqset(b"*:9,2")
    assert star is not None and star.has_star
    assert star.resolve(5).ranges == ((2, 2), (5, 9))
    assert parse_seqset(b"*") == SeqSet(((STAR, STAR),), ((STAR, STAR),))
    largest = parse_seqset(b"7:4294967295")  # the number is no star: nothing of 1..6
    assert largest is not None and not largest.has_star and largest.resolve(6) == largest


@given(st.lists(st.integers(1, 2**32 - 2), min_size=1).map(sorted))
def test_sequence_sets_come_back(numbers: list[int]) -> None:
    whole = SeqSet.of(numbers)
    again = parse_seqset(whole.encode())
    assert again is not None and again.ranges == whole.ranges

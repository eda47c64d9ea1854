"""LIST patterns, also such that a backtracking matcher would take for ever."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.storage.list.pattern import Matcher

names = st.text("ab./", max_size=10)
patterns = st.text("ab./*%", max_size=10)


def slow(pattern: str, name: str, separator: str) -> bool:
    """The definition, word for word."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(slow(pattern[1:], name[at:], separator) for at in range(len(name) + 1))
    if pattern[0] == "%":
        end = name.find(separator)
        return any(
            slow(pattern[1:], name[at:], separator) for at in range((len(name) if end < 0 else end) + 1)
        )
    return name[:1] == pattern[0] and slow(pattern[1:], name[1:], separator)


@given(patterns, names, st.sampled_from("./"))
def test_same_as_the_definition(pattern: str, name: str, separator: str) -> None:
    assert Matcher([pattern], separator).matches(name) == slow(pattern, name, separator)


@given(patterns, names, names, st.sampled_from("./"))
def test_branches_with_matches_are_looked_into(pattern: str, parent: str, child: str, separator: str) -> None:
    matcher = Matcher([pattern], separator)
    if child and matcher.matches(parent + separator + child):
        assert matcher.may_match_below(parent)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("inbox", "INBOX", True),
        ("InBoX.%", "INBOX.a", True),
        ("inboxes", "INBOXES", False),
        ("a", "A", False),
        ("%", "a.b", False),
        ("*", "a.b", True),
    ],
)
def test_inbox_has_no_case(pattern: str, name: str, matches: bool) -> None:
    assert Matcher([pattern], ".").matches(name) is matches


def test_hostile_pattern_is_quick() -> None:
    begin = time.process_time()
    matcher = Matcher(["*a" * 100 + "b", "%a" * 100 + "b"], ".")
    assert not matcher.matches("a" * 250)
    matcher.may_match_below("a" * 250)
    assert time.process_time() - begin < 5  # milliseconds, or for ever

"""user+detail: where the name ends."""

import pytest

from pydovecot.delivery.detail import split


@pytest.mark.parametrize(
    ("local", "domain", "delimiters", "user", "detail"),
    [
        ("alice", "", "+", "alice", ""),
        ("alice+lists", "", "+", "alice", "lists"),
        ("alice+lists", "example.org", "+", "alice@example.org", "lists"),
        ("alice+a+b", "", "+", "alice", "a+b"),
        ("alice+", "", "+", "alice", ""),
        ("+x", "", "+", "+x", ""),
        ("alice-x+y", "", "+-", "alice", "x+y"),
        ("alice+lists", "", "", "alice+lists", ""),
    ],
)
def test_split(local: str, domain: str, delimiters: str, user: str, detail: str) -> None:
    assert split(local, domain, delimiters) == (user, detail)

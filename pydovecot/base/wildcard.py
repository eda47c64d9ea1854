"""Masks of user names and addresses: `*` any run, `?` one character, everything else itself."""

import re
from functools import lru_cache


@lru_cache(maxsize=64)
def compiled(mask: str) -> "re.Pattern[str]":
    """The mask as a pattern for `fullmatch`, without regard to case.

    A run of stars is one star, so that a hostile mask costs no more than a plain one.
    """
    pieces: list[str] = []
    for char in mask:
        if char == "*":
            if pieces[-1:] != [".*"]:
                pieces.append(".*")
        else:
            pieces.append("." if char == "?" else re.escape(char))
    return re.compile("".join(pieces), re.DOTALL | re.IGNORECASE)


def matches(text: str, mask: str) -> bool:
    """Whether the mask stands for the whole text."""
    return compiled(mask).fullmatch(text) is not None

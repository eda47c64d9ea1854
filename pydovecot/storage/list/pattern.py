"""LIST patterns: `*` matches everything, `%` everything but the hierarchy separator. RFC 3501 6.3.8."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

# A backtracking regular expression takes length**wildcards steps: above, the slower linear walk is used.
MAX_REGEX_WILDCARDS: Final = 2


class Matcher:
    """Some patterns at once. INBOX as first name of the hierarchy is matched without regard to case."""

    def __init__(self, patterns: Sequence[str], separator: str) -> None:
        self._separator = separator
        self._match = [_compile(pattern, separator) for pattern in patterns]
        self._patterns = [_tokens(_fold_inbox(pattern, separator)) for pattern in patterns]

    def matches(self, name: str) -> bool:
        """True when any pattern matches the whole name."""
        name = _fold_inbox(name, self._separator)
        return any(match(name) for match in self._match)

    def may_match_below(self, name: str) -> bool:
        """True when some name below `name` could match: its branch is worth a look."""
        name = _fold_inbox(name, self._separator) + self._separator
        return any(_walk(tokens, name, self._separator, whole=False) for tokens in self._patterns)


def _fold_inbox(text: str, separator: str) -> str:
    if text[:5].upper() == "INBOX" and (len(text) == 5 or text[5] in (separator, "*", "%")):
        return "INBOX" + text[5:]
    return text


def _tokens(pattern: str) -> list[str]:
    """Literal runs and single wildcards; a run of wildcards is `*` if it has one, else `%`."""
    found = re.split(r"([*%]+)", pattern)
    return [("*" if "*" in text else "%") if text[:1] in ("*", "%") else text for text in found if text]


@lru_cache(maxsize=256)
def _compile(pattern: str, separator: str) -> Callable[[str], object]:
    tokens = _tokens(_fold_inbox(pattern, separator))
    if sum(token in ("*", "%") for token in tokens) > MAX_REGEX_WILDCARDS:
        return lambda name: _walk(tokens, name, separator, whole=True)
    one_level = f"[^{re.escape(separator)}]*" if separator else ".*"
    pieces = [".*" if t == "*" else one_level if t == "%" else re.escape(t) for t in tokens]
    return re.compile("".join(pieces), re.DOTALL).fullmatch


def _walk(tokens: Sequence[str], name: str, separator: str, *, whole: bool) -> bool:
    """Follow all ways through the pattern at once: `at` holds the places in `name` reached so far.

    With `whole` False it is enough that `name` is used up somewhere inside the pattern.
    """
    end = len(name)
    at = {0}
    for index, token in enumerate(tokens):
        reached: set[int] = set()
        if token == "*":
            reached.update(range(min(at), end + 1))
        elif token == "%":
            for place in at:
                stop = name.find(separator, place) if separator else -1
                reached.update(range(place, (end if stop < 0 else stop) + 1))
        else:
            for place in at:
                if name.startswith(token, place):
                    reached.add(place + len(token))
                elif not whole and token.startswith(name[place:]):
                    return True
        if not whole and end in reached:
            return token in ("*", "%") or index + 1 < len(tokens)
        if not reached:
            return False
        at = reached
    return whole and end in at

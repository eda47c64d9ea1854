"""States as bytes and names, each distinct state rendered once."""

from collections.abc import Sequence

from pydovecot.index.schema import KEYWORD_SHIFT
from pydovecot.model.flags import FLAG_NAMES


class _Flags(dict[int, bytes]):
    """State to FLAGS without parentheses, made when first asked for."""

    def __init__(self, names: "_Names", recent: bool) -> None:
        super().__init__()
        self._names, self._recent = names, recent

    def __missing__(self, state: int) -> bytes:
        words = [name for flag, name in FLAG_NAMES if state & flag]
        if self._recent:
            words.append("\\Recent")
        words.extend(self._names[state])
        rendered = self[state] = " ".join(words).encode("utf-8")
        return rendered


class _Names(dict[int, tuple[str, ...]]):
    """State to keyword names; bits without a name (letters of other programs) have none."""

    def __init__(self, keywords: Sequence[str]) -> None:
        super().__init__()
        self._keywords = keywords

    def __missing__(self, state: int) -> tuple[str, ...]:
        bits = state >> KEYWORD_SHIFT
        names = self[state] = tuple(
            name for bit, name in enumerate(self._keywords) if name and bits >> bit & 1
        )
        return names


class Wire:
    """Renders the states of one mailbox as its keywords are now."""

    def __init__(self, keywords: Sequence[str]) -> None:
        self.by_bit = list(keywords)
        self.keywords = [name for name in keywords if name]
        self.names = _Names(list(keywords))
        self.flags = _Flags(self.names, recent=False)
        self.recent = _Flags(self.names, recent=True)

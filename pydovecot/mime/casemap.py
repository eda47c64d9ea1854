"""The form in which texts are compared: titlecase, then decomposed, much like i;unicode-casemap. RFC 5051."""

import unicodedata
from typing import Final

# Titlecase letters that are their own titlecase stay whole in Dovecot's tables.
_OWN_TITLECASE: Final = frozenset("\u01c5\u01c8\u01cb\u01f2")


class _Table(dict[int, str]):
    """Filled letter by letter as texts need them."""

    def __missing__(self, code: int) -> str:
        value = self[code] = _mapped(chr(code))
        return value


def _mapped(char: str) -> str:
    title = char.title()
    if len(title) == 1:
        char = title
    if char in _OWN_TITLECASE:
        return char
    if 0xAC00 <= ord(char) <= 0xD7A3:
        return unicodedata.normalize("NFD", char)
    # One level only, as Dovecot's tables have it.
    parts = unicodedata.decomposition(char).split()
    if parts and parts[0].startswith("<"):
        del parts[0]
    return "".join(chr(int(part, 16)) for part in parts) or char


_TABLE: Final = _Table()


def normalise(text: str) -> str:
    """Texts that differ in case only become equal; letters with accents start with the bare letter."""
    return text.upper() if text.isascii() else text.translate(_TABLE)

"""The form in which texts are compared: titlecase, then decomposed, much like i;unicode-casemap. RFC 5051."""

import re
import unicodedata
from typing import Final

# Letters whose case or form came after Unicode 10 (2017): Dovecot 2.3 does not know them, nor do all Pythons.
_NEWER: Final = re.compile(
    "[\u019b\u0264\u0282\u1c8a\u1d8e\u2c5f\u32ff\ua794\ua7b8-\ua7f6\uab69\U00010570-\U000107ba\U00010d50-\U00010d85"
    "\U00016e40-\U00016eff\U0001ccd6-\U0001ccf9\U0001e030-\U0001e06d\U0001fbf0-\U0001fbf9]"
).fullmatch
# Titlecase letters that are their own titlecase stay whole in Dovecot's tables.
_OWN_TITLECASE: Final = frozenset("\u01c5\u01c8\u01cb\u01f2")


class _Table(dict[int, str]):
    """Filled letter by letter as texts need them."""

    def __missing__(self, code: int) -> str:
        value = self[code] = _mapped(chr(code))
        return value


def _mapped(char: str) -> str:
    if _NEWER(char):
        return char
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
    if len(parts) > 1 and char > "\uffff":
        return char  # letters in boxes, notes, ... do not fall apart in Dovecot
    return "".join(chr(int(part, 16)) for part in parts) or char


_TABLE: Final = _Table()


def normalise(text: str) -> str:
    """Texts that differ in case only become equal; letters with accents start with the bare letter."""
    return text.upper() if text.isascii() else text.translate(_TABLE)

"""File names that are not UTF-8, as text that a database can hold.

Python reads such a byte as a surrogate (U+DC80 and on), which is no text. Here it is a private character
(U+F780 and on), and goes back to the byte on its way to the file system. Nobody types those characters.
"""

_SHOWN = {0xDC00 + byte: 0xF700 + byte for byte in range(0x80, 0x100)}
_RAW = {0xF700 + byte: 0xDC00 + byte for byte in range(0x80, 0x100)}


def shown(name: str) -> str:
    """A name from the file system as text."""
    return name if name.isascii() else name.translate(_SHOWN)


def raw(name: str) -> str:
    """The name that the file system knows."""
    return name if name.isascii() else name.translate(_RAW)


def shown_all(names: list[str]) -> list[str]:
    """`shown` for a whole directory; nothing to do for nearly all of them."""
    return names if all(map(str.isascii, names)) else [shown(name) for name in names]

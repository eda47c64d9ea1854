"""Bytes of any charset to text, never failing."""

import codecs
import re
from functools import lru_cache
from typing import Final

# Names in mail that Python does not know but others do.
_ALIASES: Final = {
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso8859_8",
    "unicode-1-1-utf-7": "utf_7",
    "cp-850": "cp850",
}
_UTF8_NAMES: Final = frozenset(("utf-8", "utf8", "us-ascii", "ascii"))
# Codecs of Python that no mail means.
_NOT_CHARSETS: Final = frozenset(
    ("idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "mbcs", "oem", "utf-8-sig")
)
_NAME: Final = re.compile(r"[A-Za-z0-9_.:+()\-]{1,64}")
_REPEATED: Final = re.compile("\ufffd\ufffd+")


@lru_cache(maxsize=256)
def lookup(name: bytes) -> str | None:
    """Python's name of a charset; None when it is unknown."""
    text = name.decode("ascii", "replace").strip().lower()
    if text in _UTF8_NAMES:
        return "utf-8"
    if not _NAME.fullmatch(text):
        return None
    text = _ALIASES.get(text, text)
    try:
        found = codecs.lookup(text)
        bytes(4).decode(found.name, "replace")  # raises for rot13, base64 …
    except (LookupError, UnicodeError, ValueError):
        return None
    return None if found.name in _NOT_CHARSETS else found.name


def decode(data: bytes, name: str = "utf-8") -> str:
    """The text; what is no text in that charset becomes one replacement character for each run."""
    if data.isascii() and name == "utf-8":
        return data.decode("ascii")
    try:
        return data.decode(name)
    except (UnicodeError, ValueError):
        return _REPEATED.sub("\ufffd", data.decode(name, "replace"))

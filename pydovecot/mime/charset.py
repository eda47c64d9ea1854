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
# Loaded with this module: a process that has become its user may not be able to read Python's files.
_PRELOADED: Final = """
    ascii latin_1 utf_7 utf_8 utf_16 utf_16_le utf_16_be utf_32 iso8859_1 iso8859_2 iso8859_3 iso8859_4
    iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15
    iso8859_16 cp437 cp850 cp852 cp855 cp857 cp858 cp862 cp866 cp874 cp932 cp949 cp950 cp1250 cp1251 cp1252
    cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 koi8_r koi8_u mac_roman mac_cyrillic tis_620 big5 big5hkscs
    gb2312 gbk gb18030 hz euc_jp euc_kr shift_jis shift_jis_2004 iso2022_jp iso2022_jp_1 iso2022_jp_2
    iso2022_jp_3 iso2022_jp_ext iso2022_kr johab
"""
for _name in _PRELOADED.split():
    codecs.lookup(_name)
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


def find(name: bytes | str) -> str | None:
    """As `lookup`, for a name that a client gave."""
    return lookup(name if isinstance(name, bytes) else name.encode("utf-8", "replace"))


def decode(data: bytes, name: str = "utf-8") -> str:
    """The text; what is no text in that charset becomes one replacement character for each run."""
    if data.isascii() and name == "utf-8":
        return data.decode("ascii")
    try:
        return data.decode(name)
    except (UnicodeError, ValueError):
        return _REPEATED.sub("\ufffd", data.decode(name, "replace"))

"""Bytes of any charset to text, never failing."""

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

# Names in mail that Python does not know but others do.
_ALIASES: Final = {
    "x-sjis": "shift_jis",
    "sjis-win": "cp932",
    "sjis-open": "cp932",
    "windows-31j": "cp932",
    "cswindows31j": "cp932",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "mscp949": "cp949",
    "korean": "cp949",
    "mscp1361": "johab",
    "cn-gb": "gb2312",
    "csgb2312": "gb2312",
    "chinesesimp": "gb2312",
    "windows-936": "gbk",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "big5": "cp950",
    "big-5": "cp950",
    "bigfive": "cp950",
    "big-five": "cp950",
    "cn-big5": "cp950",
    "csbig5": "cp950",
    "chinesetrad": "cp950",
    "eucjp-win": "euc_jp",
    "eucjp-ms": "euc_jp",
    "csiso2022jp2": "iso2022_jp_2",
    "x-mac-ce": "mac_latin2",
    "x-mac-centraleurroman": "mac_latin2",
    "mac-centraleurope": "mac_latin2",
    "x-mac-icelandic": "mac_iceland",
    "x-mac-ukrainian": "mac_cyrillic",
    "macintosh": "mac_roman",
    "mac": "mac_roman",
    "ansi": "cp1252",
    "ms-ansi": "cp1252",
    "ms-arab": "cp1256",
    "ms-cyrl": "cp1251",
    "ms-ee": "cp1250",
    "ms-greek": "cp1253",
    "ms-hebr": "cp1255",
    "ms-turk": "cp1254",
    "winbaltrim": "cp1257",
    "iso-8859-1-windows-3.1-latin-1": "cp1252",
    "latin-9": "iso8859_15",
    "koi8": "koi8_r",
    "koi8r": "koi8_r",
    "koi8u": "koi8_u",
    "koi8-ru": "koi8_u",
    "tis620-0": "tis_620",
    "unicode-1-1-utf-7": "utf_7",
    "unicode-2-0-utf-7": "utf_7",
    "unicode-1-1-utf-8": "utf_8",
    "unicode": "utf_16",
    "ucs-2": "utf_16",
    "ucs-2be": "utf_16_be",
    "ucs-2le": "utf_16_le",
    "ucs-4": "utf_32",
    "iso-10646-ucs-2": "utf_16_be",
    "utf8mb4": "utf_8",
    "cp65001": "utf_8",
    "unknown-8bit": "utf_8",
    "8bit": "utf_8",
}
# How senders write the names of families: hyphens and zeros anywhere, direction or year behind.
_SPELLINGS: Final = (
    (re.compile(r"(?:windows|win|cp|ibm|dos|msdos|ms|microsoft-cp|ansi)[-_ ]?0*(\d{3,5})"), r"cp\1"),
    (re.compile(r"(?:iso)?[-_ ]?8859[-_ ]?(\d\d?)(?:[-_:](?:i|e|\d{4}))?"), r"iso8859_\1"),
    (re.compile(r"u(?:tf|ft|t)[-_ =]*(7|8|16|32)[-_ ]?(le|be)?"), r"utf_\1_\2"),
    (re.compile(r"mac[-_ ]?os[-_ ]?(\w+)|mac[-_](\w+)"), r"mac_\1\2"),
)
# What senders put into a text that they call by the narrower name. Tried when the narrower one does not do.
_WIDER: Final = {"shift_jis": "cp932", "gb2312": "gb18030", "euc_kr": "cp949"}
_UTF8_NAMES: Final = frozenset(("utf-8", "utf8", "us-ascii", "ascii"))
# Codecs of Python that no mail means.
_NOT_CHARSETS: Final = frozenset(
    ("idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "mbcs", "oem", "utf-8-sig")
)
_JUNK: Final = re.compile(rb"[^A-Za-z0-9_./,:=+()\-]")  # nobody looks at these, nor at what is behind a NUL
_NAME: Final = re.compile(r"[a-z0-9_.+()=/\-]{1,64}(?::\d{4})?")
# Loaded with this module: a process that has become its user may not be able to read Python's files.
_PRELOADED: Final = """
    ascii latin_1 utf_7 utf_8 utf_16 utf_16_le utf_16_be utf_32 iso8859_1 iso8859_2 iso8859_3 iso8859_4
    iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15
    iso8859_16 cp437 cp850 cp852 cp855 cp857 cp858 cp862 cp866 cp874 cp932 cp949 cp950 cp1250 cp1251 cp1252
    cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 koi8_r koi8_u koi8_t kz1048 cp1125 mac_roman
    mac_cyrillic mac_greek mac_turkish mac_latin2 mac_iceland mac_croatian mac_romanian tis_620 big5 big5hkscs
    gb2312 gbk gb18030 hz euc_jp euc_kr shift_jis shift_jis_2004 iso2022_jp iso2022_jp_1 iso2022_jp_2
    iso2022_jp_3 iso2022_jp_ext iso2022_kr johab
"""
for _name in _PRELOADED.split():
    codecs.lookup(_name)
_NOT_DIRECT: Final = bytes.maketrans(b"\\~", b"\xff\xff")  # not for themselves in UTF-7: RFC 2152
_REPEATED: Final = re.compile("\ufffd\ufffd+")
# Characters of UTF-8 as their first octets promise them; what these promise may be longer than the text.
_PROMISED: Final = re.compile(
    rb"(?:[\x00-\xc1\xfe\xff]++|[\xc2-\xdf].|[\xe0-\xef]..|[\xf0-\xf7].{3}|[\xf8-\xfb].{4}|[\xfc\xfd].{5})*+",
    re.DOTALL,
)
# Hebrew letters with a point that have a character of their own, which no normal form uses.
_HEBREW: Final = {
    "".join(chr(int(code, 16)) for code in parts): chr(number)
    for number in range(0xFB1D, 0xFB4F)
    if len(parts := unicodedata.decomposition(chr(number)).split()) == 2 and not parts[0].startswith("<")
}
_HEBREW.update({"\u05e9\u05bc\u05c1": "\ufb2c", "\u05e9\u05bc\u05c2": "\ufb2d"})
_POINTED: Final = re.compile("|".join(sorted(map(re.escape, _HEBREW), key=len, reverse=True)))


@lru_cache(maxsize=256)
def lookup(name: bytes) -> str | None:
    """Python's name of a charset; None when it is unknown."""
    text = _JUNK.sub(b"", name.partition(b"\0")[0]).decode("ascii").strip(";,").lower()
    if text in _UTF8_NAMES:
        return "utf-8"
    if not _NAME.fullmatch(text):
        return None
    return _codec(_ALIASES.get(text, text)) or _codec(_respelt(text))


def _codec(name: str) -> str | None:
    """Python's own name of a codec for text."""
    try:
        found = codecs.lookup(name)
        bytes(4).decode(found.name, "replace")  # raises for rot13, base64 …
    except (LookupError, UnicodeError, ValueError):
        return None
    return None if found.name in _NOT_CHARSETS else found.name


def _respelt(text: str) -> str:
    text = re.sub(r"\A(?:x[-_]|_|charset=)", "", text)
    for pattern, codec in _SPELLINGS:
        found = pattern.fullmatch(text)
        if found is not None:
            text = found.expand(codec).rstrip("_")
            break
    return _ALIASES.get(text, text)


def find(name: bytes | str) -> str | None:
    """As `lookup`, for a name that a client gave."""
    return lookup(name if isinstance(name, bytes) else name.encode("utf-8", "replace"))


def decode(data: bytes, name: str = "utf-8") -> str:
    """The text; what is no text in that charset becomes one replacement character for each run.

    Letters and their marks are one character where they are to Dovecot's iconv.
    """
    if data.isascii() and name == "utf-8":
        return data.decode("ascii")
    return _composed(_decoded(data, name), name)


def _decoded(data: bytes, name: str) -> str:
    if name == "utf-7":
        data = data.translate(_NOT_DIRECT)
    try:
        return data.decode(name)
    except (UnicodeError, ValueError):
        wider = _WIDER.get(name)
        if wider is not None:
            return _decoded(data, wider)
        errors = "replace" if name == "utf-8" else SKIP_OCTET
        return _REPEATED.sub("\ufffd", data.decode(name, errors))


def _composed(text: str, name: str) -> str:
    if name == "cp1258":
        return unicodedata.normalize("NFC", text)
    return _POINTED.sub(_with_point, text) if name == "cp1255" else text


def _with_point(found: re.Match[str]) -> str:
    return _HEBREW[found[0]]


def decode_shown(data: bytes, name: str) -> str:
    """As `decode`, but UTF-8 ends before a first octet that promises more than there is."""
    if name == "utf-8" and not data.isascii():
        whole = _PROMISED.match(data)
        assert whole is not None
        data = data[: whole.end()]
    return decode(data, name)


def decode_pieces(pieces: Iterable[bytes], name: str) -> Iterator[str]:
    """As `decode`, of a large text."""
    name = _WIDER.get(name, name)
    decoder = codecs.getincrementaldecoder(name)("replace" if name == "utf-8" else SKIP_OCTET)
    for piece in pieces:
        yield _composed(_REPEATED.sub("\ufffd", decoder.decode(piece)), name)
    yield _REPEATED.sub("\ufffd", decoder.decode(b"", True))


def _skip_octet(error: UnicodeError) -> tuple[str, int]:
    """Go on behind the first octet of what is broken; what is incomplete at the end goes."""
    assert isinstance(error, UnicodeDecodeError)
    if error.object[error.start] == _ESCAPE and error.encoding.startswith("iso2022_jp"):
        return "\x1b", error.start + 1  # begins no sequence of RFC 1468: to Dovecot's iconv a character
    if error.end >= len(error.object) and _INCOMPLETE.search(error.reason) is not None:
        return "", error.end
    return "\ufffd", error.start + 1


_ESCAPE: Final = 0x1B
SKIP_OCTET: Final = "pydovecot.skip_octet"
_INCOMPLETE: Final = re.compile("incomplete|truncated|unterminated|unexpected end|partial")
codecs.register_error(SKIP_OCTET, _skip_octet)

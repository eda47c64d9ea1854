"""Names of charsets as mail has them, and what becomes of broken text."""

import pytest

from pydovecot.mime import charset, textsearch, words


@pytest.mark.parametrize(
    ("names", "codec"),
    [
        ("utf-8 UTF8 utf_8 'utf-8' utf-8; uft-8 unicode-1-1-utf-8 us-ascii utf8mb4 x-utf-8", "utf-8"),
        ("iso-8859-8 iso-8859-8-i ISO_8859-8:1988 iso88598 8859_8 hebrew", "iso8859-8"),
        ("windows-1252 windows1252 cp1252 cp-1252 win-1252 x-cp1252 ansi", "cp1252"),
        ("cp850 cp-850 ibm850 IBM-850 dos-850", "cp850"),
        ("windows-874 cp874 x-windows-874", "cp874"),
        ("x-mac-ce x-mac-centraleurroman maclatin2", "mac-latin2"),
        ("x-mac-turkish macturkish", "mac-turkish"),
        ("unicode-1-1-utf-7 utf-7 utf7", "utf-7"),
        ("ks_c_5601-1987 korean windows-949", "cp949"),
        ("x-sjis shift_jis Shift-JIS", "shift_jis"),
        ("big5 cn-big5 Big-5", "cp950"),
        ("koi8-r koi8r x-koi8-r", "koi8-r"),
        ("utf-16le UTF16-LE utf_16_le", "utf-16-le"),
    ],
)
def test_spellings(names: str, codec: str) -> None:
    assert {name: charset.lookup(name.encode()) for name in names.split()} == dict.fromkeys(
        names.split(), codec
    )


def test_names_end_at_a_nul() -> None:
    assert charset.lookup(b"iso-8859-1\0x") == "iso8859-1"
    assert charset.lookup(b"iso88\xff591") == "iso8859-1"


def test_wider_charsets() -> None:
    """What senders put into gb2312, shift_jis and euc-kr; clean text is what it says."""
    assert charset.decode("鎔".encode("gb18030"), "gb2312") == "鎔"
    assert charset.decode("①".encode("cp932"), "shift_jis") == "①"
    assert charset.decode("똠".encode("cp949"), "euc_kr") == "똠"
    assert charset.decode(b"\x81\x60", "shift_jis") == "〜"


def test_broken_text_goes_on_behind_one_octet() -> None:
    japanese = "日本".encode("iso-2022-jp")
    assert charset.decode(japanese[:-4] + b"\x1b(Babc", "iso2022_jp").endswith("abc")
    assert charset.decode(japanese[:-4], "iso2022_jp") == "日"
    assert charset.decode("日本".encode("euc-jp")[:-1], "euc_jp") == "日"
    assert charset.decode(b"a\xff\xffb", "euc_jp") == "a\ufffdb"


def test_words_without_charset_are_ascii() -> None:
    assert words.normalised(b"=??q?abc=E4?=") == "ABC\ufffd"


def test_lines_without_colon_are_decoded() -> None:
    assert "BODY" in textsearch.header_text(b"=?utf-8?q?b=6Fdy?=\nSubject: x\n\n")

"""The small parts of mime: quoting, headers, parameters, addresses, encoded words, encodings, charsets."""

import pytest

from pydovecot.mime import (
    address,
    casemap,
    charset,
    header,
    headersearch,
    params,
    partcodec,
    quote,
    section,
    structure,
    subject,
    transfer,
    words,
)
from pydovecot.mime.address import Address
from pydovecot.mime.transfer import Encoding
from tests.support.uglymail import UGLY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", b'""'),
        (b"plain", b'"plain"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b'""""', b'"\\"\\"\\"\\""'),
        (b'"""""', b'{5}\r\n"""""'),  # more escapes than a literal is long
        (b"\xe4", b"{1}\r\n\xe4"),
        (b"a\nb", b"{3}\r\na\nb"),
    ],
)
def test_string(text: bytes, expected: bytes) -> None:
    assert quote.string(text) == expected
    assert quote.nstring(None) == b"NIL"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a b", b'"a b"'),
        (b"a  b", b"{3}\r\na b"),
        (b"  ", b'""'),
        (b"a\n b", b"{3}\r\na b"),
        (b"a\rb", b"{3}\r\na b"),
        (b"tab\there", b"{8}\r\ntab here"),
        (b'"q"', b'{3}\r\n"q"'),
        (b"end ", b"{3}\r\nend"),
    ],
)
def test_readable(text: bytes, expected: bytes) -> None:
    assert quote.readable(text) == expected


def test_fields_come_in_order_and_unfolded() -> None:
    block = b"A: 1\r\nB : 2\r\n\t3\r\nnocolon\r\nC:\r\n\r\nbody: no\r\n"
    assert list(header.fields(block)) == [(b"A", b"1"), (b"B", b"2\n\t3"), (b"nocolon", b""), (b"C", b"")]
    assert list(header.fields(b"\nA: 1\n")) == []
    assert header.first(block, b"b") == b"2\n\t3"
    assert header.first(block, b"x") is None


@pytest.mark.parametrize(
    ("message", "end"),
    [
        (b"\nx", 1),
        (b"\r\nx", 2),
        (b"A: b\n\nx", 6),
        (b"A: b\r\n\r\nx", 8),
        (b"A: b\n\r\nx", 7),
        (b"A: b\n", 5),
        (b"", 0),
    ],
)
def test_header_end(message: bytes, end: int) -> None:
    assert header.end(message) == end


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/plain; charset=utf-8", (b"text/plain", True, ((b"charset", b"utf-8"),))),
        (b"text/plain garbage", (b"", False, ())),
        (b"text", (b"text", False, ())),
        (b"a/b; x*0=1; x*1=2", (b"a/b", True, ((b"x", b"12"),))),
        (b"a/b; x*0*=u''1%20; x*1=2%", (b"a/b", True, ((b"x*", b"u''1%202%25"),))),
        (b"a/b; x*0=1; x*1*=%41", (b"a/b", True, ((b"x*", b"''1%41"),))),
        (b"a/b; x*1=1; x*2=2", (b"a/b", True, ((b"x*1", b"1"), (b"x*2", b"2")))),
        (b'a/b; x="q \\"r\n s"; y', (b"a/b", True, ((b"x", b'q "r s'),))),
    ],
)
def test_content_type(value: bytes, expected: tuple[bytes, bool, params.Params]) -> None:
    assert params.content_type(value) == expected


def test_number_of_parameters_is_limited() -> None:
    value = b"a/b" + b"".join(b"; x*%d=1" % number for number in range(5000))
    (only,) = params.content_type(value)[2]
    assert only == (b"x", b"1" * params.MAX_STEPS)
    skipped = b"a/b; x=1; /" + b"/" * 125
    assert params.content_type(skipped + b"; y=2")[2] == ((b"x", b"1"), (b"y", b"2"))
    assert params.content_type(skipped + b"/; y=2")[2] == ((b"x", b"1"),)


def test_small_content_fields() -> None:
    assert params.transfer_encoding(b" BASE64 (x)") == b"BASE64"
    assert params.transfer_encoding(b"base64 garbage") is None
    assert params.languages(b"de, en-GB ,fr;x") == [b"de", b"en-GB", b"fr"]
    assert params.disposition(b"inline; filename=x") == (b"inline", ((b"filename", b"x"),))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a@b", [Address(None, None, b"a", b"b")]),
        (b"N M <a@b>, c@d", [Address(b"N M", None, b"a", b"b"), Address(None, None, b"c", b"d")]),
        (b'"L, F" <a@b>', [Address(b"L, F", None, b"a", b"b")]),
        (b"a@b (comment)", [Address(b"comment", None, b"a", b"b")]),
        (b"<@r1,@r2:a@b>", [Address(None, b"@r1,@r2", b"a", b"b")]),
        (b"g: a@b;", [Address(None, None, b"g", None), Address(None, None, b"a", b"b"), address.GROUP_END]),
        (b"nobody", [Address(None, None, b"nobody", b"MISSING_DOMAIN")]),
        (b"two words", [Address(b"two words", None, b"MISSING_MAILBOX", b"MISSING_DOMAIN")]),
        (b"n <a@b", [Address(b"n", None, b"a", b"SYNTAX_ERROR")]),
        (b"<@x>", [Address(None, b"INVALID_ROUTE", b"MISSING_MAILBOX", b"MISSING_DOMAIN")]),
        (b"", []),
        (b" (c) ", []),
    ],
)
def test_addresses(value: bytes, expected: list[Address]) -> None:
    assert address.parse(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'N (x) <a@b>, "q r" <c@d>', b'N <a@b>, "q r" <c@d>'),
        (b"g: a@b, c@d;, e@f", b"g: <a@b>, <c@d>;, <e@f>"),
        (b"g:;", b"g:;"),
        (b'"a\\"b" <c@d>', b'"a\\"b" <c@d>'),
    ],
)
def test_addresses_in_one_written_form(value: bytes, expected: bytes) -> None:
    assert headersearch.written(address.parse(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?Q?Gr=C3=BC=C3=9Fe?= x", "Grüße x"),
        (b"=?utf-8?q?a?= \t=?utf-8?q?b?=", "ab"),
        (b"a =?utf-8?q?b_c?= d", "a b c d"),
        (b"=?iso-8859-1?b?5Pb8?=", "äöü"),
        (b"=?utf-8?b?w6Q", "=?utf-8?b?w6Q"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "\ufffd\ufffd"),
        (b"=?nowhere?q?abc?=", "abc"),
        (b"=?utf-8?q?=ZZ=4?=", "=ZZ=4"),
        (b"=?utf-8?b?YWJj!!?=", "abc"),
        (b"gr\xfc", "gr\ufffd"),
        (b"=?=?=?=?", "=?=?=?=?"),
        (b"=?utf-8*de?q?x?=", "x"),
    ],
)
def test_encoded_words(value: bytes, expected: str) -> None:
    assert words.decode(value) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"aGVsbG8=", b"hello"),
        (b"aGVs\r\nbG8=\r\n", b"hello"),
        (b"aGVsbG8", b"hello"),
        (b"aGVsb", b"hel"),
        (b"aGVs*bG8=", b"hel"),
        (b"aGVsbG8=d29ybGQ=", b"hello"),
        (b"=", b""),
        (b"", b""),
    ],
)
def test_base64(data: bytes, expected: bytes) -> None:
    assert transfer.decode_base64(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a=3Db", b"a=b"),
        (b"a=\nb", b"ab"),
        (b"a= \t\r\nb", b"ab"),
        (b"a  \nb\r\n", b"a\r\nb\r\n"),
        (b"=c3=A4", b"\xc3\xa4"),
        (b"bad =ZZ =", b"bad =ZZ "),
        (b"bad ==\n41 =4=\n1 =4", b"bad =41 =41 "),
        (b"end  ", b"end"),
        (b"==41", b"=A"),
    ],
)
def test_quoted_printable(data: bytes, expected: bytes) -> None:
    assert transfer.decode_quoted_printable(data) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" Base64 (x)", Encoding.BASE64),
        (b"quoted-printable;x", Encoding.QUOTED_PRINTABLE),
        (b"7BIT", Encoding.IDENTITY),
        (b"x-uuencode", Encoding.UNKNOWN),
        (b"", Encoding.UNKNOWN),
    ],
)
def test_encoding_names(value: bytes, expected: Encoding) -> None:
    assert transfer.parse(value) is expected


def test_charset_names() -> None:
    assert charset.lookup(b"UTF-8") == charset.lookup(b"us-ascii") == "utf-8"
    assert charset.lookup(b"Latin1") == "iso8859-1"
    assert charset.lookup(b"x-sjis") == "shift_jis"
    for name in (b"rot13", b"hex", b"zlib", b"idna", b"undefined", b"nowhere", b"", b"a" * 100, b"\xff"):
        assert charset.lookup(name) is None
    assert charset.decode(b"a\xff\xfeb") == "a\ufffdb"


def test_casemap() -> None:
    assert casemap.normalise("Straße") == "STRAßE"
    assert casemap.normalise("é") == casemap.normalise("É") == "E\u0301"
    assert casemap.normalise("한") == "\u1112\u1161\u11ab"
    assert casemap.normalise("ﬁ") == "fi"
    assert casemap.normalise("\U0001d41a") == "a"  # mathematical bold
    for char in "\ua7b9\U00016e60\u32ff\U0001f110\U0001d15e":
        assert casemap.normalise(char) == char
    assert casemap.normalise("ς") == casemap.normalise("Σ")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Hello", ("HELLO", False)),
        (b"Re: Hello", ("HELLO", True)),
        (b"re [x] : [list] Fwd: Hello (fwd) (FWD) ", ("HELLO", True)),
        (b"[list] Hello", ("HELLO", False)),
        (b"[list]", ("[LIST]", False)),
        (b"[fwd: Re: Hello]", ("HELLO", True)),
        (b"=?utf-8?q?Re=3A_h=C3=A9llo?=\n  you", ("HE\u0301LLO YOU", True)),
        (b"Re:", ("", True)),
        (b"", ("", False)),
    ],
)
def test_base_subject(value: bytes, expected: tuple[str, bool]) -> None:
    assert subject.base(value) == expected


def test_crlf_and_wire() -> None:
    assert section.crlf(b"a\nb\r\nc\rd\r\r\n") == b"a\r\nb\r\nc\rd\r\r\n"
    assert section.wire(b"a\0\n") == b"a\x80\r\n"


def test_fields_of() -> None:
    block = b"A: 1\nB: 2\n 3\nC: 4\n\n"
    assert section.fields_of(block, (b"b", b"C")) == b"B: 2\r\n 3\r\nC: 4\r\n\r\n"
    assert section.fields_of(block, (b"b",), exclude=True) == b"A: 1\r\nC: 4\r\n\r\n"


@pytest.mark.parametrize("name", UGLY)
def test_part_tree_survives_the_cache(name: str) -> None:
    root = structure.parse(UGLY[name])
    data = partcodec.encode(root)
    again = partcodec.decode(data)
    assert again is not None
    assert partcodec.encode(again) == data
    assert again.body_virtual == root.body_virtual


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x01", b"\x01\x00", b"\x01" + b"\xff" * 40, b"\x01\x00\x00\x05" + bytes(5)]
)
def test_broken_cache_entries_are_no_tree(data: bytes) -> None:
    assert partcodec.decode(data) is None

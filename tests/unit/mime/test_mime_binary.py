"""BINARY: encodings undone, refused where the data are broken; and parts made base64 again."""

import pytest

from pydovecot.mime import asbase64, binary, structure, transfer
from pydovecot.mime.binary import Decoded, InvalidDataError, UnknownEncodingError
from pydovecot.model.section import Section, Text

ONE = Section((1,))


def body(encoding: bytes, data: bytes) -> bytes:
    message = b"Content-Transfer-Encoding: %b\n\n%b" % (encoding, data)
    return b"".join(binary.extract(message, None, ONE).chunks)


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"YWJj", b"abc"), (b"YW Jj\r\nYW\tJj\n", b"abcabc"), (b"YWI=", b"ab"), (b"YQ= \n=", b"a"),
        (b"YWI=\n\n  \n", b"ab"), (b"\n", b""), (b"AAAA", b"\0\0\0"),
    ],
)  # fmt: skip
def test_base64(data: bytes, want: bytes) -> None:
    assert body(b"base64", data) == want


@pytest.mark.parametrize(
    "data",
    [b"YWI=\nmore", b"YWJj*YWJj", b"YWJj====", b"=YWJj", b"YWI=\nYWI=", b"YWI", b"Y", b"YWJ\xa0j", b"YWJj\0"],
)
def test_what_is_no_base64(data: bytes) -> None:
    with pytest.raises(InvalidDataError):
        body(b"BASE64", data)


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"a=3Db\n", b"a=b\r\n"), (b"a=3db", b"a=b"), (b"a= \nb", b"ab"), (b"a=\r\nb", b"ab"),
        (b"a \t\nb", b"a\r\nb"), (b"a  ", b"a"), (b"a=00b", b"a\0b"), (b"a\r\n", b"a\r\n"),
        (b"x" + b" " * 90 + b"\n", b"x\r\n"), (b"a=" + b" " * 90 + b"\nb", b"ab"),
        (b"x" + b" " * 76 + b"y", b"x" + b" " * 76 + b"y"),
    ],
)  # fmt: skip
def test_quoted_printable(data: bytes, want: bytes) -> None:
    assert body(b"quoted-printable", data) == want


@pytest.mark.parametrize(
    "data", [b"a=zz", b"a=", b"a=3", b"a=  x", b"a\rb", b"a=\rb", b"a=3Gx", b"a \rb", b"x" + b" " * 77 + b"y"]
)
def test_what_is_no_quoted_printable(data: bytes) -> None:
    with pytest.raises(InvalidDataError):
        body(b"quoted-printable", data)


@pytest.mark.parametrize("encoding", [b"", b"8-bit", b'"7bit"', b"x-uuencode", b"base 64"])
def test_unknown_encodings(encoding: bytes) -> None:
    with pytest.raises(UnknownEncodingError):
        body(encoding, b"YWJj")


def test_the_last_encoding_counts_and_a_folded_one_is_read() -> None:
    """RFC 5322 2.2.3: a fold is white space."""
    fields = b"Content-Transfer-Encoding: 7bit\nX: y\nContent-Transfer-Encoding:\n base64\n\nYWJj"
    assert b"".join(binary.extract(fields, None, Section()).chunks) == (
        b"X: y\r\nContent-Transfer-Encoding: binary\r\n\r\nabc"
    )


def test_an_unknown_encoding_is_told_before_broken_data() -> None:
    message = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\n*\n"
        b"--b\nContent-Transfer-Encoding: x\n\n--b--\n"
    )
    with pytest.raises(UnknownEncodingError):
        binary.Sizes(message, structure.parse(message)).size(ONE)
    with pytest.raises(InvalidDataError):
        binary.extract(message, None, ONE)


def test_a_multipart_that_claims_an_encoding_is_whole() -> None:
    """Nothing was decoded, so nothing is said to be; and no octet is lost."""
    message = (
        b"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: quoted-printable\n\n"
        b"--b\n\na=3D\n--b--\n"
    )
    found = binary.extract(message, None, Section())
    assert b"".join(found.chunks) == message.replace(b"\n", b"\r\n")
    assert not found.raw


def test_nul_needs_a_literal8_even_in_a_header() -> None:
    message = b"Sub\0ject: x\n\nabc"
    found = binary.extract(message, None, Section(text=Text.TEXT))
    assert (found.raw, b"".join(found.chunks)) == (True, b"abc")
    assert binary.extract(message, None, Section(text=Text.HEADER)) == Decoded((b"Sub\x80ject: x\r\n\r\n",))


NESTED = (
    b"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: quoted-printable\n\nbefore\n"
    b"--b\nContent-Transfer-Encoding: base64\n\nYWJj\nYWJj\n"
    b"--b\nContent-Type: message/rfc822\n\nContent-Transfer-Encoding: quoted-printable\n\na=3D\n"
    b"--b\nContent-Type: multipart/mixed; boundary=c\nContent-Transfer-Encoding: base64\n\n--c\n\nx\n--c--\n"
    b"--b--\nbehind\n"
)


@pytest.mark.parametrize("path", [(), (1,), (2,), (2, 1), (3,), (3, 1), (4,), (1, 1)])
@pytest.mark.parametrize("text", [Text.ALL, Text.TEXT])
def test_sizes_are_those_of_what_is_sent(path: tuple[int, ...], text: Text) -> None:
    root = structure.parse(NESTED)
    wanted = Section(path, text)
    assert binary.Sizes(NESTED, root).size(wanted) == binary.extract(NESTED, root, wanted).size


def test_each_part_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    decode = binary._decoded

    def watched(data: bytes, encoding: transfer.Encoding) -> bytes:
        decoded.append(data)
        return decode(data, encoding)

    monkeypatch.setattr(binary, "_decoded", watched)
    sizes = binary.Sizes(NESTED, structure.parse(NESTED))
    assert [sizes.size(Section((number,))) for number in (1, 2, 3, 4)] == [6, 39, 17, 0]
    assert len(decoded) == 3


@pytest.mark.parametrize("offset", range(12))
@pytest.mark.parametrize("length", [0, 1, 3, 100])
def test_cut(offset: int, length: int) -> None:
    whole = Decoded((b"abc", b"", b"defg", b"hi"), raw=True)
    found = whole.cut(offset, length)
    assert b"".join(found.chunks) == b"abcdefghi"[offset : offset + length]
    assert found.raw


def test_as_base64_and_back() -> None:
    body = bytes(range(256)) * 300
    message = b"Content-Transfer-Encoding: binary\r\nSubject: x\r\n\r\n" + body
    converted = b"".join(asbase64.convert(message))
    assert max(map(len, converted.split(b"\r\n"))) == 76
    assert b"\r\n\r\n" in converted and not converted.endswith(b"\n")
    assert b"".join(binary.extract(converted, None, Section(text=Text.TEXT)).chunks) == body
    assert transfer.decode_base64(converted.partition(b"\r\n\r\n")[2]) == body


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Transfer-Encoding: 8bit\r\n",
        b"Content-Transfer-Encoding: binary\r\n (x)\r\n",
        b"Content-Transfer-Encoding: binary\r\nContent-Transfer-Encoding: 7bit\r\n",
        b"Content-Transfer-Encoding: binary\r\nContent-Type: message/rfc822\r\n",
        b"Content-Transfer-Encoding: binary\r\nContent-Type: multipart/mixed; boundary=x\r\n",
    ],
)
def test_left_as_it_is(header: bytes) -> None:
    message = header + b"\r\nabc\0"
    assert b"".join(asbase64.convert(message)) == message


def test_a_message_without_body_is_kept() -> None:
    message = b"Content-Transfer-Encoding: binary\r\nSubject: x\r\n"
    assert b"".join(asbase64.convert(message)) == message

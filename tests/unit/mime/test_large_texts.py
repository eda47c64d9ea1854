"""Texts decoded piece by piece are those that are decoded in one piece."""

import base64
import quopri
import random

import pytest

from pydovecot.mime import binary, charset, textsearch, transfer
from pydovecot.mime.textsearch import Needle
from pydovecot.mime.transfer import Encoding
from pydovecot.model.section import Section

TEXT = "Grüße aus Köln, 日本語, привет, €uro und so weiter; "


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PIECE", 11)
    monkeypatch.setattr(textsearch, "LARGE", 20)
    monkeypatch.setattr(binary, "LARGE", 20)


@pytest.mark.parametrize("encoding", [Encoding.IDENTITY, Encoding.BASE64, Encoding.QUOTED_PRINTABLE])
def test_pieces_are_the_whole(encoding: Encoding) -> None:
    choose = random.Random(3)
    for _ in range(300):
        bits = (b"=", b"=3D", b"=\r\n", b"\n", b"ab", b"YWJj", b"=E4", b"x\n", b"Zg==", b" y", b"-")
        data = b"".join(choose.choice(bits) for _ in range(choose.randrange(40)))
        start = choose.randrange(3)
        whole = transfer.decode(data[start:], encoding)
        assert b"".join(transfer.pieces(data, start, len(data), encoding)) == whole


def test_unknown_encodings_have_no_pieces() -> None:
    assert list(transfer.pieces(b"abc", 0, 3, Encoding.UNKNOWN)) == []


@pytest.mark.parametrize("name", ["utf-8", "utf-16", "gb18030", "euc_jis_2004", "utf-7"])
def test_charsets_of_pieces(name: str) -> None:
    data = TEXT.replace("ß", "s").replace("ü", "u").encode(name, "replace")
    pieces = [data[at : at + 3] for at in range(0, len(data), 3)]
    assert "".join(charset.decode_pieces(pieces, name)) == charset.decode(data, name)


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
def test_a_word_is_found_wherever_it_is(encoding: str) -> None:
    body = (TEXT * 9).encode()
    if encoding == "base64":
        body = base64.encodebytes(body)
    elif encoding == "quoted-printable":
        body = quopri.encodestring(body)
    head = f"Subject: x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
    message = head.encode() + body
    for word in ("grüße", "KÖLN", "日本", "ПРИВЕТ", "weiter; Gr", "€uro und so"):
        assert Needle(word).is_in_message(message, headers=False), word
        assert Needle(word).is_in_message(message, headers=True), word
    for word in ("grüssen", "subject", "日語"):
        assert not Needle(word).is_in_message(message, headers=False), word
    assert Needle("subject: x").is_in_message(message, headers=True)


def _binary(message: bytes) -> bytes | str:
    try:
        return b"".join(binary.extract(message, None, Section((1,))).chunks)
    except binary.InvalidDataError:
        return "invalid"


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
def test_binary_of_a_large_part(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = random.Random(4)
    bits = (
        (b"YWJj", b"YWJj\n", b" ", b"=3D", b"\r\n", b"=\n", b"Zg==", b"Z")
        if encoding != "8bit"
        else (b"a\n", b"\r\n")
    )
    for _ in range(300):
        chosen = bits[: choose.choice((2, 3, 6, 8))]
        body = b"".join(choose.choice(chosen) for _ in range(choose.randrange(30)))
        body += choose.choice((b"", b"Zg==", b"Zg==\n"))
        message = f"Content-Transfer-Encoding: {encoding}\n\n".encode() + body
        pieces = _binary(message)
        with monkeypatch.context() as patch:
            patch.setattr(binary, "LARGE", 1 << 20)
            assert pieces == _binary(message)

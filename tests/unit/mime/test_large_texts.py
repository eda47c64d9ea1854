"""Texts decoded piece by piece are those that are decoded in one piece."""

import base64
import quopri
import random

import pytest

from pydovecot.mime import charset, textsearch, transfer
from pydovecot.mime.textsearch import Needle
from pydovecot.mime.transfer import Encoding

TEXT = "Grüße aus Köln, 日本語, привет, €uro und so weiter; "


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PIECE", 11)
    monkeypatch.setattr(textsearch, "LARGE", 20)


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

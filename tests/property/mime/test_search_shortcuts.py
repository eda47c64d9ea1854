# ruff: noqa: E501 - one message on one line reads best
"""The shortcuts of text search never change its answer: they are compared with decoding everything."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pydovecot.mime import header, structure, textsearch
from pydovecot.mime.textsearch import Needle
from tests.support.mailgen import generate
from tests.support.scripts import SCRIPTS, WORDS
from tests.support.uglymail import UGLY, Generator

TYPES = [
    b"", b"Content-Type: text/plain\n", b"Content-Type: text/plain; charset=us-ascii\n", b"Content-Type: TEXT/HTML;\n\tcharset=x\n",
    b"Content-Type: text/plain garbage\n", b"Content-Type: text/plain; charset=utf-7\n", b"Content-Type: image/gif\n",
    b"Content-Type: text/plain; charset=\"hz\"\n", b"Content-Type: text/plain\nContent-Type: image/gif\n", b"content-type:text/plain\n",
    b"Content-Type: text/plain; charset*=us-ascii''utf-7\n", b"Content-Type: multipart/mixed; boundary=x\n",
    b"Content-Type: message/rfc822\n", b"Content-Type: text/plain; charset=cp037\n", b"Content-Type: text\n",
]  # fmt: skip
ENCODINGS = [
    b"", b"Content-Transfer-Encoding: 7bit\n", b"Content-Transfer-Encoding: 8BIT\n", b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: quoted-printable\n", b"Content-Transfer-Encoding: x-other\n", b"Content-Transfer-Encoding: 7bit\n x\n",
    b"content-transfer-encoding:quoted-printable\n", b"Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: x\n",
]  # fmt: skip
BODIES = [
    b"hello world\n", b"hel=\nlo w=6Frld\n", b"hel=  \r\nlo\n", b"aGVsbG8gd29ybGQ=\n", b"+AGgAZQ-llo world\n", b"~{VPND~} hello\n",
    b"--x\n\nhello\n--x\nContent-Type: image/gif\n\nworld\n--x--\nhello world\n", b"h\xc3\xa9llo world\n", b"\x1b$B$3$s\x1b(B hello\n",
    b"Subject: hello\n\nworld\n", b"=?utf-8?q?hello?=\n", b"",
]  # fmt: skip
NEEDLES = [
    "hello",
    "world",
    "hello world",
    "o w",
    "é",
    "h",
    "",
    "subject: h",
    "content-type",
    "x",
    "lo",
    "--x",
    "日",
    "=?utf",
    "he",
]


def slowly(needle: Needle, message: bytes, headers: bool) -> bool:
    """The answer without any shortcut."""
    if headers and needle.text in textsearch.header_text(message[: header.end(message)]):
        return True
    return needle._is_in_part(message, structure.parse(message), headers)


def check(message: bytes, word: str) -> None:
    needle = Needle(word)
    for headers in (True, False):
        assert needle.is_in_message(message, headers) is slowly(needle, message, headers)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(TYPES), st.sampled_from(ENCODINGS), st.sampled_from(BODIES), st.booleans(), st.sampled_from(NEEDLES)
)  # fmt: skip
def test_simple_messages(kind: bytes, encoding: bytes, body: bytes, crlf: bool, word: str) -> None:
    message = b"Subject: some hello\n" + kind + encoding + b"\n" + body
    check(message.replace(b"\n", b"\r\n") if crlf else message, word)


def test_every_script_and_word() -> None:
    for message in SCRIPTS.values():
        for word in WORDS:
            check(message, word)


def test_ugly_and_ordinary_mail() -> None:
    source = random.Random(3)
    made = Generator(3)
    ordinary = list(generate(3, 60))
    for message in [
        *UGLY.values(),
        *ordinary,
        *[made.mutate(mail) for mail in ordinary],
        *[made.structure() for _ in range(60)],
    ]:
        words = message.decode("latin-1").split() or [""]
        for word in [*source.sample(words, min(4, len(words))), "hello", "é"]:
            check(message, word)

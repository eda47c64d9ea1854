"""Messages of our own making, the same for the same seed: what tests and the benchmark fill mailboxes with.

    for body in generate(seed=1, count=50): ...     # bytes with CRLF

Every tenth or so is unusual: multipart with attachment, nested message, 8-bit text, encoded words, HTML
alternative, folded headers, missing Date, long lines, empty body, lines with dots.
"""

import base64
import quopri
import random
from collections.abc import Iterator
from email.utils import formatdate

_TEXT = (
    "harbour lantern meadow copper ticket window engine valley pencil orbit kettle marble thunder "
    "garden signal bridge walnut ribbon cellar summit anchor basket candle desert ember feather "
    "glacier hammer island jacket kernel ladder mirror needle oyster pepper quarry rocket saddle "
    "tunnel umbrella velvet wagon yellow zephyr autumn butter cloud driver eleven forest gravel "
    "hollow insect jungle"
)
_WORDS = tuple(_TEXT.split())
_NAMES = ("Ada Brook", "Boris Kant", "Chiara Luz", "Dmitri Orlov", "Eve Stone", "Fatma Kaya", "Gustav Holm")
_ACCENTS = ("Łódź", "naïve", "façade", "Größe", "señor", "Привет", "東京")
EPOCH = 1_600_000_000
_STEP = 4_321


class Generator:
    """Makes messages one after the other; the seed decides everything."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._number = 0
        self._seed = seed

    def words(self, count: int) -> str:
        return " ".join(self._random.choices(_WORDS, k=count))

    def paragraph(self, lines: int) -> str:
        return "".join(f"{self.words(9).capitalize()}.\r\n" for _ in range(lines))

    def message(self) -> bytes:
        """The next message, CRLF line ends."""
        self._number += 1
        kinds = (
            self._plain,
            self._plain,
            self._plain,
            self._alternative,
            self._attachment,
            self._quoted,
            self._eight_bit,
            self._nested,
            self._odd,
        )
        kind = self._random.choices(kinds, weights=(6, 4, 4, 4, 3, 2, 1, 1, 1))[0]
        return kind()

    def big(self, size: int) -> bytes:
        """A message with one base64 attachment of about `size` octets."""
        blob = self._random.randbytes(size * 57 // 78)
        part = base64.encodebytes(blob).replace(b"\n", b"\r\n")
        return self._multipart(
            "mixed",
            [
                b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + self.paragraph(3).encode(),
                b"Content-Type: application/octet-stream; name=big.bin\r\n"
                b"Content-Transfer-Encoding: base64\r\n"
                b"Content-Disposition: attachment; filename=big.bin\r\n\r\n" + part,
            ],
        )

    def _head(self, *, subject: str | None = None) -> bytes:
        sender, target = self._random.sample(_NAMES, 2)
        stamp = formatdate(EPOCH + self._number * _STEP)
        lines = [
            f"Return-Path: <{_address(sender)}>",
            f"Received: from relay{self._random.randrange(9)}.example.net (relay.example.net [192.0.2.7])",
            f"\tby mx.example.org with ESMTPS id {self._random.getrandbits(48):012x}",
            f"\tfor <{_address(target)}>; {stamp}",
            f"From: {sender} <{_address(sender)}>",
            f"To: {target} <{_address(target)}>, list-{self._random.randrange(5)}@example.org",
            f"Subject: {subject or self.words(5).capitalize()}",
            f"Date: {stamp}",
            f"Message-ID: <{self._seed}.{self._number}.{self._random.getrandbits(64):016x}@example.net>",
        ]
        if self._number > 1 and self._random.random() < 0.4:
            lines.append(f"In-Reply-To: <{self._seed}.{self._random.randrange(1, self._number)}@example.net>")
        lines.append("MIME-Version: 1.0\r\n")
        return "\r\n".join(lines).encode()

    def _plain(self) -> bytes:
        body = self.paragraph(self._random.randrange(3, 60))
        return self._head() + b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + body.encode()

    def _quoted(self) -> bytes:
        text = f"{self._random.choice(_ACCENTS)} {self.words(6)}\r\n" * self._random.randrange(2, 20)
        body = quopri.encodestring(text.replace("\r\n", "\n").encode()).replace(b"\n", b"\r\n")
        word = base64.b64encode(f"{self._random.choice(_ACCENTS)} {self.words(2)}".encode()).decode()
        return (
            self._head(subject=f"=?utf-8?B?{word}?=\r\n =?iso-8859-1?Q?_caf=E9?=")
            + b"Content-Type: text/plain; charset=utf-8\r\n"
            + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            + body
        )

    def _eight_bit(self) -> bytes:
        text = f"{self._random.choice(_ACCENTS)}: {self.words(5)}\r\n" * 5
        return (
            self._head()
            + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + text.encode()
        )

    def _multipart(self, kind: str, parts: list[bytes]) -> bytes:
        boundary = f"=_{self._random.getrandbits(64):016x}".encode()
        head = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (kind.encode(), boundary)
        inner = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts)
        return self._head() + head + inner + b"--%s--\r\n" % boundary

    def _alternative(self) -> bytes:
        text = self.paragraph(self._random.randrange(3, 20))
        rows = "".join(f"<p>{line}</p>\r\n" for line in text.splitlines())
        html = f"<html><body>\r\n{rows}</body></html>\r\n"
        return self._multipart(
            "alternative",
            [
                b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + text.encode(),
                b"Content-Type: text/html; charset=us-ascii\r\n\r\n" + html.encode(),
            ],
        )

    def _attachment(self) -> bytes:
        blob = self._random.randbytes(self._random.randrange(2_000, 20_000))
        name = f"{self._random.choice(_WORDS)}.pdf"
        return self._multipart(
            "mixed",
            [
                b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + self.paragraph(4).encode(),
                f'Content-Type: application/pdf; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
                f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'.encode()
                + base64.encodebytes(blob).replace(b"\n", b"\r\n"),
            ],
        )

    def _nested(self) -> bytes:
        return self._multipart(
            "mixed",
            [
                b"Content-Type: text/plain\r\n\r\n" + self.paragraph(2).encode(),
                b"Content-Type: message/rfc822\r\n\r\n" + self._alternative(),
            ],
        )

    def _odd(self) -> bytes:
        """Things that break naive code: dots at line starts, a long line, an empty body, no Date."""
        choice = self._random.randrange(4)
        if choice == 0:
            return self._head() + b"\r\n.\r\n..two\r\n.dot first\r\n" + self.paragraph(2).encode() + b".\r\n"
        if choice == 1:
            return self._head() + b"\r\n" + self.words(900).encode() + b"\r\n"
        if choice == 2:
            return self._head() + b"\r\n"
        return f"From: {_address(_NAMES[0])}\r\nSubject: {self.words(3)}\r\n\r\nno date\r\n".encode()


def _address(name: str) -> str:
    return f"{name.split()[0].lower()}@example.com"


def generate(seed: int, count: int) -> Iterator[bytes]:
    """`count` messages with CRLF line ends."""
    generator = Generator(seed)
    for _ in range(count):
        yield generator.message()

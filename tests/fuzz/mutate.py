# ruff: noqa: E501 - tables of many short things
"""Messages broken the way senders, gateways and disks break them: seeded mutations of a pool of messages."""

import random
import re
from collections.abc import Callable, Sequence

_BOUNDARY = re.compile(rb'boundary="?([^"\s;]{1,70})', re.IGNORECASE)
_CHARSETS = (
    b"utf-8", b"UTF8", b"iso-8859-1", b"iso-8859-15", b"windows-1252", b"us-ascii", b"iso-2022-jp", b"shift_jis",
    b"euc-jp", b"big5", b"euc-kr", b"koi8-r", b"windows-1251", b"utf-7", b"iso-8859-8-i", b"x-unknown", b"", b'"',
)  # fmt: skip
_ENCODINGS = (
    b"base64", b"quoted-printable", b"7bit", b"8bit", b"binary", b"BASE64", b"x-uuencode", b"quoted_printable", b"",
    b"base64 (c)", b"Quoted-Printable;", b'"base64"', b"8 bit",
)  # fmt: skip
_TYPES = (
    b"text/plain", b"text/html; charset=utf-8", b"message/rfc822", b"multipart/mixed; boundary=x",
    b"multipart/digest; boundary=xy", b'multipart/alternative; boundary="x"', b"multipart/mixed", b"text", b"/",
    b"application/octet-stream; name*0*=utf-8''%e4; name*1=b", b"message/partial", b"message/delivery-status",
    b"TEXT/PLAIN (c) ; charset = (d) utf-8", b"multipart/mixed; boundary=", b"image/png; name==?utf-8?q?a?=",
    b"multipart/related; boundary=\"a b\" ; type=text/html", b"text/plain; charset*=us-ascii''utf-8", b"message/global",
    b"message/external-body; access-type=x", b"text/plain; format=flowed; delsp", b"multipart/report; boundary=x--",
)  # fmt: skip
_VALUES = (
    b"a@b", b"<a@b>", b"A B <a@b>, c", b'"A, B" <a@b>', b"(c(d)e) a@b", b"g: a@b, c@d;", b"=?utf-8?q?=c3=a4?=",
    b"=?utf-8?b?w6Q=?= =?utf-8?b?w6Q?=", b"=?utf-8?q?a", b"=?iso-8859-1?q?=e4 b?=", b"\xe4\xf6", "äö€".encode(),
    b"Tue, 3 Mar 2020 10:11:12 +0100", b"3 Mar 20 10:11", b"Mon, 99 Foo 2020", b"", b" ", b"\n ", b"\n\t x\n  y",
    b"<a@b> <c@d>", b"Re: x", b"[l] fwd: x (fwd)", b"x\0y", b"\\", b'"', b'""', b"a" * 300, b"attachment; filename=a",
    b'inline; filename="a\\"b"; filename*=utf-8\'\'%e2%82%ac', b"en, de", b"1.0", b"x (", b"x\ry", b"a@b@c, <d", b";",
)  # fmt: skip
_NAMES = (
    b"From", b"To", b"Cc", b"Bcc", b"Reply-To", b"Sender", b"Subject", b"Date", b"Message-ID", b"In-Reply-To",
    b"References", b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding", b"Content-Disposition",
    b"Content-ID", b"Content-Description", b"Content-Language", b"Content-Location", b"Content-MD5", b"X-Foo",
    b"Received", b"content-type", b"SUBJECT", b"Content-", b"X Y", b"", b"Resent-From",
)  # fmt: skip
_BITS = (
    b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"\n\r\n", b" ", b"\t", b"\n ", b"\n\t", b"--", b"\n--", b"\0",
    b"\xff", b"\xc3", b"\xe2\x82", b"=", b"=\n", b"= \r\n", b"=3", b"==", b"=?", b"?=", b"(", b")", b'"', b"\\", b"<",
    b">", b",", b";", b":", b"@", b"*0*=", b"''", b"\x1b$B", b"\x1b(B", b"\x80", b"\x7f", b"&", b"\xef\xbb\xbf", b".",
)  # fmt: skip
MAX_MESSAGE = 60_000  # octets of a mutated message: what is behind seldom matters


class Mutator:
    """Messages without end; the same seed and pool make the same ones."""

    def __init__(self, seed: int, pool: Sequence[bytes], *, nul: bool = True) -> None:
        self._random = random.Random(seed)
        self._pool = pool
        self._nul = nul
        self._kinds: tuple[Callable[[bytes], bytes], ...] = (
            self._cut, self._double, self._splice, self._insert, self._insert, self._overwrite, self._field,
            self._field, self._field, self._remove_line, self._swap_lines, self._line_ends, self._boundary,
            self._boundary, self._charset, self._encoding, self._type, self._type, self._fold, self._unfold,
            self._blank_line, self._nest, self._wrap, self._long_line, self._glue, self._recase,
        )  # fmt: skip

    def message(self) -> bytes:
        """One of the pool, changed one to six times."""
        rnd = self._random
        message = rnd.choice(self._pool)[:MAX_MESSAGE]
        for _ in range(rnd.choice((1, 1, 2, 3, 4, 6))):
            message = rnd.choice(self._kinds)(message)[: 2 * MAX_MESSAGE]
        if not self._nul:
            message = message.replace(b"\0", b"0")
        return message or b"\n"

    def _near_top(self, data: bytes) -> int:
        """An offset; half of them in the first kilobytes, where headers are."""
        limit = len(data)
        if self._random.random() < 0.5:
            limit = min(limit, 3000)
        return self._random.randint(0, limit)

    def _cut(self, data: bytes) -> bytes:
        at = self._near_top(data)
        if self._random.random() < 0.3:
            return data[:at]
        return data[:at] + data[at + self._random.choice((1, 1, 2, 10, 100, 1000)) :]

    def _double(self, data: bytes) -> bytes:
        at = self._near_top(data)
        end = at + self._random.choice((1, 10, 100, 1000))
        return data[:end] + data[at:end] + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._pool)
        return data[: self._near_top(data)] + other[self._near_top(other) :]

    def _insert(self, data: bytes) -> bytes:
        at = self._near_top(data)
        return data[:at] + self._random.choice(_BITS) + data[at:]

    def _overwrite(self, data: bytes) -> bytes:
        at = self._near_top(data)
        bit = self._random.choice(_BITS)
        return data[:at] + bit + data[at + len(bit) :]

    def _line_starts(self, data: bytes) -> list[int]:
        limit = min(len(data), 4000) if self._random.random() < 0.7 else len(data)
        return [0, *(found.end() for found in re.finditer(rb"\n", data[:limit]))]

    def _field(self, data: bytes) -> bytes:
        """A field (or its double) at the start of some line."""
        rnd = self._random
        at = rnd.choice(self._line_starts(data)[:30])
        colon = rnd.choice((b": ", b": ", b": ", b":", b" : ", b"\t:\t", b":  ", b":\n ", b" "))
        return data[:at] + rnd.choice(_NAMES) + colon + rnd.choice(_VALUES) + b"\n" + data[at:]

    def _remove_line(self, data: bytes) -> bytes:
        starts = self._line_starts(data)
        index = self._random.randrange(len(starts))
        end = starts[index + 1] if index + 1 < len(starts) else len(data)
        return data[: starts[index]] + data[end:]

    def _swap_lines(self, data: bytes) -> bytes:
        starts = self._line_starts(data)
        if len(starts) < 3:
            return data
        index = self._random.randrange(len(starts) - 2)
        a, b, c = starts[index : index + 3]
        return data[:a] + data[b:c] + data[a:b] + data[c:]

    def _line_ends(self, data: bytes) -> bytes:
        """All of them, or those of a stretch, in another form."""
        rnd = self._random
        start, end = 0, len(data)
        if rnd.random() < 0.6:
            start = self._near_top(data)
            end = start + rnd.choice((10, 100, 1000))
        part = (
            data[start:end]
            .replace(b"\r\n", b"\n")
            .replace(b"\n", rnd.choice((b"\n", b"\r\n", b"\r", b"\r\r\n")))
        )
        return data[:start] + part + data[end:]

    def _boundary(self, data: bytes) -> bytes:
        """A boundary line more, of a boundary that is there or almost; or one that is another's prefix."""
        rnd = self._random
        names = _BOUNDARY.findall(data) or [b"x"]
        name = rnd.choice(names)
        if rnd.random() < 0.25:
            other = rnd.choice(names)
            return data.replace(name, rnd.choice((other, other + b"a", other[:-1], name[:2], name + b"--")))
        line = b"--" + name + rnd.choice((b"", b"", b"--", b"--", b" ", b"-", b"--x", b"\t\r"))
        at = rnd.choice(self._line_starts(data))
        return data[:at] + line + rnd.choice((b"\n", b"\n", b"\r\n", b"", b"\n\n")) + data[at:]

    def _replace_some(self, data: bytes, pattern: bytes, choices: Sequence[bytes]) -> bytes:
        found = list(re.finditer(pattern, data, re.IGNORECASE))
        if not found:
            return data
        chosen = self._random.choice(found)
        return data[: chosen.start(1)] + self._random.choice(choices) + data[chosen.end(1) :]

    def _charset(self, data: bytes) -> bytes:
        if self._random.random() < 0.3:
            return self._replace_some(data, rb"=\?([^?\s]*)\?", _CHARSETS)
        return self._replace_some(data, rb'charset="?([^"\s;]*)', _CHARSETS)

    def _encoding(self, data: bytes) -> bytes:
        if self._random.random() < 0.3:
            return self._replace_some(
                data, rb"=\?[^?\s]*\?([^?]*)\?", (b"q", b"b", b"B", b"x", b"", b"qq", b"base64")
            )
        return self._replace_some(data, rb"content-transfer-encoding: *([^\r\n]*)", _ENCODINGS)

    def _type(self, data: bytes) -> bytes:
        return self._replace_some(data, rb"content-type: *([^\r\n]*)", _TYPES)

    def _fold(self, data: bytes) -> bytes:
        """A line end with odd white space behind it, in the middle of something."""
        at = min(self._near_top(data), 2000)
        fold = self._random.choice(
            (b"\n ", b"\n\t", b"\r\n ", b"\n \n ", b"\n  \t ", b" \n ", b"\r ", b"\n \r\n")
        )
        return data[:at] + fold + data[at:]

    def _unfold(self, data: bytes) -> bytes:
        return re.sub(rb"\r?\n[ \t]+", b"", data, count=self._random.choice((1, 3, 0)))

    def _blank_line(self, data: bytes) -> bytes:
        """The empty line behind a header goes, or becomes another."""
        found = list(re.finditer(rb"\n(\r?\n)", data))
        if not found:
            return data
        chosen = self._random.choice(found[:5])
        with_what = self._random.choice((b"", b"", b" \n", b"\r\n", b"\n", b"\t\n", b"\n\n", b"\r\r\n"))
        return data[: chosen.start(1)] + with_what + data[chosen.end(1) :]

    def _nest(self, data: bytes) -> bytes:
        """Some message inside, behind a boundary of this one."""
        rnd = self._random
        names = _BOUNDARY.findall(data) or [b"x"]
        at = rnd.choice(self._line_starts(data))
        inner = rnd.choice(self._pool)[: rnd.choice((200, 1000, 5000))]
        head = rnd.choice(
            (b"Content-Type: message/rfc822\n\n", b"Content-Type: multipart/digest; boundary=x\n\n--x\n\n")
        )
        return data[:at] + b"--" + rnd.choice(names) + b"\n" + head + inner + data[at:]

    def _wrap(self, data: bytes) -> bytes:
        """The message as a part of another."""
        name = self._random.choice((b"x", b"xy", b"b b", *_BOUNDARY.findall(data)[:2]))
        kind = self._random.choice((b"mixed", b"digest", b"alternative", b"report"))
        start = b'Subject: outer\nContent-Type: multipart/%b; boundary="%b"\n\n--%b\n' % (kind, name, name)
        inner = self._random.choice((b"", b"\n", b"Content-Type: message/rfc822\n\n"))
        return start + inner + data + self._random.choice((b"", b"\n--" + name + b"--\n", b"\n--" + name))

    def _long_line(self, data: bytes) -> bytes:
        at = self._near_top(data)
        bit = self._random.choice(
            (b"a", b" ", b"a ", b"\xc3\xa4", b"=3D", b"a@b, ", b"=?utf-8?q?a?= ", b"(", b"--")
        )
        return data[:at] + bit * (self._random.choice((80, 1000, 9000)) // len(bit)) + data[at:]

    def _glue(self, data: bytes) -> bytes:
        """Without its header, or without its body."""
        head, middle, body = data.partition(b"\n\n")
        return body if self._random.random() < 0.3 else head + middle[: self._random.randint(0, 2)]

    def _recase(self, data: bytes) -> bytes:
        at = self._near_top(data)
        return data[:at] + data[at : at + 200].swapcase() + data[at + 200 :]

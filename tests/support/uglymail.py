# ruff: noqa: E501 - one message on one line reads best
"""Mail with every class of trouble that parsers meet: a hand-written collection, and a seeded generator.

Nothing here is real mail. `UGLY` maps a name to a message; `recorded answers` of them are in
tests/unit/mime/ugly.json. `Generator` makes as many others as wanted.
"""

import random

MULTIPART = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"


def _crlf(message: bytes) -> bytes:
    return message.replace(b"\n", b"\r\n")


def _nested(depth: int, kinds: str) -> bytes:
    out = b"Subject: deep\n"
    for level in range(depth):
        if kinds[level % len(kinds)] == "m":
            out += b'Content-Type: multipart/mixed; boundary="b%d;"\n\n--b%d;\n' % (level, level)
        else:
            out += b"Content-Type: message/rfc822\n\n"
    return out + b"Content-Type: text/plain\n\nhello\n"


_TWO_PARTS = (
    b"From: Ann <ann@example.org>\nTo: bob@example.net\nSubject: two parts\nDate: Tue, 3 Mar 2020 10:11:12 +0100\n"
    b'Message-ID: <1@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/alternative;\n\tboundary="=_b"\n\n'
    b"preamble\n--=_b\nContent-Type: text/plain; charset=utf-8; format=flowed\n\nhello\nworld\n"
    b'--=_b\nContent-Type: text/html; charset="utf-8"\nContent-Transfer-Encoding: quoted-printable\n'
    b'Content-Disposition: inline; filename="a b.html"\nContent-ID: <c@d>\n\n<b>h=C3=A9llo</b>=\n\n--=_b--\nepilogue\n'
)
_FORWARDED = (
    b"From: a@b\nSubject: fwd\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\ntext\n--o\n"
    b'Content-Type: message/rfc822\nContent-Description: the inner one\n\nFrom: "In, Ner" <i@n>\nSubject: inner\n'
    b"X-Foo: 1\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=i\n\n--i\nContent-Type: text/html\n\n<p>\n"
    b"--i--\n--o\nContent-Type: message/rfc822\n\nSubject: second\n\nbody of second\n--o--\n"
)

UGLY: dict[str, bytes] = {
    "plain": b"From: a@b.c\nTo: d@e.f\nSubject: hi\nDate: Mon, 1 Jan 2001 00:00:00 +0000\n\nbody\n",
    "plain-crlf": _crlf(b"From: a@b.c\nSubject: hi\n\nbody\n.\n..\n"),
    "mixed-line-ends": b"From: a@b.c\r\nSubject: hi\nX: y\r\n\nbody\r\nmore\nbare\rcr\r\n",
    "no-last-newline": b"Subject: x\n\nbody",
    "ends-with-cr": b"Subject: x\n\nbody\r",
    "header-only": b"Subject: x\nFrom: a@b\n",
    "header-without-newline": b"Subject: x",
    "only-empty-line": b"\n",
    "only-crlf": b"\r\n",
    "starts-with-empty-line": b"\nSubject: body really\n\ntext\n",
    "starts-with-blank": b" leading: x\nSubject: y\n\nb\n",
    "blank-line-is-folding": b"Subject: x\nOrganization: y\n \nstill header\n\nbody\n",
    "no-colon-line": b"From a@b Mon Jan 1\nSubject: x\nnocolon\nTo: y@z\n\nb\n",
    "blank-before-colon": b"Subject : spaced\nFrom\t: q@r\n: empty name\n\nb\n",
    "repeated-fields": b"Subject: one\nSubject: two\nTo: a@b\nTo: c@d\nDate: x\nDate: y\nMessage-ID: <1>\nMessage-ID: <2>\n\nb\n",
    "folded": b"Subject: one\n two\n\tthree\nTo: a@b,\n c@d\nMessage-ID:\n <x@y>\nDate:  \n \n Mon, 1 Jan 2001 00:00:00 +0000\n\nb\n",
    "subject-blanks": b"Subject:   a  b\t\tc  \nX-Empty:\nIn-Reply-To:   \n\nb\n",
    "subject-8bit": 'Subject: grüße "quoted" \\back\nFrom: jörg <j@x>\n\nb\n'.encode(),
    "subject-escapes": b'Subject: "a""b""c"\nMessage-ID: """"\n\nb\n',
    "nul-bytes": b'Subject: a\0b\nFrom: "a\0b" <c@d>\nContent-Type: text/plain; name="x\0y"\n\nbo\0dy\n',
    "two-parts": _TWO_PARTS,
    "two-parts-crlf": _crlf(_TWO_PARTS),
    "forwarded": _FORWARDED,
    "forwarded-crlf": _crlf(_FORWARDED),
    "digest": b"Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: one\n\n1\n--d\nContent-Type: text/plain\n\nplain\n--d--\n",
    "multipart-without-boundary": b"Content-Type: multipart/mixed\n\n--x\n\na\n--x--\n",
    "multipart-empty": MULTIPART,
    "multipart-no-parts": MULTIPART + b"just text\n",
    "multipart-never-closed": MULTIPART + b"--x\n\na\n--x\nContent-Type: text/html\n\nb",
    "multipart-empty-parts": MULTIPART + b"--x\n--x\n\n--x\n--x--\n",
    "boundary-at-end": MULTIPART + b"--x\n\na\n--x",
    "boundary-at-end-lf": MULTIPART + b"--x\n\na\n--x\n",
    "boundary-trailing-blanks": MULTIPART + b"--x \t\n\na\n--x--  \nepilogue\n",
    "boundary-prefix": b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=xy\n\n--xy\n\na\n--xy--\n--x\n\nb\n--x--\n",
    "boundary-dashes": b'Content-Type: multipart/mixed; boundary="a--"\n\n--a--\nContent-Type: multipart/mixed; boundary="a----"\n\n--a----\n\nbody\n--a------\n\nhtml\n--a----',
    "boundary-same-nested": MULTIPART
    + b"--x\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x--\n\nb\n--x--\n",
    "boundary-closes-outer": b"Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\na\n--o\n\nb\n--o--\n",
    "boundary-in-header": MULTIPART
    + b"--x\nContent-Type: text/html\n--x\nContent-Type: message/rfc822\n--x\nContent-Type: message/rfc822\n\n--x\nContent-Type: message/rfc822\n\nSubject: cut\n--x--\n",
    "boundary-long": b"Content-Type: multipart/mixed; boundary="
    + b"b" * 90
    + b"\n\n--"
    + b"b" * 90
    + b"\n\na\n--"
    + b"b" * 80
    + b"\n\nb\n",
    "boundary-quoted-odd": b'Content-Type: multipart/mixed; boundary="a b;(c)"\n\n--a b;(c)\n\na\n--a b;(c)--\n',
    "boundary-continued": b"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\na\n--ab--\n",
    "epilogue-boundary": MULTIPART + b"--x\n\na\n--x--\nepilogue\n--x\n\nnot a part\n",
    "no-mime-version": b"Subject: x\nContent-Transfer-Encoding: base64\nContent-ID: <a>\n\nYQ==\n",
    "mime-version-only": b"MIME-Version: 1.0\nContent-Transfer-Encoding: 8BIT\nContent-Disposition: attachment\n\nb\n",
    "type-spelling": b"Content-Type: TEXT/PLAIN; Charset=US-ASCII\n\nb\n",
    "type-broken": b"Content-Type: text\n\nb\n",
    "type-garbage": b"Content-Type: text/plain charset=utf-8\n\nb\n",
    "type-comments": b"Content-Type: (a) text (b) / (c) html (d) ; (e) charset (f) = (g) utf-8 (h)\n\nb\n",
    "type-rfc2231": b"Content-Type: application/pdf; name*0*=utf-8'en'a%20; name*1=b%; name*2*=%41; x*1=y; z*=utf-8''q\n\nb\n",
    "type-bad-params": b'Content-Type: text/plain; =x; b=2; c; d=; name==?utf-8?b?abc=?=; charset="unclosed\n\nb\n',
    "type-many-params": b"Content-Type: text/plain"
    + b"".join(b";p%d=%d" % (n, n) for n in range(40))
    + b"\n\nb\n",
    "disposition-twice": b"MIME-Version: 1.0\nContent-Disposition: inline\nContent-Disposition: attachment; filename=x\nContent-Disposition: late; a=b\n\nb\n",
    "language-location-md5": b"MIME-Version: 1.0\nContent-Language: de, en-GB ,fr\nContent-Location: http://x/\n y\nContent-MD5: Q==\n\nb\n",
    "rfc822-top": b"Content-Type: message/rfc822\n\nSubject: inner\n\nb\n",
    "rfc822-chain": b"Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: c\n\nb\n",
    "rfc822-empty": MULTIPART + b"--x\nContent-Type: message/rfc822\n\n--x--\n",
    "rfc822-base64": MULTIPART
    + b"--x\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA==\n--x--\n",
    "deep-multipart": _nested(104, "m"),
    "deep-rfc822": _nested(104, "r"),
    "deep-both": _nested(104, "mr"),
    "addresses": b'From: "Last, First" <l@f>, (c) x@y (comment), <@r1,@r2:u@v>, a.b . c@d\n'
    b'To: group: a@b, "q" <c@d>; , undisclosed-recipients:;\nCc: nobody, <>, <a@>, a@b@c, "unclosed <x@y>\n'
    b"Bcc: a..b@c, .x@y, x.@y, [1.2]@x, u@[1.2.3.4], user name only\nSender: a b c\nReply-To: ,;<\n\nb\n",
    "addresses-broken": b'From: ))<a@b>\nTo: (unclosed a@b\nCc: a@b, (open\nBcc: "x\\"y\\\\" <m@n>, =?utf-8?q?e?= <e@f>\nSender: @\n'
    b"Reply-To: < a @ b . c >\n\nb\n",
    "date-odd": b"Date: 1 jan 99 1:02 PST (x)\n\nb\n",
    "date-broken": b"Date: yesterday\n\nb\n",
    "encoded-words": b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?b?5Pb8?= =?x?q?broken\nFrom: =?utf-8?q?J=C3=B6rg?= <j@x>\n\nb\n",
    "base64-text": b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nR3LDvMOfZSBhdXMgS8O2bG4h\nCg==\ntrailing\n",
    "qp-text": b"Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nK=F6ln =\nam Rhein=20\nbad =ZZ = x=\n",
    "long-line": b"Subject: "
    + b"x" * 5000
    + b"\nTo: "
    + b", ".join(b"u%d@h" % n for n in range(300))
    + b"\n\n"
    + b"y" * 20000
    + b"\n",
    "names-with-nul": b"Date\0x: Mon, 1 Jan 2001 00:00:00 +0000\nSubject\0: s\nTo \0: t\nContent-Type\0: multipart/mixed; boundary=x\n\n--x\n\na\n--x--\n",
    "longer-than-a-buffer": b"MIME-Version: 1.0\nSubject: " + b"s" * 9000 + b"\nMessage-ID:  " + b"m" * 9000 + b"\nIn-Reply-To:\t" + b"i" * 9000
    + b"\nDate: d" + b"d" * 5000 + b" " + b"d" * 5000 + b"\nContent-Location: " + b"l" * 8190 + b"\nBcc" + b" " * 9000 + b": far@away\n\nb\n",
    "type-skipped-octets": b"Content-Type: text/plain; x=1; " + b"/" * 126 + b"; y=2\nContent-Disposition: inline; x=1; " + b"/" * 128 + b"; y=2\n\nb\n",
    "type-too-many-params": b"Content-Type: text/plain" + b"; p=1" * 127 + b"; last=1; late=1\n\nb\n",
    "boundary-longer-at-the-end": b"Content-Type: multipart/mixed; boundary=a---\n\n--a---\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=a--\n\n--a----",
    "many-fields": b"".join(b"X-F%d: %d\n" % (n, n) for n in range(500)) + b"Subject: last\n\nb\n",
}

_BOUNDARIES = (b"x", b"xy", b"x--", b"b b", b"longer-boundary_1")
_FIELDS = (
    b"Subject: s", b"From: a@b", b"X-Foo: bar\n baz", b"nocolon", b"To: x", b" leading", b"Subject : q",
    b"From\t: q@r", b": empty", b"Subject", b"subject: \n \n q", b"x-foo:  \n\t", b"Content-ID: <a>",
    b"Content-Disposition: attachment; filename=x",
)  # fmt: skip
_ADDRESS_BITS = (
    b"a", b"b.c", b"@", b"@", b"<", b">", b"<a@b>", b"x@y", b",", b",", b":", b";", b'"', b'"q r"', b'"q\\"r"',
    b"(", b")", b"(c)", b"(c \\) d)", b"[", b"]", b"[1.2]", b"\\", b".", b"..", b" ", b" ", b"  ", b"\t", b"\n ",
    b"=?utf-8?q?x?=", b"\xc3\xa4", b"grp: a@b, c@d;", b"<@r,@s:u@v>", b"Name <n@m>", b'"Last, First" <l@f>',
    b"\x00", b"\x7f", b"'", b"a@b (comment)", b"undisclosed-recipients:;", b"<>", b"a b c",
)  # fmt: skip
_PARAM_BITS = (
    b"text/plain", b"multipart/mixed", b"a", b"name", b"charset", b"boundary", b"*", b"*0", b"*1", b"*0*", b"*1*",
    b"*2", b"*00", b"=", b"=", b"=", b";", b";", b";", b'"', b'"q r"', b'"q\\"r"', b"(c)", b"(", b")", b"/", b" ",
    b" ", b"\n ", b"\t", b"\\", b"'", b"utf-8''%20x", b"=?utf-8?q?x?=", b"\xc3\xa4", b"\x00", b",", b"@", b"x",
    b"inline", b"attachment", b"base64", b"name*0=x", b"; name*1=y", b'; a="b"', b"; charset=us-ascii", b"[",
)  # fmt: skip
_ADDRESS_FIELDS = (b"From", b"To", b"Cc", b"Reply-To", b"Sender", b"Bcc", b"To", b"Subject", b"Date",
                   b"In-Reply-To", b"Message-ID", b"Subject")  # fmt: skip
_CONTENT_FIELDS = (b"Type", b"Type", b"Disposition", b"Disposition", b"Transfer-Encoding", b"Language", b"ID",
                   b"Description", b"Location", b"MD5", b"ID")  # fmt: skip


class Generator:
    """Broken messages without end; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def structure(self) -> bytes:
        """Boundaries, headers and texts in senseless order."""
        rnd = self._random
        lines = self._header()
        if rnd.random() < 0.95:
            lines.append(b"")
        for _ in range(rnd.randint(0, 25)):
            kind = rnd.random()
            if kind < 0.35:
                tail = rnd.choice((b"", b"", b"--", b"--", b" ", b"z", b"--z"))
                lines.append(b"--" + rnd.choice(_BOUNDARIES) + tail)
            elif kind < 0.6:
                lines += self._header()
            elif kind < 0.8:
                lines.append(b"")
            else:
                lines.append(rnd.choice((b"text", b"--", b"-", b"--other", b"a: b", "tëxt".encode(), b" x")))
        ends = rnd.choice(((b"\n",), (b"\r\n",), (b"\n", b"\r\n")))
        out = b""
        for line in lines[:-1]:
            end = rnd.choice(ends)
            out += line.replace(b"\n", end) + end
        out += lines[-1] + (rnd.choice(ends) if rnd.random() < 0.6 else b"")
        return out or b"\n"

    def _header(self) -> list[bytes]:
        rnd = self._random
        lines: list[bytes] = []
        kind = rnd.random()
        if kind < 0.45:
            subtype = rnd.choice((b"mixed", b"digest", b"alternative"))
            fold = rnd.choice((b" ", b"\n\t"))
            lines.append(
                b'Content-Type: multipart/%b;%bboundary="%b"' % (subtype, fold, rnd.choice(_BOUNDARIES))
            )
        elif kind < 0.6:
            lines.append(b"Content-Type: message/rfc822")
        elif kind < 0.8:
            lines.append(b"Content-Type: " + rnd.choice((b"text/plain", b"text/html", b"application/x")))
        if rnd.random() < 0.2:
            lines.append(b"MIME-Version: 1.0")
        if rnd.random() < 0.3:
            lines.append(rnd.choice(_FIELDS))
        rnd.shuffle(lines)
        return lines or [b"X: y"]

    def addresses(self) -> bytes:
        """Fields of ENVELOPE made of address bits."""
        rnd = self._random
        out = b""
        for name in _ADDRESS_FIELDS:
            if rnd.random() < 0.5:
                out += (
                    name + b":" + rnd.choice((b" ", b" ", b"", b"  ")) + self._bits(_ADDRESS_BITS, 9) + b"\n"
                )
        return out + b"\nx\n"

    def params(self) -> bytes:
        """Content-… fields made of parameter bits."""
        rnd = self._random
        out = b"MIME-Version: 1.0\n" if rnd.random() < 0.7 else b""
        for name in _CONTENT_FIELDS:
            if rnd.random() < 0.4:
                start = rnd.choice((b"text/plain;", b"multipart/mixed;", b"attachment;", b"", b"", b""))
                out += b"Content-" + name + b": " + start + self._bits(_PARAM_BITS, 12) + b"\n"
        return out + b"\nx\n--x\n\ny\n--x--\n"

    def _bits(self, bits: tuple[bytes, ...], most: int) -> bytes:
        return b"".join(self._random.choice(bits) for _ in range(self._random.randint(0, most)))

    def mutate(self, message: bytes, changes: int = 4) -> bytes:
        """Cut, double and overwrite stretches; without NULs, which end Dovecot 2.3.19 in field names."""
        rnd = self._random
        data = bytearray(message)
        for _ in range(rnd.randint(1, changes)):
            if not data:
                break
            start = rnd.randrange(len(data))
            end = min(len(data), start + rnd.choice((1, 1, 2, 10, 100)))
            kind = rnd.randrange(5)
            if kind == 0:
                del data[start:end]
            elif kind == 1:
                data[start:start] = data[start:end]
            elif kind == 2:
                data[start:end] = bytes(rnd.choice(b'\r\n\t :;="()<>@,-\\\xff') for _ in range(end - start))
            elif kind == 3:
                data[start:start] = rnd.choice(
                    (b"\n--", b"\n\n", b"\r\n", b"=?", b"\nContent-Type: message/rfc822\n\n")
                )
            else:
                del data[rnd.randrange(len(data)) :]
        return bytes(data)

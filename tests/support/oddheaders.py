"""Mail whose headers are hard to sort and to thread, the same for the same seed.

The classes are those that real mail has: what reply buttons of many languages and mailing lists leave in
subjects, encoded words whole and broken, octets of forgotten charsets, letters that sort in unexpected
places, dates that are wrong in many ways, and references that contradict each other.
"""

import random
from collections.abc import Callable, Iterator
from email.utils import formatdate

Bits = tuple[bytes, ...]


def _bits(text: str) -> Bits:
    return tuple(bit.encode().replace(b"_", b" ").replace(b"|", b"\n ") for bit in text.split())


SUBJECT_BITS: Bits = (
    *_bits("Re: re_: RE Fwd: fw: FW_[x]: [list] [a]_ [ ] [fwd: (fwd) _(FWD)_ _ __ | _| re : [] AW: Re[2]:"),
    *_bits("hello Hello E e ß ﬁ ǆ ǅ İ ı Å Å 가 각 ÿ Ω ſ µ ά ﬃ Ⅷ 𝐀 𐐨 𐐀 я Я 本 ع ไ z A a b 1 ~ ."),
    b"=?utf-8?q?Re:?=", b"=?utf-8?q?h=C3=A9llo?=", b"=?iso-8859-1?q?=E9?=", b"=?x-none?q?abc?=",
    b"=?utf-8?b?5pel5pys?=", b"=?utf-8?q?a=00b?=", b"=?koi8-r?b?79TE?=", b"=?utf-8?q??=", b"=?utf-8?q?",
    b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", b"=?UTF-8?B?w6k=?=", b"=?windows-1252?Q?=80?=", b"\t",
    b"\x7f", b"\x01", b"\xe9", b"\xc3",
)  # fmt: skip
ADDRESS_BITS: Bits = (
    b"Ann ", b"<a@b>", b"b@c", b"<", b"> ", b",", b'"q x" ', b"(c)", b":", b";", b"@", "é".encode(),
    b"=?utf-8?q?Zo=C3=AB?= ", b"=?utf-8?q??= ", b" ", b"\n ", b"Bob B <bob@b>", b'"" <x@y>', b".", b"\\",
    b"undisclosed-recipients:;", b"group: z@q;", b"<@r:u@v>", b"=?x-none?q?abc?= <k@l>", b"e@[1.2]",
    "İ".encode(), b"ss@d", "ß <ß@x>".encode(), b"\xff", b'"C, D" <cd@e>', b"MAILER-DAEMON", b"<>", b"a b c",
)  # fmt: skip
_WHEN = [formatdate(1_500_000_000 + 1000 * number).encode() for number in range(6)]
DATES: Bits = (
    *_WHEN, *_WHEN, b"garbage", b"", b"Thu, 01 Jan 1970 00:00:00 +0000", b"Mon, 1 Jan 1900 00:00:00 +0000",
    b"Mon, 1 Jan 2200 00:00:00 +0000", b"32 Jul 2017 10:00:00 +0000", b"14 Jul 17 02:40:00 GMT",
    b"2017-07-14", b"Fri, 14 Jul 2017 02:40 PST", b"14 jul 2017 02:40:00 -9999",
    b"Fri 14 Jul 2017 02:41:00 +0000",
    b"Fri, 14 Jul 2017 02:43:00", b"Fri, 14 Jul 2017 24:00:00 +0000", b"Fri, 14 July 2017 2:4:5 +0100",
    b"Friday, 14-Jul-17 02:40:00 UT", b"14 Jul 2017 02:40:60 A", b"Fri, 14 Jul 117 02:40:00 +0000",
    b"Fri,\n 14 Jul 2017\n 02:44:00 +0000 (CEST (x))", b"(x) 14 Jul 2017 02:45:00 Z",
    b"1 Jan 1970 00:30:00 +0100",
)  # fmt: skip


def _line(source: random.Random, name: bytes, bits: Bits) -> bytes:
    value = b"".join(source.choice(bits) for _ in range(source.randint(0, 6)))
    name = source.choice((name, name.upper(), name.lower()))
    return name + source.choice((b": ", b":", b":  ", b":\t")) + value


def sortable(seed: int, count: int) -> Iterator[bytes]:
    """Mail with odd subjects, addresses and dates; some lack some fields or have them twice."""
    source = random.Random(seed)
    for number in range(count):
        lines = [b"X-Number: %d" % number]
        lines += [
            _line(source, name, bits)
            for name, bits in (
                (b"Subject", SUBJECT_BITS),
                (b"From", ADDRESS_BITS),
                (b"To", ADDRESS_BITS),
                (b"Cc", ADDRESS_BITS),
            )
            for _ in range(source.choices((0, 1, 2), weights=(1, 10, 1))[0])
        ]
        if source.random() < 0.9:
            lines.append(b"Date: " + source.choice(DATES))
        end = source.choice((b"\n", b"\n", b"\r\n"))
        yield b"\n".join((*lines, b"", b"text " * source.randrange(4), b"")).replace(b"\n", end)


_ID_FORMS: tuple[Callable[[bytes], bytes], ...] = (
    lambda name: b"<" + name + b"@x>",
    lambda name: b"<" + name + b" @x>",
    lambda name: b'<"' + name + b'"@x>',
    lambda name: b"<" + name + b"(c)@x>",
    lambda name: b"<" + name + b">",
    lambda name: b"< " + name + b"@x >",
    lambda name: name + b"@x",
    lambda name: b"<" + name + b"@x",
    lambda name: b"(comment) <" + name + b"@x>",
)
_COMMON_SUBJECTS: Bits = (
    b"a", b"b", b"Re: a", b"Re: b", b"Fwd: a", b"[l] a", b"", b"Re:", b"a (fwd)", b"c \n d", b"c  d",
    b"=?utf-8?q?a?=",
)  # fmt: skip


def conversations(seed: int, count: int) -> Iterator[bytes]:
    """Mail that refers to other mail at random: loops, identifiers used twice, missing ones, broken ones."""
    source = random.Random(seed)
    pool = [b"m%d" % number for number in range(max(2, int(count * source.choice((0.2, 0.6, 1.2)))))]
    one_date = source.random() < 0.3

    def name() -> bytes:
        form = _ID_FORMS[0] if source.random() < 0.85 else source.choice(_ID_FORMS)
        return form(source.choice(pool))

    for number in range(count):
        lines = []
        if source.random() < 0.9:
            lines.append(b"Subject: " + source.choice(_COMMON_SUBJECTS))
        if source.random() < 0.9:
            lines.append(b"Date: " + (_WHEN[0] if one_date else source.choice(DATES)))
        if source.random() < 0.9:
            own = _ID_FORMS[0](pool[number % len(pool)])
            lines.append(b"Message-ID: " + (own if source.random() < 0.7 else name()))
        if source.random() < 0.5:
            gap = source.choice((b" ", b"\n ", b", ", b"x", b""))
            lines.append(b"References: " + gap.join(name() for _ in range(source.randint(0, 6))))
        if source.random() < 0.5:
            text = source.choice((b"", b"Message of today ", b'"x" '))
            lines.append(b"In-Reply-To: " + text + b" ".join(name() for _ in range(source.randint(0, 3))))
        source.shuffle(lines)
        yield b"\n".join((*lines, b"", b"text", b""))


def discussion(seed: int, count: int) -> Iterator[bytes]:
    """Well-formed mail of people who answer each other: what most mailboxes are full of."""
    source = random.Random(seed)
    open_threads: list[tuple[bytes, list[list[bytes]]]] = []
    words = b"harbour lantern meadow copper ticket window engine valley pencil orbit kettle marble".split()
    for number in range(count):
        own = b"<%x.%d@mail%d.example.com>" % (source.getrandbits(64), number, source.randrange(20))
        chain: list[bytes] = []
        if open_threads and source.random() < 0.65:
            subject, mails = source.choice(open_threads[-200:])
            chain = source.choice(mails)[-10:]
            mails.append([*chain, own])
            subject = source.choice((b"Re: ", b"Re: ", b"Re: ", b"Fwd: ")) + subject
        else:
            subject = source.choice((b"", b"", b"[list] ")) + b" ".join(source.choices(words, k=4))
            open_threads.append((subject, [[own]]))
        who = source.randrange(500)
        lines = [
            b"From: User %d <user%d@example.com>" % (who, who),
            b"To: <list%d@example.org>" % source.randrange(9),
            b"Subject: " + subject,
            b"Date: " + formatdate(1_600_000_000 + number * 4321 - source.randrange(100_000)).encode(),
            b"Message-ID: " + own,
        ]
        if chain:
            lines += [b"In-Reply-To: " + chain[-1], b"References: " + b"\n ".join(chain)]
        yield b"\n".join((*lines, b"", b"text", b""))


def staircase(depth: int, *, backwards: bool = False) -> list[bytes]:
    """A chain of `depth` mails, each an answer to the one before; `backwards`: the last came first."""
    mails = [
        b"Subject: Re: stairs\nMessage-ID: <s%d@x>\nIn-Reply-To: <s%d@x>\n\nb\n" % (number, number - 1)
        for number in range(1, depth + 1)
    ]
    return mails[::-1] if backwards else mails

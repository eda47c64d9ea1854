"""Messages that are too much of one thing, of any size: work must not grow faster than they do."""

from collections.abc import Callable

_START = b"From: a@example.org\nDate: Tue, 3 Mar 2020 10:11:12 +0100\nMessage-ID: <1@example.org>\n"


def nested_multiparts(count: int) -> bytes:
    """Multiparts inside each other."""
    parts = [
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(count)
    ]
    return _START + b"".join(parts) + b"\ninside\n"


def nested_messages(count: int) -> bytes:
    """Forwarded messages inside each other."""
    return _START + b"Content-Type: message/rfc822\n\nSubject: x\n" * count + b"\ninside\n"


def flat_parts(count: int) -> bytes:
    """Parts beside each other."""
    part = b"--x\nContent-Type: text/plain\nContent-Disposition: inline; filename=a\n\nhello\n"
    head = b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
    return _START + head + part * count + b"--x--\n"


def near_boundaries(count: int) -> bytes:
    """Many boundaries open, and lines that are almost one of them."""
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=%b%d\n\n--%b%d\n" % (b"b" * 60, level, b"b" * 60, level)
        for level in range(90)
    )
    return _START + opened + b"\n" + (b"--" + b"b" * 59 + b"x\n") * count


def long_subject(count: int) -> bytes:
    """One line of header."""
    return _START + b"Subject: " + b"x" * count + b"\n\nbody\n"


def replies(count: int) -> bytes:
    """A subject of nothing but prefixes and blobs."""
    return _START + b"Subject: " + b"Re: [a] fwd: " * (count // 13) + b"x (fwd)\n\nbody\n"


def trailers(count: int) -> bytes:
    """A subject with (fwd) many times behind it, in brackets."""
    return _START + b"Subject: " + b"[fwd: " * (count // 12) + b"x (fwd)]" * (count // 12) + b"\n\nbody\n"


def recipients(count: int) -> bytes:
    """Addresses with names, folded."""
    both = b",\n ".join(b"User %d <u%d@example.org>" % (number, number) for number in range(count))
    return _START + b"To: " + both + b"\n\nb\n"


def broken_recipients(count: int) -> bytes:
    """What is no address, again and again."""
    return _START + b"To: " + b'<@, "a" (b <c@, g: ' * (count // 4) + b"\nCc: " + b"a:b:" * count + b"\n\nb\n"


def many_fields(count: int) -> bytes:
    """Header fields, those of ENVELOPE among them."""
    return b"X-Field: value\nTo: a@b\n" * (count // 2) + _START + b"\nbody\n"


def folded(count: int) -> bytes:
    """One field on many lines."""
    return _START + b"Subject: a\n" + b" b\n" * count + b"\nbody\n"


def encoded_words(count: int) -> bytes:
    """Encoded words, good and broken."""
    return _START + b"Subject: " + b"=?utf-8?q?a=C3=A4?= =?utf-8?b?w6Q= =?x " * (count // 3) + b"\n\nbody\n"


def comments(count: int) -> bytes:
    """Comments inside each other, never closed in To."""
    both = b"(" * count + b"x" + b")" * count
    never = b"\nTo: " + b"(" * count + b"\nBcc: " + b"(\\" * count
    return _START + b"Cc: " + both + b" c@d" + never + b"\n\nbody\n"


def references(count: int) -> bytes:
    """A long conversation."""
    ids = b"\n ".join(b"<%d@example.org>" % number for number in range(count))
    return _START + b"References: " + ids + b"\nIn-Reply-To: " + b"<" * count + b"\n\nbody\n"


def parameters(count: int) -> bytes:
    """Pieces of RFC 2231, and quotes that never end."""
    pieces = b"".join(b"; name*%d*=%%41" % number for number in range(count, 0, -1))
    return (
        _START
        + b"MIME-Version: 1.0\nContent-Type: text/plain" + pieces
        + b"\nContent-Disposition: attachment" + b'; a="' * count
        + b"\nContent-Language: " + b"de," * count
        + b"\n\nbody\n"
    )  # fmt: skip


def base64_text(count: int) -> bytes:
    """A long text in base64."""
    line = b"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29y\n"
    return _START + b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + line * (count // 61)


def quoted_text(count: int) -> bytes:
    """A long text in quoted-printable, full of escapes, blanks and soft breaks."""
    line = b"h=C3=A4llo   =  \n= =   \t world=20\n"
    head = b"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
    return _START + head + line * (count // len(line))


def blanks(count: int) -> bytes:
    """White space where patterns may try all ways to split it."""
    return (
        _START + b"Subject: " + b" \t" * count + b"x\nTo: " + b" \n " * count + b"@\nContent-Type: text/html"
        + b" " * count + b"; " + b"\t" * count + b"\n\n" + b"<" + b" " * count + b"&" + b" \r" * count
    )  # fmt: skip


def markup(count: int) -> bytes:
    """HTML that is never closed."""
    text = b"<blockquote><!-- <style " * (count // 24) + b"&amp;&#" * (count // 7)
    return _START + b"Content-Type: text/html\n\n" + text + b"\n"


MONSTERS: dict[str, Callable[[int], bytes]] = {
    make.__name__: make
    for make in (
        nested_multiparts, nested_messages, flat_parts, near_boundaries, long_subject, replies, trailers,
        recipients, broken_recipients, many_fields, folded, encoded_words, comments, references, parameters,
        base64_text, quoted_text, blanks, markup,
    )
}  # fmt: skip

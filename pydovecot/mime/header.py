"""Header fields of one header block: in order, unfolded as Dovecot's parser does, any line ends."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Final

# What ENVELOPE and BODYSTRUCTURE are made of. The leading newline lets `re` jump from line to line.
# Of the blanks behind the colon all go, but of a line that has only blanks just the first. A name ends at
# a NUL.
_INTERESTING: Final = re.compile(
    rb"\n([Cc](?:ontent-|ONTENT-|[oO][nN][tT][eE][nN][tT]-)[!-9;-~]*|(?:[Dd][Aa][Tt][Ee]|[Ff][Rr][Oo][Mm]"
    rb"|[Tt][Oo]|[Cc][Cc]|[Bb][Cc][Cc]|[Ss][Uu][Bb][Jj][Ee][Cc][Tt]|[Ss][Ee][Nn][Dd][Ee][Rr]"
    rb"|[Rr][Ee][Pp][Ll][Yy]-[Tt][Oo]|[Ii][Nn]-[Rr][Ee][Pp][Ll][Yy]-[Tt][Oo]"
    rb"|[Mm][Ee][Ss][Ss][Aa][Gg][Ee]-[Ii][Dd]|[Mm][Ii][Mm][Ee]-[Vv][Ee][Rr][Ss][Ii][Oo][Nn]))"
    rb"(?:[ \t]*+|\0[^\n:]*+):(?:[ \t]*+(?=[^\n])|[ \t]?)([^\n]*(?:\n[ \t][^\n]*)*)"
)
_FIELD: Final = re.compile(rb"\n([^\n:]*):([^\n]*(?:\n[ \t][^\n]*)*)|\n([^\n]*(?:\n[ \t][^\n]*)*)")
# Dovecot cuts a line that does not fit into its buffer at the last blank in there. When that is behind the
# colon, the value keeps its blanks (but for one of several). A colon behind the buffer's end makes no name.
LINE_BUFFER: Final = 8190
_BLANK: Final = re.compile(rb"[ \t]")
_LONG_LINE: Final = re.compile(rb"[^\n]{%d}" % LINE_BUFFER)
# Octets of all values together. What is behind them is dropped, as by Dovecot since CVE-2024-23185.
MAX_VALUES: Final = 10 << 20
_LINE_VALUE: Final = re.compile(rb"^(?:[^\n:]*:[ \t]?|(?=[ \t]))([^\n]+)", re.MULTILINE)
_END: Final = re.compile(rb"\n\r?\n")


def end(message: bytes, start: int = 0) -> int:
    """Where the header that begins at `start` ends: behind its empty line, or at the end of the message."""
    if message.startswith(b"\n", start):
        return start + 1
    if message.startswith(b"\r\n", start):
        return start + 2
    found = _END.search(message, start)
    return found.end() if found else len(message)


def interesting(block: bytes) -> list[tuple[bytes, bytes]]:
    """(lower-case name, value) of the fields that ENVELOPE and BODYSTRUCTURE need, in order.

    Values start behind the colon's blanks and keep their folding as a bare LF and the white space.
    """
    if b"\r" in block:
        block = drop_cr(block)
    if len(block) > LINE_BUFFER:
        if len(block) > MAX_VALUES:
            block = _limited(block)
        if _LONG_LINE.search(block):
            return list(_with_long_lines(b"\n" + block))
    return [(name.lower(), value) for name, value in _INTERESTING.findall(b"\n" + block)]


def _with_long_lines(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    for found in _INTERESTING.finditer(text):
        name = found[1].lower()
        start = found.start() + 1
        value = found.start(2)
        # Content-… fields are read with a buffer of one octet more.
        limit = LINE_BUFFER + name.startswith(b"content-")
        line_end = text.find(b"\n", value)
        if (line_end if line_end >= 0 else len(text)) - start >= limit:
            colon = text.index(b":", start)
            if colon - start >= limit:
                continue
            if _BLANK.search(text, value, start + limit) is None:
                value = colon + 1 if value - colon == 2 else min(colon + 2, value)
        yield name, text[value : found.end()]


def _limited(block: bytes) -> bytes:
    """The header up to the octet of a value that is one too many."""
    left = MAX_VALUES - 1
    for found in _LINE_VALUE.finditer(block):
        size = found.end(1) - found.start(1)
        if size > left:
            return block[: found.start(1) + left]
        left -= size
    return block


def drop_cr(block: bytes) -> bytes:
    """CRLF to LF; a bare CR stays."""
    return block.replace(b"\r\n", b"\n")


def _skip_blank(value: bytes) -> bytes:
    """Drop the blanks behind the colon; of a line that has only blanks just the first."""
    if value[:1] not in (b" ", b"\t"):
        return value
    second = value[1:2]
    if second and second not in b" \t\n":
        return value[1:]
    line = value.partition(b"\n")[0]
    if line.strip(b" \t"):
        return value.lstrip(b" \t")
    return value[1:]


def fields(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name as written, value) of every field in order, up to the empty line.

    Values as in `interesting`; a line without colon is a name with the value b"".
    """
    if b"\r" in block:
        block = drop_cr(block)
    block = block[: end(block)]
    if block.startswith(b"\n"):
        return
    for found in _FIELD.finditer(b"\n" + block.rstrip(b"\n")):
        name, value, bare = found.groups()
        if name is None:
            if bare:
                yield bare, b""
        else:
            yield name.rstrip(b" \t"), _skip_blank(value)


def any_case(name: bytes) -> bytes:
    """A pattern for a field name in any case; `re` is faster with this than with a flag."""
    pieces = [b"[" + c.lower() + c.upper() + b"]" if c.isalpha() else re.escape(c) for c in _octets(name)]
    return b"".join(pieces)


def _octets(name: bytes) -> list[bytes]:
    return [bytes([octet]) for octet in name]


def picker(names: Iterable[bytes]) -> Callable[[bytes], bytes]:
    """A function that picks the fields of these names out of a header block with LF: whole lines."""
    # Grouped by first letter, so that most lines fail at once.
    grouped = groupby(sorted(names), key=lambda name: name[:1])
    choice = b"|".join(
        [
            any_case(letter) + b"(?:" + b"|".join([any_case(name[1:]) for name in group]) + b")"
            for letter, group in grouped
        ]
    )
    find = re.compile(rb"\n((?:" + choice + rb")(?:[ \t]*|\0[^\n:]*):[^\n]*(?:\n[ \t][^\n]*)*)").findall

    def pick(block: bytes) -> bytes:
        lines = find(b"\n" + block)
        if not lines:
            return b""
        picked = b"\n".join(lines)
        # The last line of all may lack its end.
        return picked if not block.endswith(b"\n") and block.endswith(lines[-1]) else picked + b"\n"

    return pick


def first(block: bytes, name: bytes) -> bytes | None:
    """The value of the first field of that lower-case name."""
    for key, value in fields(block):
        if key.lower() == name:
            return value
    return None

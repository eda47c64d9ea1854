"""The tree of a message's parts: where each header and body lies, and how large it is with CRLF line ends.

Works on the bytes as stored (LF, CRLF or a mixture) in one pass. RFC 2046 5.1; where mail breaks the rules
the result is what Dovecot makes of it.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from pydovecot.mime import header, params

IS_MIME: Final = 0x01
TEXT: Final = 0x02
MULTIPART: Final = 0x04
DIGEST: Final = 0x08
RFC822: Final = 0x10

MAX_NESTED_PARTS: Final = 100  # Dovecot: MESSAGE_PARSER_DEFAULT_MAX_NESTED_MIME_PARTS
MAX_TOTAL_PARTS: Final = 10000  # Dovecot: MESSAGE_PARSER_DEFAULT_MAX_TOTAL_MIME_PARTS
MAX_BOUNDARY: Final = 80  # RFC 2046 allows 70; longer ones are cut, in header and text alike

_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
_LINE_REST: Final = MAX_BOUNDARY + 8

MAX_CACHED_HEADER: Final = 300  # octets; headers of parts are short and much the same in all mail
MAX_CACHED_CONTENT: Final = 400  # octets of Content-… values; longer ones are seldom seen twice

Fields = tuple[tuple[bytes, bytes], ...]


class Head(NamedTuple):
    """What one header block says by itself. `boundary` is "" if there is none, or no empty line behind it."""

    fields: Fields  # what ENVELOPE and BODYSTRUCTURE need
    content: Fields  # of these the Content-… fields
    flags: int
    boundary: bytes | None
    short: bool  # the content fields are worth remembering


def read_head(block: bytes, outside: int) -> Head:
    """Read a header block; `outside` are the flags of the part around it, -1 for a message's own header."""
    if len(block) <= MAX_CACHED_HEADER:
        return _read_head_cached(block, outside)
    return _read_head(block, outside)


def _read_head(block: bytes, outside: int) -> Head:
    fields = tuple(header.interesting(block))
    content = tuple([field for field in fields if field[0][:8] == b"content-"])
    flags = 0 if outside < 0 or outside & RFC822 else IS_MIME
    boundary: bytes | None = None
    seen = False
    for name, value in content:
        if name == b"content-type":
            seen = True
            flags |= IS_MIME
            kind, _, found = params.content_type(value)
            kind = kind.lower()
            if kind == b"message/rfc822":
                flags |= RFC822
            elif kind == b"text" or kind.startswith(b"text/"):
                flags |= TEXT
            elif kind.startswith(b"multipart/"):
                flags |= MULTIPART
                if kind == b"multipart/digest":
                    flags |= DIGEST
                boundary = params.find(found, b"boundary")
            break
    if not flags & IS_MIME and any([name == b"mime-version" for name, _ in fields]):
        flags |= IS_MIME
    if not seen:
        flags |= RFC822 if outside >= 0 and outside & DIGEST else TEXT
    if boundary is not None:
        boundary = boundary[:MAX_BOUNDARY] if has_empty_line(block) else None
    short = sum([len(value) for _, value in content]) <= MAX_CACHED_CONTENT
    return Head(fields, content, flags, boundary, short)


_read_head_cached = lru_cache(maxsize=1024)(_read_head)


class Part:
    """One part. `start`, `body` and `end` are offsets into the stored message; sizes with CRLF are "virtual".

    `head` is what the header says; None in a tree decoded from its compact form.
    """

    __slots__ = (
        "body",
        "body_lines",
        "body_virtual",
        "children",
        "end",
        "flags",
        "head",
        "header_lines",
        "header_virtual",
        "start",
    )

    def __init__(self, start: int) -> None:
        self.start = start
        self.body = start
        self.end = start
        self.flags = 0
        self.header_lines = 0
        self.header_virtual = 0
        self.body_lines = 0
        self.body_virtual = 0
        self.children: list[Part] = []
        self.head: Head | None = None

    @property
    def body_size(self) -> int:
        """Octets of the body as stored."""
        return self.end - self.body


def parse(message: bytes, *, measure: bool = True) -> Part:
    """Parse a whole message; never raises, whatever the bytes are.

    Without `measure` lines and CRLF sizes are left out (0): for who reads content only.
    """
    root = Part(0)
    boundary = _open_header(message, root, header.end(message), -1).boundary
    if boundary is None and not root.flags & RFC822:
        root.end = len(message)
    else:
        _Parser(message).run(root, boundary)
    if measure:
        _measure(message, root)
    return root


def head_of(part: Part, message: bytes) -> Head:
    """What the part's header says, also for a tree decoded from its compact form."""
    if part.head is not None:
        return part.head
    # The flags are known; only the fields are read again.
    return read_head(message[part.start : part.body], part.flags)


def _open_header(message: bytes, part: Part, end: int, outside: int) -> Head:
    """Read the part's header up to `end`."""
    part.body = part.end = end
    head = part.head = read_head(message[part.start : end], outside)
    part.flags = head.flags
    return head


def has_empty_line(block: bytes) -> bool:
    """True when a header block has its end."""
    return block.endswith((b"\n\n", b"\n\r\n")) or block in (b"\n", b"\r\n")


# Offset of its "--", index of the boundary, whether it is the last, offset of the next line.
BoundaryLine = tuple[int, int, bool, int]


class _Parser:
    """Walks the lines that may be boundaries. `open` are the parts around the cursor, outermost first."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.open: list[Part] = []
        self.boundaries: list[tuple[bytes, int]] = []  # boundary, depth of its multipart in `open`
        self.total = 1
        self._cut: BoundaryLine | None = None  # found while reading a header, to be taken next

    def run(self, root: Part, boundary: bytes | None) -> None:
        message = self.message
        size = len(message)
        self.open.append(root)
        self._push(root, boundary)
        pos = self._enter(root)
        while pos < size and self.boundaries:
            line = self._cut or self._next_line(pos - 1)
            self._cut = None
            if line is None:
                break
            pos = self._take_boundary(line, pos)
        for part in self.open:
            part.end = size

    def _next_line(self, pos: int) -> BoundaryLine | None:
        """The next boundary line at or after `pos`: its `--`, index of the boundary, whether last, next line.

        `pos` is on a newline (or before the first line).
        """
        find = self.message.find
        # When no more parts may be added, boundaries are text.
        while self.total < MAX_TOTAL_PARTS and (at := find(b"\n--", pos)) >= 0:
            found = self._match(at + 1)
            if found is not None:
                return found
            pos = at + 3
        return None

    def _match(self, at: int) -> BoundaryLine | None:
        """Which boundary the line with `--` at `at` starts with: the longest, the innermost first."""
        message = self.message
        lf = message.find(b"\n", at)
        limit = lf if lf >= 0 else len(message)
        line = message[at + 2 : min(limit, at + 2 + _LINE_REST)]
        best = -1
        best_len = -1
        text = line
        dashes = False
        if lf >= 0 and limit - at - 2 <= _LINE_REST:
            # In the last line, without a line end, a longer boundary is always the better one.
            text = text.removesuffix(b"\r")
            dashes = len(text) > 2 and text.endswith(b"--")
        for index in range(len(self.boundaries) - 1, -1, -1):
            boundary = self.boundaries[index][0]
            if len(boundary) > best_len and text.startswith(boundary):
                best = index
                best_len = len(boundary)
                if best_len == len(text) or (dashes and best_len == len(text) - 2):
                    break  # no other can fit better
        if best < 0:
            return None
        last = line.startswith(b"--", best_len)
        return at, best, last, (lf + 1 if lf >= 0 else len(message))

    def _take_boundary(self, line: BoundaryLine, resumed: int) -> int:
        """Close parts down to the boundary's multipart and open the next part. Returns where to go on.

        `resumed` is where the walk went on after the last header or boundary line.
        """
        at, index, last, nxt = line
        message = self.message
        depth = self.boundaries[index][1]
        end = at
        if at != resumed:
            # The line end before a boundary is the boundary's, unless another line of ours had it.
            end -= 2 if message.startswith(b"\r", at - 2) and at > 1 else 1
        opened = self.open
        for level in range(len(opened) - 1, depth, -1):
            opened[level].end = end
        del opened[depth + 1 :]
        del self.boundaries[index if last else index + 1 :]
        if last or (nxt == len(message) and message[-1:] != b"\n"):
            return nxt
        return self._start_part(opened[depth], nxt)

    def _start_part(self, parent: Part, start: int) -> int:
        """Open the part whose header begins at `start`; returns the offset of its body."""
        message = self.message
        part = Part(start)
        self.total += 1
        parent.children.append(part)
        self.open.append(part)
        end, cut = self._header_end(start)
        boundary: bytes | None = None
        if cut is None:
            boundary = _open_header(message, part, end, parent.flags).boundary
            self._push(part, boundary)
            if message.startswith(b"--", end) and has_empty_line(message[max(start, end - 3) : end]):
                cut = self._foreign_boundary(end)
        if cut is None:
            return self._enter(part)
        # Another part's boundary follows at once: the header's last line end belongs to that.
        at = cut[0]
        stop = at
        if at > start:
            stop -= 2 if at - 2 >= start and message.startswith(b"\r", at - 2) else 1
        if boundary is None:
            _open_header(message, part, stop, parent.flags)
        part.body = part.end = stop
        if part.flags & RFC822:
            if len(self.open) < MAX_NESTED_PARTS and self.total < MAX_TOTAL_PARTS:
                self._empty_child(part)
            else:
                _overflow(part)
        self.open.pop()
        self._cut = cut
        return at

    def _foreign_boundary(self, at: int) -> BoundaryLine | None:
        """The boundary line at `at`, if it is one of the parts around the part just opened."""
        if not self.boundaries or self.total >= MAX_TOTAL_PARTS:
            return None
        line = self._match(at)
        if line is None or self.boundaries[line[1]][1] == len(self.open) - 1:
            return None
        return line

    def _push(self, part: Part, boundary: bytes | None) -> None:
        if boundary is not None:
            if len(self.open) < MAX_NESTED_PARTS:
                self.boundaries.append((boundary, len(self.open) - 1))
            else:
                _overflow(part)

    def _empty_child(self, part: Part) -> None:
        child = Part(part.body)
        self.total += 1
        part.children.append(child)
        _open_header(self.message, child, part.body, part.flags)

    def _header_end(self, start: int) -> tuple[int, BoundaryLine | None]:
        """End of the header at `start`, and the boundary line that cut it short, if one did."""
        message = self.message
        if message.startswith(b"\n", start):
            return start + 1, None
        if message.startswith(b"\r\n", start):
            return start + 2, None
        if not self.boundaries or self.total >= MAX_TOTAL_PARTS:
            return header.end(message, start), None
        pos = start - 1
        while True:
            at = message.find(b"\n--", pos)
            found = _EMPTY_LINE.search(message, max(pos, start), at + 1 if at >= 0 else len(message))
            if found:
                return found.end(), None
            if at < 0:
                return len(message), None
            line = self._match(at + 1)
            if line is not None:
                return line[0], line
            pos = at + 1

    def _enter(self, part: Part) -> int:
        """Go into the body of the part just opened."""
        if part.flags & RFC822:
            if len(self.open) < MAX_NESTED_PARTS and self.total < MAX_TOTAL_PARTS:
                return self._start_part(part, part.body)
            _overflow(part)
        return part.body


def _overflow(part: Part) -> None:
    """Nested too deeply: what is inside stays opaque."""
    part.flags &= ~(RFC822 | MULTIPART | DIGEST)


def _measure(message: bytes, root: Part) -> None:
    """Count lines and CRLF sizes of every part. Every stretch of the message is counted once."""
    if b"\r" in message:
        _measure_mixed(message, root)
    else:
        _measure_lf(message, root)


def _measure_lf(message: bytes, part: Part) -> None:
    """Each newline is one octet more in the CRLF form. Parts are nested at most MAX_NESTED_PARTS deep."""
    count = message.count
    lines = count(b"\n", part.start, part.body)
    part.header_lines = lines
    part.header_virtual = part.body - part.start + lines
    lines = 0
    pos = part.body
    for child in part.children:
        _measure_lf(message, child)
        lines += count(b"\n", pos, child.start) + child.header_lines + child.body_lines
        pos = child.end
    lines += count(b"\n", pos, part.end)
    part.body_lines = lines
    part.body_virtual = part.end - part.body + lines


def _measure_mixed(message: bytes, part: Part) -> None:
    """As `_measure_lf` where newlines may have their CR."""
    lines, missing = _count(message, part.start, part.body)
    part.header_lines = lines
    part.header_virtual = part.body - part.start + missing
    lines = bare = 0
    pos = part.body
    for child in part.children:
        _measure_mixed(message, child)
        gap, missing = _count(message, pos, child.start)
        lines += gap + child.header_lines + child.body_lines
        bare += missing + child.header_virtual + child.body_virtual - (child.end - child.start)
        pos = child.end
    gap, missing = _count(message, pos, part.end)
    part.body_lines = lines + gap
    part.body_virtual = part.end - part.body + bare + missing


def _count(message: bytes, start: int, end: int) -> tuple[int, int]:
    """(newlines, newlines without CR) between two offsets."""
    lines = message.count(b"\n", start, end)
    full = message.count(b"\r\n", start, end)
    if start and message.startswith(b"\n", start) and message.startswith(b"\r", start - 1):
        full += 1
    return lines, lines - full

"""The tree of a message's parts: where each header and body lies, and how large it is with CRLF line ends.

Works on the bytes as stored (LF, CRLF or a mixture) in one pass. RFC 2046 5.1; where mail breaks the rules
the result is what Dovecot makes of it.
"""

import re
from typing import Final

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

Fields = list[tuple[bytes, bytes]]


class Part:
    """One part. `start`, `body` and `end` are offsets into the stored message; sizes with CRLF are "virtual".

    `fields` are the header fields that ENVELOPE and BODYSTRUCTURE need; None in a tree decoded from its
    compact form.
    """

    __slots__ = (
        "body",
        "body_lines",
        "body_virtual",
        "children",
        "end",
        "fields",
        "flags",
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
        self.fields: Fields | None = None

    @property
    def header_size(self) -> int:
        """Octets of the header as stored, its empty line included."""
        return self.body - self.start

    @property
    def body_size(self) -> int:
        """Octets of the body as stored."""
        return self.end - self.body


def parse(message: bytes, *, measure: bool = True) -> Part:
    """Parse a whole message; never raises, whatever the bytes are.

    Without `measure` lines and CRLF sizes are left out (0): for who reads content only.
    """
    root = Part(0)
    boundary = _open_header(message, root, header.end(message), None)
    if boundary is None and not root.flags & RFC822:
        root.end = len(message)
    else:
        _Parser(message).run(root, boundary)
    if measure:
        _measure(message, root)
    return root


def _open_header(
    message: bytes, part: Part, end: int, parent: Part | None, cut: bool = False
) -> bytes | None:
    """Read the part's header up to `end`; return the boundary when its body is a multipart's.

    `cut`: there was no empty line.
    """
    block = message[part.start : end]
    part.body = part.end = end
    fields = part.fields = header.interesting(block)
    flags = 0 if parent is None or parent.flags & RFC822 else IS_MIME
    boundary: bytes | None = None
    seen = False
    for name, value in fields:
        if name == b"content-type":
            flags |= IS_MIME
            if seen:
                continue
            seen = True
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
        elif name == b"mime-version":
            flags |= IS_MIME
    if not flags & IS_MIME:
        flags = 0
    if not seen or not flags & IS_MIME:
        flags |= RFC822 if parent is not None and parent.flags & DIGEST else TEXT
    part.flags = flags
    if boundary is None or cut or not _has_empty_line(block):
        return None
    return boundary[:MAX_BOUNDARY]


def _has_empty_line(block: bytes) -> bool:
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
        if limit - at - 2 <= _LINE_REST:
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
            boundary = _open_header(message, part, end, parent)
            self._push(part, boundary)
            if message.startswith(b"--", end) and _has_empty_line(message[max(start, end - 3) : end]):
                cut = self._foreign_boundary(end)
        if cut is None:
            return self._enter(part)
        # Another part's boundary follows at once: the header's last line end belongs to that.
        at = cut[0]
        stop = at
        if at > start:
            stop -= 2 if at - 2 >= start and message.startswith(b"\r", at - 2) else 1
        if boundary is None:
            _open_header(message, part, stop, parent, cut=True)
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
        _open_header(self.message, child, part.body, part, cut=True)

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
    crlf = b"\r\n" in message
    if not root.children and not crlf:
        root.header_lines = message.count(b"\n", 0, root.body)
        root.body_lines = message.count(b"\n", root.body)
        root.header_virtual = root.body + root.header_lines
        root.body_virtual = root.end - root.body + root.body_lines
        return
    stack = [(root, False)]
    while stack:
        part, done = stack.pop()
        if not done and part.children:
            stack.append((part, True))
            stack += [(child, False) for child in part.children]
            continue
        _count_header(message, part, crlf)
        lines = bare = 0
        pos = part.body
        for child in part.children:
            gap, missing = _count(message, pos, child.start, crlf)
            lines += gap + child.header_lines + child.body_lines
            bare += missing + child.header_virtual + child.body_virtual - (child.end - child.start)
            pos = child.end
        gap, missing = _count(message, pos, part.end, crlf)
        part.body_lines = lines + gap
        part.body_virtual = part.end - part.body + bare + missing


def _count(message: bytes, start: int, end: int, crlf: bool) -> tuple[int, int]:
    """(newlines, newlines without CR) between two offsets."""
    lines = message.count(b"\n", start, end)
    if not crlf or not lines:
        return lines, lines
    full = message.count(b"\r\n", start, end)
    if start and message.startswith(b"\n", start) and message.startswith(b"\r", start - 1):
        full += 1
    return lines, lines - full


def _count_header(message: bytes, part: Part, crlf: bool) -> None:
    lines, missing = _count(message, part.start, part.body, crlf)
    part.header_lines = lines
    part.header_virtual = part.body - part.start + missing

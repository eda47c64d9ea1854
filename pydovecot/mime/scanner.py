"""A cursor over one header value with the lexical rules of RFC 5322 and RFC 2045, as lenient as mail needs.

Every `skip` and `take` method returns 1 (more input follows), 0 (the input ended) or -1 (broken). After a -1
the cursor stays where the trouble was, so that a caller can go on behind it.
"""

import re
from typing import Final

_WS: Final = re.compile(rb"[ \t\r\n]*")
_COMMENT_STOP: Final = re.compile(rb"[()\\\n]")
# RFC 5322 3.2.3 atext; bytes from 0x80 count as letters, because mail in the wild is full of them.
ATEXT: Final = rb"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\xff"
_ATOM: Final = re.compile(rb"[" + ATEXT + rb"]+")
_ATOM_DOT: Final = re.compile(rb"[." + ATEXT + rb"]*")
# RFC 2045 5.1 token: atext less the MIME specials, and the dot.
_TOKEN: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+\-^_`{|}~.\x80-\xff]*")
_QUOTED_STOP: Final = re.compile(rb'["\n\\]')
_LITERAL_STOP: Final = re.compile(rb"[\[\]\\]")
_WORD_START: Final = frozenset(b'".' + bytes(b for b in range(256) if _ATOM.match(bytes([b]))))
_NOT_QUOTABLE: Final = frozenset(b"\r\n\0")  # a backslash before these is just a backslash
_WS_BYTES: Final = frozenset(b" \t\r\n")


REPLACEMENT: Final = "\ufffd".encode()


class Scanner:
    """Reads `data` from `pos` on. `comment` is the last comment's text once a caller has set it to b""."""

    __slots__ = ("comment", "data", "end", "nul", "pos")

    def __init__(self, data: bytes, nul: bytes = REPLACEMENT, *, comments: bool = False) -> None:
        self.data = data
        self.pos = 0
        self.end = len(data)
        self.nul = nul  # what a NUL inside quotes and comments is shown as
        self.comment: bytes | None = b"" if comments else None

    def more(self) -> int:
        """1 while input is left, else 0."""
        return 1 if self.pos < self.end else 0

    def peek(self, char: bytes) -> bool:
        """True when the next byte is `char`."""
        return self.data.startswith(char, self.pos)

    def skip_ws(self) -> int:
        """Skip white space and comments. RFC 5322 3.2.2 CFWS."""
        data, end = self.data, self.end
        pos = self.pos
        while pos < end:
            char = data[pos]
            if char in _WS_BYTES:
                pos = _WS.match(data, pos).end()  # type: ignore[union-attr]
            elif char == 0x28:
                self.pos = pos
                if self._skip_comment() < 0:
                    return -1
                pos = self.pos
            else:
                break
        self.pos = pos
        return 1 if pos < end else 0

    def _skip_comment(self) -> int:
        data = self.data
        start = pos = self.pos + 1
        level = 1
        pieces: list[bytes] = []
        while (stop := _COMMENT_STOP.search(data, pos)) is not None:
            at = stop.start()
            char = data[at]
            pos = at + 1
            if char == 0x28:
                level += 1
            elif char == 0x5C:
                if pos >= self.end:
                    break
                pieces.append(data[start:at])
                if data[pos] in _NOT_QUOTABLE:
                    start = at
                    continue
                start = pos
                pos += 1
            elif char == 0x0A:
                if pos + 1 >= self.end:
                    break
                text = data[start:at]
                pieces.append(text[:-1] if text.endswith(b"\r") else text)
                start = pos
            else:
                level -= 1
                if not level:
                    pieces.append(data[start:at])
                    self._set_comment(pieces)
                    self.pos = pos
                    return 1
        if self.comment is not None:
            # The input ended: only what stood before the last backslash, line end or NUL was taken over.
            pieces.append(data[start : data.rfind(b"\0", start) + 1])
            self._set_comment(pieces)
        self.pos = self.end
        return -1

    def _set_comment(self, pieces: list[bytes]) -> None:
        if self.comment is not None:
            self.comment = self._shown(b"".join(pieces))

    def _shown(self, text: bytes) -> bytes:
        return text.replace(b"\0", self.nul) if b"\0" in text else text

    def take_atom(self, out: list[bytes]) -> int:
        """RFC 5322 3.2.3 atom."""
        found = _ATOM.match(self.data, self.pos)
        if found is None:
            return -1
        out.append(found[0])
        self.pos = found.end()
        return self.skip_ws() if self.pos < self.end else 0

    def take_dot_atom(self, out: list[bytes]) -> int:
        """dot-atom, with white space and comments around the dots (RFC 5322 4.4 obs-domain)."""
        found = _ATOM.match(self.data, self.pos)
        if found is None:
            return -1
        while True:
            out.append(found[0])
            self.pos = found.end()
            if self.pos >= self.end:
                return 0
            if (ret := self.skip_ws()) <= 0:
                return ret
            if not self.peek(b"."):
                return 1
            self.pos += 1
            out.append(b".")
            if self.skip_ws() <= 0:
                return -1
            found = _ATOM.match(self.data, self.pos)
            if found is None:
                return -1

    def take_token(self, out: list[bytes]) -> int:
        """RFC 2045 5.1 token; may be empty."""
        found = _TOKEN.match(self.data, self.pos)
        assert found is not None
        out.append(found[0])
        self.pos = found.end()
        return self.skip_ws() if self.pos < self.end else 0

    def take_quoted(self, out: list[bytes]) -> int:
        """RFC 5322 3.2.4 quoted-string without its quotes; the cursor is on the opening one."""
        data = self.data
        start = pos = self.pos + 1
        while (stop := _QUOTED_STOP.search(data, pos)) is not None:
            at = stop.start()
            char = data[at]
            pos = at + 1
            if char == 0x22:
                out.append(self._shown(data[start:at]))
                self.pos = pos
                return self.skip_ws()
            if char == 0x0A:
                # Folding inside quotes: the line end goes, its white space stays.
                if _WS.fullmatch(data, pos):
                    break
                text = data[start:at]
                out.append(self._shown(text[:-1] if text.endswith(b"\r") else text))
                start = pos
            else:
                if pos >= self.end:
                    break
                out.append(self._shown(data[start:at]))
                if data[pos] in _NOT_QUOTABLE:
                    start = at
                    continue
                start = pos
                pos += 1
        # No closing quote: what stands after the last NUL had not been taken over yet.
        out.append(self._shown(data[start : data.rfind(b"\0", start) + 1]))
        self.pos = self.end
        return -1

    def take_phrase(self, out: list[bytes]) -> int:
        """RFC 5322 3.2.5 phrase, words joined by one blank."""
        if self.pos >= self.end:
            return 0
        data = self.data
        if data[self.pos] == 0x2E:
            return -1
        while True:
            if data[self.pos] == 0x22:
                ret = self.take_quoted(out)
            else:
                found = _ATOM_DOT.match(data, self.pos)
                assert found is not None
                out.append(found[0])
                self.pos = found.end()
                ret = self.skip_ws() if self.pos < self.end else 0
            if ret <= 0:
                return ret
            if data[self.pos] not in _WORD_START:
                return 1
            out.append(b" ")

    def take_domain(self, out: list[bytes]) -> int:
        """`@` and a domain or domain-literal; the cursor is on the `@`."""
        self.pos += 1
        if self.skip_ws() <= 0:
            return -1
        if not self.peek(b"["):
            return self.take_dot_atom(out)
        data = self.data
        start = self.pos
        pos = start + 1
        while (stop := _LITERAL_STOP.search(data, pos)) is not None:
            pos = stop.end()
            if data[pos - 1] == 0x5D:
                # Folding inside: the line end goes.
                out.append(self._shown(data[start:pos]).replace(b"\r\n", b"").replace(b"\n", b""))
                self.pos = pos
                return self.skip_ws()
            if data[pos - 1] == 0x5B:
                self.pos = pos - 1
                return -1
            pos += 1
        self.pos = self.end
        return -1

"""Paths of MAIL FROM and RCPT TO, and their parameters. RFC 5321 4.1.2; errors in Dovecot's words.

A reverse path may be anything that an MTA lets through: mail is not refused because its sender is odd.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_PARAMETERS: Final = 64
_ATEXT: Final = rb"[^\x00-\x20\x7f()<>@,;:\\\"\[\]]"
_ATOM: Final = rb"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[\x80-\xff])+"
_DOT_ATOM: Final = re.compile(_ATOM + rb"(?:\." + _ATOM + rb")*")
_LOCAL: Final = re.compile(rb'"((?:\\.|[^"\\])*)"|((?:' + _ATEXT + rb"|\.)*)")
_ROUTE: Final = re.compile(rb"@[^@,:<>]+(?:,@[^@,:<>]+)*:")
_LABELS: Final = rb"[A-Za-z0-9\x80-\xff](?:[A-Za-z0-9_\x80-\xff.-]*[A-Za-z0-9_\x80-\xff])?"
_DOMAIN: Final = re.compile(rb"\[[^\[\]\\]+\]|" + _LABELS)
_KEYWORD: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*")


class BadPath(Exception):
    """What is wrong, for the client."""


@dataclass(frozen=True, slots=True)
class Path:
    """A mailbox: local part without quotes, and domain. Both empty: the null path. `raw`: as it was given."""

    local: bytes
    domain: bytes
    raw: bytes = b""

    @property
    def null(self) -> bool:
        """`<>`: nobody, the sender of bounces."""
        return not self.local and not self.domain and not self.raw

    def encode(self) -> bytes:
        """As it is written in replies and headers, without angle brackets."""
        if self.raw and not self.local and not self.domain:
            return self.raw
        local = self.local
        if not _DOT_ATOM.fullmatch(local):
            local = b'"' + re.sub(rb'(["\\])', rb"\\\1", local) + b'"'
        return local + b"@" + self.domain if self.domain else local

    @property
    def address(self) -> bytes:
        """local@domain without quotes: what a user name is made of."""
        return self.local + b"@" + self.domain if self.domain else self.local


def split(args: bytes, keyword: bytes, *, lenient_blank: bool, lenient_brackets: bool) -> tuple[bytes, bytes]:
    """Path text (inside the brackets) and parameters of `FROM:<path> params`. Raises BadPath.

    BadPath with an empty text: the keyword itself is missing.
    """
    if args[: len(keyword) + 1].upper() != keyword + b":":
        raise BadPath("")
    rest = args[len(keyword) + 1 :]
    if rest[:1] in (b" ", b"\t"):
        if not lenient_blank:
            raise BadPath("Unexpected whitespace before path")
        rest = rest.lstrip(b" \t")
    if not rest:
        raise BadPath("Path is empty string")
    if not rest.startswith(b"<"):
        if not lenient_brackets:
            raise BadPath("Missing '<' at beginning of path")
        path, _, parameters = rest.partition(b" ")
        return path, parameters
    end = _closing(rest)
    after = rest[end + 1 :]
    if after and not after.startswith(b" "):
        raise BadPath("Invalid character in path")
    return rest[1:end], after[1:]


_INSIDE: Final = re.compile(rb'<(?:"(?:\\.|[^"\\])*"|[^"<> ])*')


def _closing(text: bytes) -> int:
    """Where the `>` is that ends the path."""
    found = _INSIDE.match(text)
    assert found is not None
    end = found.end()
    if text[end : end + 1] == b">":
        return end
    if text[end : end + 1] == b'"':
        raise BadPath("Premature end of quoted string")
    if text[end : end + 1] == b"<":
        raise BadPath("Invalid character in path")
    raise BadPath("Missing '>' at end of path")


def parse_forward(text: bytes) -> Path:
    """A recipient's path. Raises BadPath."""
    if not text:
        raise BadPath("Null path not allowed")
    rest = _without_route(text)
    local, at, domain = _local(rest)
    if at and not domain:
        raise BadPath("Missing domain after '@'")
    if domain and not _DOMAIN.fullmatch(domain):
        raise BadPath("Invalid domain")
    if not local or not local.isascii():
        raise BadPath("Invalid character in localpart")
    return Path(local, domain, text)


def parse_reverse(text: bytes) -> Path:
    """A sender's path; what is not an address is kept as it is."""
    if not text:
        return Path(b"", b"")
    try:
        local, at, domain = _local(_without_route(text))
    except BadPath:
        return Path(b"", b"", text)
    if not local or (at and not _DOMAIN.fullmatch(domain)):
        return Path(b"", b"", text)
    return Path(local, domain, text)


def _without_route(text: bytes) -> bytes:
    """RFC 5321 F.2: source routes are accepted and ignored."""
    if not text.startswith(b"@"):
        return text
    found = _ROUTE.match(text)
    if found is None:
        raise BadPath("Missing ':' at end of source route")
    return text[found.end() :]


def _local(text: bytes) -> tuple[bytes, bytes, bytes]:
    found = _LOCAL.match(text)
    assert found is not None
    local = re.sub(rb"\\(.)", rb"\1", found[1]) if found[1] is not None else found[2]
    rest = text[found.end() :]
    if rest and not rest.startswith(b"@"):
        raise BadPath("Invalid character in localpart")
    return local, rest[:1], rest[1:]


def parse_parameters(text: bytes, verb: str) -> list[tuple[bytes, bytes | None]]:
    """`KEYWORD[=value]` words, keywords in upper case. Raises BadPath."""
    if not text:
        return []
    found: list[tuple[bytes, bytes | None]] = []
    for word in text.split(b" "):
        if not word:
            raise BadPath(f"Invalid {verb} parameter: Parameter is empty")
        keyword, equals, value = word.partition(b"=")
        if not _KEYWORD.fullmatch(keyword):
            raise BadPath(f"Invalid {verb} parameter: Unexpected character in parameter keyword")
        found.append((keyword.upper(), value if equals else None))
        if len(found) > MAX_PARAMETERS:
            raise BadPath(f"Invalid {verb} parameter: Too many parameters")
    return found

"""ENVELOPE as IMAP sends it. RFC 3501 7.4.2."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from pydovecot.mime import address, header
from pydovecot.mime.quote import PLAIN, nstring, one_line, readable, string
from pydovecot.mime.scanner import REPLACEMENT

MAX_CACHED_VALUE: Final = 512  # longer address lists are seldom seen twice
MAX_ADDRESSES: Final = 100_000  # of one field, in all its lines: as Dovecot since CVE-2024-23184
EMPTY: Final = b"NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL"

_ADDRESSES: Final = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))


def render(header_block: bytes) -> bytes:
    """The parenthesised ENVELOPE of a message's header (any line ends)."""
    return b"(" + from_fields(header.interesting(header_block)) + b")"


def from_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The ten envelope fields of (lower-case name, value) pairs, without parentheses."""
    got: dict[bytes, bytes] = {}
    lists: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name not in _ADDRESSES:
            got[name] = value
        elif name in lists:
            lists[name].append(value)
        else:
            lists[name] = [value]
    for name, values in lists.items():
        if len(values) == 1 and len(values[0]) <= MAX_CACHED_VALUE:
            found = _render_cached(values[0])
        else:
            # Several From or To make one list, so that nobody is hidden behind the last.
            found = _render_lists(values)
        if found != b"NIL":
            got[name] = found
    get = got.get
    sender = get(b"from", b"NIL")
    return b" ".join(
        (
            _text(get(b"date")),
            _subject(get(b"subject")),
            sender,
            get(b"sender", sender),
            get(b"reply-to", sender),
            get(b"to", b"NIL"),
            get(b"cc", b"NIL"),
            get(b"bcc", b"NIL"),
            _text(get(b"in-reply-to")),
            _text(get(b"message-id")),
        )
    )


def _text(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    if PLAIN.fullmatch(value):
        return b'"' + value + b'"'
    return string(one_line(value).replace(b"\0", REPLACEMENT))


def _subject(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    return readable(value.replace(b"\0", REPLACEMENT) if b"\0" in value else value)


def _render_lists(values: list[bytes]) -> bytes:
    left = MAX_ADDRESSES
    parts: list[bytes] = []
    for value in values:
        found = address.parse(value, left)
        left -= len(found)
        parts += map(_render, found)
    return b"(" + b"".join(parts) + b")" if parts else b"NIL"


def _render(one: address.Address) -> bytes:
    return b"(%b %b %b %b)" % (
        b"NIL" if one.name is None else readable(one.name),
        nstring(one.route),
        nstring(one.mailbox),
        nstring(one.domain),
    )


def _render_addresses(value: bytes) -> bytes:
    return _render_lists([value])


_render_cached = lru_cache(maxsize=4096)(_render_addresses)

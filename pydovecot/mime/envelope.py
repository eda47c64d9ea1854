"""ENVELOPE as IMAP sends it. RFC 3501 7.4.2."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from pydovecot.mime import address, header
from pydovecot.mime.quote import PLAIN, nstring, one_line, readable, string
from pydovecot.mime.scanner import REPLACEMENT

MAX_CACHED_VALUE: Final = 512  # longer address lists are seldom seen twice
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
        elif (found := _addresses(value)) != b"NIL":
            if name in got:
                # Several From or To make one list, so that nobody is hidden behind the last.
                lists.setdefault(name, [got[name]]).append(found)
            else:
                got[name] = found
    for name, parts in lists.items():
        got[name] = b"(" + b"".join([part[1:-1] for part in parts]) + b")"
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


def _addresses(value: bytes) -> bytes:
    if len(value) <= MAX_CACHED_VALUE:
        return _render_cached(value)
    return _render_addresses(value)


def _render_addresses(value: bytes) -> bytes:
    parts = [
        b"(%b %b %b %b)"
        % (
            b"NIL" if one.name is None else readable(one.name),
            nstring(one.route),
            nstring(one.mailbox),
            nstring(one.domain),
        )
        for one in address.parse(value)
    ]
    return b"(" + b"".join(parts) + b")" if parts else b"NIL"


_render_cached = lru_cache(maxsize=4096)(_render_addresses)

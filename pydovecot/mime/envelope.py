"""ENVELOPE as IMAP sends it. RFC 3501 7.4.2."""

from functools import lru_cache
from typing import Final

from pydovecot.mime import address, header
from pydovecot.mime.quote import nstring, readable, string
from pydovecot.mime.scanner import REPLACEMENT

MAX_CACHED_VALUE: Final = 512  # longer address lists are seldom seen twice
EMPTY: Final = b"NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL"

_ADDRESSES: Final = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")


def render(header_block: bytes) -> bytes:
    """The parenthesised ENVELOPE of a message's header (any line ends)."""
    return b"(" + from_fields(header.interesting(header_block)) + b")"


def from_fields(fields: "list[tuple[bytes, bytes]]") -> bytes:
    """The ten envelope fields of (lower-case name, value) pairs, without parentheses."""
    got: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in got and name in _ADDRESSES:
            # Several From or To: one list, so that nobody is hidden behind the last.
            got[name] += b", " + value
        else:
            got[name] = value
    get = got.get
    sender = _addresses(get(b"from"))
    return b" ".join(
        (
            _text(get(b"date")),
            _subject(get(b"subject")),
            sender,
            _or(_addresses(get(b"sender")), sender),
            _or(_addresses(get(b"reply-to")), sender),
            _addresses(get(b"to")),
            _addresses(get(b"cc")),
            _addresses(get(b"bcc")),
            _text(get(b"in-reply-to")),
            _text(get(b"message-id")),
        )
    )


def _or(rendered: bytes, default: bytes) -> bytes:
    return default if rendered == b"NIL" else rendered


def _text(value: bytes | None) -> bytes:
    return b"NIL" if value is None else string(value.translate(None, b"\r\n").replace(b"\0", REPLACEMENT))


def _subject(value: bytes | None) -> bytes:
    return b"NIL" if value is None else readable(value.replace(b"\0", REPLACEMENT))


def _addresses(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
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

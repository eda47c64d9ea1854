"""Everything the index wants to know of a new message, from one scan of it."""

from collections.abc import Iterable
from typing import NamedTuple

from pydovecot.mime import bodystructure, date, envelope, header, structure


class Summary(NamedTuple):
    """Sizes in octets; `envelope`, `body` and `bodystructure` as IMAP sends them, parentheses included.

    `sent` is the Date header in seconds UTC and `sent_day` the ordinal of its local day; both 0 when there is
    no date or none that can be read.
    """

    root: structure.Part
    size: int  # with CRLF line ends: RFC822.SIZE
    envelope: bytes
    body: bytes
    bodystructure: bytes
    sent: int
    sent_day: int


def of(message: bytes) -> Summary:
    """Summarise a message as stored (any line ends); never raises, whatever the bytes are."""
    root = structure.parse(message)
    fields = structure.head_of(root, message).fields
    sent, sent_day = sent_of(fields)
    body, extended = bodystructure.render_both(root, message)
    return Summary(
        root,
        root.header_virtual + root.body_virtual,
        b"(" + envelope.from_fields(fields) + b")",
        body,
        extended,
        sent,
        sent_day,
    )


def of_header(block: bytes) -> tuple[bytes, int, int]:
    """(`envelope`, `sent`, `sent_day`) of a message's header, for who has no need of the rest."""
    fields = header.interesting(block)
    return b"(" + envelope.from_fields(fields) + b")", *sent_of(fields)


def sent_of(fields: Iterable[tuple[bytes, bytes]]) -> tuple[int, int]:
    """(`sent`, `sent_day`) of a message's header fields."""
    for name, value in fields:
        if name == b"date":
            found = date.parse(value)
            return (0, 0) if found is None else (found[0], date.local_day(*found))
    return 0, 0

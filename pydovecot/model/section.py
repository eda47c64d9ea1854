"""What BODY[...] and BINARY[...] name. RFC 3501 6.4.5, RFC 3516 4.2."""

from dataclasses import dataclass
from enum import Enum


class Text(Enum):
    """The last word of a section."""

    ALL = ""  # BODY[] or BODY[1.2]
    HEADER = "HEADER"
    HEADER_FIELDS = "HEADER.FIELDS"
    HEADER_FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """`path` are the part numbers (empty: the whole message); `fields` as the client wrote them."""

    path: tuple[int, ...] = ()
    text: Text = Text.ALL
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Partial:
    """`<offset.length>` in octets of the CRLF form."""

    offset: int
    length: int

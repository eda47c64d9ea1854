"""What a command line is made of: the kinds of arguments, the syntax error, the limits of the parser."""

from typing import Final, Union

MAX_TAG_BYTES: Final = 1024  # a tag comes back in every tagged line; clients send fewer than 20
MAX_NAME_BYTES: Final = 64  # the longest command name is about 20
MAX_LIST_NESTING: Final = 50  # RFC 3501 needs 3; CVE-2026-27857 was a parser without this limit
MAX_LITERAL_DIGITS: Final = 19  # literal64 of RFC 9051; more is no size of anything


class BadSyntax(Exception):
    """The client broke the grammar; `text` says how, without a full stop, and is safe to send.

    It becomes BAD. `fatal`: the stream can no longer be followed, the connection must end with BYE.
    """

    def __init__(self, text: str, *, fatal: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.fatal = fatal


class Atom(bytes):
    """An unquoted word."""

    __slots__ = ()


class Quoted(bytes):
    """A quoted string, its escapes resolved."""

    __slots__ = ()


class Literal(bytes):
    """A string that came as a literal."""

    __slots__ = ()


Arg = Union[Atom, Quoted, Literal, "list[Arg]"]

INVALID_ARGUMENTS: Final = "Invalid arguments"
MISSING_ARGUMENTS: Final = "Missing arguments"

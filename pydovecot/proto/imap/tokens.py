"""From the text of a command line to its arguments: atoms, strings, literals and lists. RFC 3501 9.

Knows no command. As Dovecot it takes more than the grammar says where no doubt is possible: several blanks
between arguments, `]`, `%`, `*` and `\\` in atoms, no blank beside a parenthesis.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from pydovecot.proto.imap.syntax import MAX_LIST_NESTING, Arg, Atom, BadSyntax, Literal, Quoted

_ATOM: Final = rb'[^\x00-\x20(){"\x7f-\xff]+'
_QUOTED: Final = rb'"[^"\\\x00\r\n]*(?:\\[^\x00\r\n][^"\\\x00\r\n]*)*"'
_TOKEN: Final = re.compile(
    rb" *(?:(" + _ATOM + rb")(?=[ )]|\Z)|(" + _QUOTED + rb")|([()])|~?\{[0-9]+\+?\}\r\n|(\Z))"
)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_HAS_STRUCTURE: Final = re.compile(rb'[\x00-\x1f(){"\x7f-\xff]')


def arguments(text: bytes, literals: Sequence[bytes] = ()) -> list[Arg]:
    """All arguments of a line; `text` holds `{n}CRLF` where each of `literals` belongs.

    Raises BadSyntax in Dovecot's words.
    """
    if not _HAS_STRUCTURE.search(text):
        return [Atom(word) for word in text.split(b" ") if word]
    return _scan(text, iter(literals))


def _scan(text: bytes, literals: Iterator[bytes]) -> list[Arg]:
    args: list[Arg] = []
    stack: list[list[Arg]] = []
    match = _TOKEN.match
    pos = 0
    while True:
        found = match(text, pos)
        if found is None:
            _explain(text, pos)
        pos = found.end()
        kind = found.lastindex
        if kind == 1:
            args.append(Atom(found[1]))
        elif kind == 2:
            args.append(_quoted(found[2]))
        elif kind is None:
            args.append(Literal(next(literals)))
        elif kind == 4:
            break
        elif found[3] == b"(":
            if len(stack) == MAX_LIST_NESTING:
                raise BadSyntax("Too many '('")
            stack.append(args)
            inner: list[Arg] = []
            args.append(inner)
            args = inner
        elif stack:
            args = stack.pop()
        else:
            raise BadSyntax("Unexpected ')'")
    if stack:
        raise BadSyntax("Missing ')'")
    return args


def _quoted(token: bytes) -> Quoted:
    if b"\\" in token:
        return Quoted(_ESCAPE.sub(rb"\1", token[1:-1]))
    return Quoted(token[1:-1])


def _explain(text: bytes, pos: int) -> NoReturn:
    """Say what is wrong with the token at `pos`."""
    while text[pos : pos + 1] == b" ":
        pos += 1
    first = text[pos : pos + 1]
    if first == b'"':
        if b"\x00" in text[pos:]:
            raise BadSyntax("NULs not allowed in strings")
        raise BadSyntax("Missing '\"'")
    if first == b"{" or text[pos : pos + 2] == b"~{":
        if re.match(rb"~?\{[0-9]+\+?\}", text[pos:]):
            raise BadSyntax("Missing LF after literal size")
        raise BadSyntax("Invalid literal size")
    while pos < len(text) and re.match(_ATOM, text[pos : pos + 1]):
        pos += 1
    if text[pos : pos + 1] > b"\x7f":
        raise BadSyntax("8bit data in atom")
    raise BadSyntax("Invalid characters in atom")

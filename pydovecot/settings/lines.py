"""One line of a configuration file: what kind it is, its key and its value (grammar rules 1 to 6, 8, 9).

Pure text work: no file is opened, no name is looked up.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

_BLANKS: Final = " \t"


class Kind(Enum):
    """Kinds of lines."""

    SKIP = "skip"
    CONTINUE = "continue"
    ERROR = "error"
    KEYVALUE = "key = value"
    KEYFILE = "key = <file"
    KEYVARIABLE = "key = $name"
    SECTION_BEGIN = "{"
    SECTION_END = "}"
    INCLUDE = "!include"
    INCLUDE_TRY = "!include_try"


@dataclass(frozen=True, slots=True)
class Line:
    """A classified line. For ERROR `value` is the message; for CONTINUE it is the text so far.

    `ambiguous`: a "#" that cut the line had no blank before it.
    """

    kind: Kind
    key: str = ""
    value: str = ""
    ambiguous: bool = False


def classify(text: str, before: str = "") -> Line:
    """Classify one physical line; `before` is what earlier lines ending in a backslash have left."""
    text = text.lstrip(_BLANKS)
    if not text or text[0] == "#":
        # Also inside a continuation: the parts before a comment or an empty line are lost, as in Dovecot.
        return Line(Kind.SKIP)
    text, ambiguous = _strip_comment(text)
    text = text.rstrip(_BLANKS)
    if text.endswith("\\"):
        part = text[:-1].rstrip(_BLANKS)
        return Line(Kind.CONTINUE, "", f"{before}{part} " if part else before, ambiguous)
    found = _logical(before + text)
    return Line(found.kind, found.key, found.value, True) if ambiguous else found


def _strip_comment(text: str) -> tuple[str, bool]:
    """Cut at the first "#" outside of quotes. An unclosed quote protects the rest of the line."""
    if "#" not in text:
        return text, False
    at = 0
    while at < len(text):
        char = text[at]
        if char in "\"'":
            at = _quote_end(text, at)
        elif char == "#":
            return text[:at], text[at - 1] not in _BLANKS
        at += 1
    return text, False


def _quote_end(text: str, start: int) -> int:
    """Index of the closing quote; the text's end when there is none."""
    quote, at = text[start], start + 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return at


def _logical(text: str) -> Line:
    end = 0
    while end < len(text) and text[end] not in " \t=":
        end += 1
    key, rest = text[:end], text[end:].lstrip(_BLANKS)
    if key == "!include":
        return Line(Kind.INCLUDE, key, rest)
    if key == "!include_try":
        return Line(Kind.INCLUDE_TRY, key, rest)
    if rest.startswith("="):
        if not key:
            return Line(Kind.ERROR, key, "Missing key name ('=' at the beginning of line)")
        return _key_value(key, rest[1:].lstrip(_BLANKS))
    if key == "}" and not rest:
        return Line(Kind.SECTION_END)
    return _section(key, rest)


def _key_value(key: str, value: str) -> Line:
    if value.startswith("<"):
        return Line(Kind.KEYFILE, key, value[1:].lstrip(_BLANKS))
    if value[:1] in ('"', "'") and value[-1] == value[0]:
        return Line(Kind.KEYVALUE, key, unescape(value[1:-1]))
    if "$" in value:
        return Line(Kind.KEYVARIABLE, key, value)
    return Line(Kind.KEYVALUE, key, value)


def _section(key: str, rest: str) -> Line:
    name = ""
    if not rest.startswith("{"):
        if rest.startswith('"'):
            name, closed, rest = rest[1:].partition('"')
            if not closed:
                return Line(Kind.ERROR, key, "Expecting '{'")
            name = unescape(name)
        else:
            end = 0
            while end < len(rest) and rest[end] not in _BLANKS:
                end += 1
            name, rest = rest[:end], rest[end:]
        rest = rest.lstrip(_BLANKS)
        if not rest.startswith("{"):
            return Line(Kind.ERROR, key, "Expecting '{'")
    if rest != "{":
        return Line(Kind.ERROR, key, "Garbage after '{'")
    return Line(Kind.SECTION_BEGIN, key, name)


def unescape(text: str) -> str:
    r"""Remove backslashes that protect a character: \" becomes ", \\ becomes \."""
    if "\\" not in text:
        return text
    out = []
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        out.append(text[at : at + 1])
        at += 1
    return "".join(out)


def escape(text: str) -> str:
    r"""Put backslashes before " ' and \."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")

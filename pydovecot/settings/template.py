"""The syntax of % variables: a template becomes plain texts and fields, and a field's value is modified.

What a variable's value is, `settings.expand` knows.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MAX_MODIFIERS: Final = 10  # Dovecot: MAX_MODIFIER_COUNT
MAX_PAD: Final = 4096  # a width comes from configuration files, but a typo must not take all memory
MAX_WIDTH: Final = 2**32 - 1  # as modulus of a hash

_WIDTH: Final = re.compile(r"(-?[0-9]*)(?:(\.)(-?[0-9]*))?")


@dataclass(frozen=True, slots=True)
class Field:
    """One variable of a template."""

    name: str
    modifiers: str = ""
    offset: int = 0
    width: int = 0
    zero_pad: bool = False
    plain: bool = True  # neither modifiers nor cutting


@lru_cache(maxsize=512)
def compile_template(template: str) -> tuple[str | Field, ...]:
    """Texts and fields in order; never fails."""
    parts: list[str | Field] = []
    at = 0
    while True:
        found = template.find("%", at)
        if found < 0:
            parts.append(template[at:])
            return tuple(parts)
        parts.append(template[at:found])
        at = _compile_field(template, found + 1, parts)


def _compile_field(template: str, at: int, parts: list[str | Field]) -> int:
    """Take one variable after its "%"; returns where the text goes on."""
    offset = width = 0
    zero_pad = False
    found = _WIDTH.match(template, at)
    if found is not None and (found[1] or found[2]):
        at = found.end()
        if found[2]:
            offset, width = _number(found[1]), _number(found[3])
            zero_pad = found[3].startswith("0")
        else:
            width = abs(_number(found[1]))
            zero_pad = found[1].startswith("0") and width > 0
    modifiers = ""
    while at < len(template) and len(modifiers) < MAX_MODIFIERS and template[at] in _MODIFIERS:
        modifiers += template[at]
        at += 1
    if at >= len(template):
        return at
    if template[at] == "%":
        parts.append("%")
        return at + 1
    plain = not modifiers and not offset and not width
    end = _closing_brace(template, at) if template[at] == "{" else -1
    if end < 0:
        parts.append(Field(template[at], modifiers, offset, width, zero_pad, plain))
        return at + 1
    parts.append(Field(template[at + 1 : end], modifiers, offset, width, zero_pad, plain))
    return end + 1


def _number(text: str) -> int:
    try:
        return max(min(int(text[:12]), MAX_WIDTH), -MAX_WIDTH)
    except ValueError:
        return 0


def _closing_brace(template: str, at: int) -> int:
    depth = 0
    while at < len(template):
        char = template[at]
        if char == "\\":
            at += 1
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    return -1


def modify(value: str, field: Field) -> str:
    """Apply the field's modifiers and its cut."""
    offset, width = field.offset, field.width
    for letter in field.modifiers:
        if letter in "HN":
            value, offset, width = _hash_modifier(value, letter, offset, width), 0, 0
        else:
            value = _MODIFIERS[letter](value)
    value = value[offset:]
    if not width:
        return value
    if field.zero_pad:
        return value.rjust(min(width, MAX_PAD), "0")
    return value[:width]


def _hash_modifier(value: str, letter: str, offset: int, width: int) -> str:
    raw = value.encode("utf-8", "surrogateescape")
    if letter == "H":
        number = _old_hash(raw)
    else:
        number = int.from_bytes(hashlib.md5(raw, usedforsecurity=False).digest()[:8], "big")
    if width:
        # C's int width is widened with its sign, so 4294967295 means "all bits".
        number %= width if 0 < width < 2**31 else (width & 0xFFFFFFFF) + (2**64 - 2**32)
    return f"{number & 0xFFFFFFFF:x}".rjust(min(offset, MAX_PAD), "0")


def _old_hash(raw: bytes) -> int:
    """The PJW hash, 32 bits, with the top four bits always clear."""
    value = 0
    for byte in raw:
        value = ((value << 4) + byte) & 0xFFFFFFFF
        top = value & 0xF0000000
        if top:
            value ^= (top >> 24) ^ top
    return value


def _hex_number(value: str) -> str:
    return f"{int(value):x}" if value.isascii() and value.isdecimal() and int(value[:30]) < 2**64 else "0"


def _md5(value: str) -> str:
    return hashlib.md5(value.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _ldap_dn(value: str) -> str:
    """example.org becomes example,dc=org, for "dc=%Dd"."""
    return value.replace(".", ",dc=")


_MODIFIERS: Final[Mapping[str, Callable[[str], str]]] = {
    "L": str.lower,
    "U": str.upper,
    "E": lambda value: re.sub(r"([\"'\\])", r"\\\1", value),
    "X": _hex_number,
    "R": lambda value: value[::-1],
    "N": str,
    "H": str,
    "M": _md5,
    "D": _ldap_dn,
    "T": lambda value: value.rstrip(" \t\r\n"),
}

"""% variables: `expand("%Lu", {"user": "Alice"})` is "alice".

A table maps names to values. Names are the long ones of Dovecot ("user", "rip", "session") or single letters;
a letter that is not in the table is looked up by the long names it stands for. Syntax, as in Dovecot 2.3:

    %u  %{user}                  a variable
    %Lu %L{user}                 modifiers L U E X R H N M D T, several in sequence
    %5u %3.5u %-2.2u %05u        width, offset.width, offset from the end, zero padding
    %16Hu %2.256Nu               hashes modulo the width, padded to the offset
    %{sha256;rounds=2,salt=x,format=hex:user}   hash functions; also %{md5:user}
    %{if;%u;eq;admin;yes;no}     conditions; every part may hold variables, ":" "," ";" "}" after a backslash
    %{env:HOME} %{hostname} %{pid} %{uid} %{gid}
    %{userdb:home}               functions given by the caller

An unknown variable becomes UNSUPPORTED_VARIABLE_x in the text, and is reported by `expand_checked`.
Nothing here raises for any template. Missing values expand to the empty text.
"""

import binascii
import fnmatch
import hashlib
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

Function = Callable[[str], str | None]

MAX_MODIFIERS: Final = 10  # Dovecot: MAX_MODIFIER_COUNT
MAX_PAD: Final = 4096  # a width comes from configuration files, but a typo must not take all memory
MAX_WIDTH: Final = 2**32 - 1  # as modulus of a hash
MAX_NESTING: Final = 10  # %{if} in %{if}
MAX_HASH_ROUNDS: Final = 1_000_000

# What a letter stands for where the table has only long names, best first.
LETTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "u": ("user",),
    "n": ("username",),
    "d": ("domain",),
    "s": ("service", "protocol"),
    "h": ("home",),
    "l": ("lip", "local_ip"),
    "r": ("rip", "remote_ip"),
    "p": ("pid",),
    "i": ("uid",),
    "w": ("password",),
    "m": ("mech",),
    "c": ("secured",),
    "a": ("lport", "local_port"),
    "b": ("rport", "remote_port"),
    "k": ("cert", "ssl_security"),
    "e": ("mail_pid",),
    "$": ("message",),
}
ALIASES: Final[Mapping[str, str]] = {
    "local_ip": "lip",
    "lip": "local_ip",
    "remote_ip": "rip",
    "rip": "remote_ip",
    "local_port": "lport",
    "lport": "local_port",
    "remote_port": "rport",
    "rport": "remote_port",
    "protocol": "service",
    "service": "protocol",
}
_LETTER_OF: Final = {name: letter for letter, names in LETTERS.items() for name in names}

_HASHES: Final = {
    "md5": "md5",
    "sha1": "sha1",
    "sha256": "sha256",
    "sha384": "sha384",
    "sha512": "sha512",
    "sha3": "sha3_256",
    "sha3-256": "sha3_256",
    "sha3-512": "sha3_512",
}
_WIDTH: Final = re.compile(r"(-?[0-9]*)(?:(\.)(-?[0-9]*))?")


@dataclass(frozen=True, slots=True)
class _Field:
    """One variable of a template."""

    name: str
    modifiers: str = ""
    offset: int = 0
    width: int = 0
    zero_pad: bool = False
    plain: bool = True  # neither modifiers nor cutting


class _Run:
    """One expansion: the table, the caller's functions, and what could not be found."""

    __slots__ = ("depth", "functions", "problems", "table")

    def __init__(self, table: Mapping[str, str], functions: Mapping[str, Function] | None) -> None:
        self.table, self.functions = table, functions
        self.problems: list[str] = []
        self.depth = 0

    def expand(self, template: str) -> str:
        out = []
        for part in _compile(template):
            if isinstance(part, str):
                out.append(part)
                continue
            value = self.value(part.name)
            out.append(value if part.plain else _modify(value, part))
        return "".join(out)

    def value(self, name: str) -> str:
        found = _lookup(self.table, name)
        if found is None and len(name) > 1:
            found = self._function(name)
        if found is None:
            self.problems.append(f"Unknown variable '%{name if len(name) == 1 else '{' + name + '}'}'")
            return f"UNSUPPORTED_VARIABLE_{name}"
        return found

    def _function(self, name: str) -> str | None:
        head, separator, rest = name.partition(":")
        if head.startswith("if;"):
            return self._condition(name[3:])
        kind, _, options = head.partition(";")
        if separator and self.functions and kind in self.functions:
            return self.functions[kind](rest) or ""
        if separator and kind == "env":
            return os.environ.get(rest, "")
        if separator and kind in _HASHES:
            return self._hash(kind, options, rest)
        return _world(name)

    def _hash(self, kind: str, options: str, name: str) -> str | None:
        arguments = dict(option.partition("=")[::2] for option in options.split(",") if option)
        try:
            rounds = min(max(int(arguments.pop("rounds", "1")), 1), MAX_HASH_ROUNDS)
            truncate = int(arguments.pop("truncate", "0"))
        except ValueError:
            self.problems.append(f"Invalid hash options '{options}'")
            return ""
        salt, form = arguments.pop("salt", ""), arguments.pop("format", "hex")
        if arguments or form not in {"hex", "base64"}:
            self.problems.append(f"Invalid hash options '{options}'")
            return ""
        seasoning = salt.encode("utf-8", "surrogateescape")
        digest = self.value(name).encode("utf-8", "surrogateescape")
        for _ in range(rounds):
            digest = hashlib.new(_HASHES[kind], seasoning + digest, usedforsecurity=False).digest()
        if 0 < truncate < len(digest) * 8:
            digest = _truncate(digest, truncate)
        if form == "base64":
            return _base64(digest)
        return digest.hex()

    def _condition(self, text: str) -> str:
        parts = _split_escaped(text)
        if not 4 <= len(parts) <= 5 or self.depth >= MAX_NESTING:
            self.problems.append("if: Too many or too few parameters")
            return ""
        self.depth += 1
        try:
            left, right = self.expand(parts[0]), self.expand(parts[2])
            verdict = _compare(left, parts[1], right)
            if verdict is None:
                self.problems.append(f"if: Unsupported comparator '{parts[1]}'")
                return ""
            chosen = parts[3] if verdict else (parts[4] if len(parts) == 5 else "")
            return self.expand(chosen)
        finally:
            self.depth -= 1


def expand(template: str, table: Mapping[str, str], functions: Mapping[str, Function] | None = None) -> str:
    """The template with its variables replaced.

    `functions` answers `%{name:argument}`; None from one of them is the empty text.
    """
    if "%" not in template:
        return template
    return _Run(table, functions).expand(template)


def expand_checked(
    template: str, table: Mapping[str, str], functions: Mapping[str, Function] | None = None
) -> tuple[str, list[str]]:
    """Like expand, with the list of what was wrong: "Unknown variable '%q'"."""
    run = _Run(table, functions)
    return run.expand(template), run.problems


def has_variable(template: str, letter: str, name: str = "") -> bool:
    """True if the template uses that letter or long name, inside a function's arguments too."""
    inside = re.compile(rf"%{re.escape(letter)}|[:{{]{re.escape(name or letter)}\b")
    return any(
        not isinstance(part, str)
        and (part.name in (letter, name) or (len(part.name) > 1 and inside.search(part.name) is not None))
        for part in _compile(template)
    )


def user_table(user: str, home: str | None = None, service: str = "") -> dict[str, str]:
    """The variables of a user, as mail settings see them; add addresses and session as known."""
    name, _, domain = user.partition("@")
    table = {
        "user": user,
        "username": name,
        "domain": domain,
        "domain_first": domain.partition("@")[0],
        "domain_last": domain.rpartition("@")[2],
        "service": service,
    }
    if home is not None:
        table["home"] = home
    return table


def _lookup(table: Mapping[str, str], name: str) -> str | None:
    found = table.get(name)
    if found is not None:
        return found
    if len(name) == 1:
        for long_name in LETTERS.get(name, ()):
            found = table.get(long_name)
            if found is not None:
                return found
        return None
    for other in (ALIASES.get(name), _LETTER_OF.get(name)):
        if other is not None and other in table:
            return table[other]
    return None


def _world(name: str) -> str | None:
    """Variables that are known everywhere."""
    if name == "hostname":
        return socket.gethostname()
    if name == "pid":
        return str(os.getpid())
    if name == "uid":
        return str(os.geteuid())
    if name == "gid":
        return str(os.getegid())
    return None


@lru_cache(maxsize=512)
def _compile(template: str) -> tuple[str | _Field, ...]:
    parts: list[str | _Field] = []
    at = 0
    while True:
        found = template.find("%", at)
        if found < 0:
            parts.append(template[at:])
            return tuple(parts)
        parts.append(template[at:found])
        at = _compile_field(template, found + 1, parts)


def _compile_field(template: str, at: int, parts: list[str | _Field]) -> int:
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
        parts.append(_Field(template[at], modifiers, offset, width, zero_pad, plain))
        return at + 1
    parts.append(_Field(template[at + 1 : end], modifiers, offset, width, zero_pad, plain))
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


def _split_escaped(text: str) -> list[str]:
    """Split at ";" outside of braces; backslashes protect the next character and go away."""
    parts, current, depth, at = [], [], 0, 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            if depth:
                current.append(char)
            current.append(text[at + 1])
            at += 2
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
        if char == ";" and depth == 0:
            parts.append("".join(current))
            current = []
        else:
            current.append(char)
        at += 1
    return [*parts, "".join(current)]


def _modify(value: str, field: _Field) -> str:
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


def _truncate(digest: bytes, bits: int) -> bytes:
    size = (bits + 7) // 8
    number = int.from_bytes(digest, "big") >> (len(digest) * 8 - bits)
    return number.to_bytes(size, "big")


def _base64(digest: bytes) -> str:
    return binascii.b2a_base64(digest, newline=False).decode()


def _compare(left: str, operator: str, right: str) -> bool | None:
    """The verdict of %{if}; None for an unknown operator. Text that is no number counts as zero."""
    numeric = {"==": 0, "!=": 0, "<": 0, "<=": 0, ">": 0, ">=": 0}
    if operator in numeric:
        return _ordered(_as_int(left), operator, _as_int(right))
    named = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
    if operator in named:
        return _ordered(left, named[operator], right)
    if operator in {"*", "!*"}:
        return fnmatch.fnmatchcase(left, right) == (operator == "*")
    if operator in {"~", "!~"}:
        try:
            return (re.search(right, left) is not None) == (operator == "~")
        except re.error:
            return False
    return None


def _as_int(text: str) -> int:
    try:
        return int(text[:30])
    except ValueError:
        return 0


def _ordered(left: int | str, operator: str, right: int | str) -> bool:
    a, b = (str(left), str(right)) if isinstance(left, str) or isinstance(right, str) else (left, right)
    return {
        "==": a == b,
        "!=": a != b,
        "<": a < b,  # type: ignore[operator]
        "<=": a <= b,  # type: ignore[operator]
        ">": a > b,  # type: ignore[operator]
        ">=": a >= b,  # type: ignore[operator]
    }[operator]

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
from typing import Final

from pydovecot.settings.template import compile_template, modify

Function = Callable[[str], str | None]

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


class _Run:
    """One expansion: the table, the caller's functions, and what could not be found."""

    __slots__ = ("depth", "functions", "problems", "table")

    def __init__(self, table: Mapping[str, str], functions: Mapping[str, Function] | None) -> None:
        self.table, self.functions = table, functions
        self.problems: list[str] = []
        self.depth = 0

    def expand(self, template: str) -> str:
        out = []
        for part in compile_template(template):
            if isinstance(part, str):
                out.append(part)
                continue
            value = self.value(part.name)
            out.append(value if part.plain else modify(value, part))
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
        for part in compile_template(template)
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

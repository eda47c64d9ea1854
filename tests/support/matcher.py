"""Compares a response with a pattern of the transcript language."""

import re

from tests.support.transcript import unescape

_VARIABLE = re.compile(rb"%\{([^}:]*)(?::((?:[^{}]|\{[0-9,]+\})*))?\}|\{\*\}\r\n")
# "(0.001 + 0.000 secs)" of tagged answers: how long it took is not compared.
_TIMING = re.compile(rb" \(\d+\.\d+ \+ \d+\.\d+(?: \+ \d+\.\d+)? secs\)")
# "[2026-08-22 12:00:00]" after an internal error.
_STAMP = re.compile(rb"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]")


def normalise(response: bytes) -> bytes:
    """Without what changes from run to run."""
    return _STAMP.sub(b"[time]", _TIMING.sub(b"", response))


def substitute(data: bytes, names: dict[bytes, bytes]) -> bytes:
    """Client bytes: `%{name}` becomes what was captured, `%{x:..}` bytes."""

    def value(match: re.Match[bytes]) -> bytes:
        name = match[1]
        return names[name] if name is not None and match[2] is None and name in names else match[0]

    return _VARIABLE.sub(value, unescape(data))


def match(pattern: bytes, response: bytes, names: dict[bytes, bytes]) -> dict[bytes, bytes] | None:
    """New captures when `response` fits, else None.

    In patterns: `%{*}` any text, `%{#}` a number, `%{:regex}`, `%{name:regex}` captured, `%{name}` the same
    again, `{*}` with nothing after it any literal.
    """
    parts: list[bytes] = []
    groups: list[bytes] = []
    at = 0
    for found in _VARIABLE.finditer(pattern):
        parts.append(re.escape(pattern[at : found.start()]))
        at = found.end()
        parts.append(_expression(found, names, groups))
    parts.append(re.escape(pattern[at:]))
    result = re.fullmatch(b"".join(parts), normalise(response), re.DOTALL)
    if result is None:
        return None
    return {name: result[f"n{index}"] for index, name in enumerate(groups)}


def _expression(found: re.Match[bytes], names: dict[bytes, bytes], groups: list[bytes]) -> bytes:
    name, expression = found[1], found[2]
    if name is None:
        return rb"\{\d+\}\r\n.*?"
    if name == b"*":
        return rb"[^\r\n]*?"
    if name == b"#":
        return rb"\d+"
    if name == b"x":
        return re.escape(bytes.fromhex((expression or b"").decode()))
    if expression is None:
        return re.escape(names[name])
    if not name:
        return b"(?:" + expression + b")"
    groups.append(name)
    return b"(?P<n%d>%s)" % (len(groups) - 1, expression)

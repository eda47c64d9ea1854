"""Content-Type and Content-Disposition values: type, and parameters with RFC 2231 continuations merged."""

import re
from functools import lru_cache
from typing import Final

from pydovecot.mime.scanner import Scanner

Params = tuple[tuple[bytes, bytes], ...]

# Steps of one value: parameters, and octets skipped where one is broken. What is behind them is dropped, as
# by Dovecot since CVE-2026-27852: the time spent on RFC 2231 pieces has an end.
MAX_STEPS: Final = 128
MAX_LANGUAGES: Final = 1000
MAX_CACHED_VALUE: Final = 512
_NUMBERED: Final = re.compile(rb"([^*]*)\*([0-9]*)(\*?)")
_VALUE_STOP: Final = re.compile(rb"[; \t\r\n]")
_UINT_MASK: Final = 0xFFFFFFFF


def content_type(value: bytes) -> tuple[bytes, bool, Params]:
    """`type/subtype` (as much as there is), whether it is well formed, and the parameters."""
    if len(value) <= MAX_CACHED_VALUE:
        return _content_type_cached(value)
    return _content_type(value)


# How nearly all say it: type/subtype; name=token; name="quoted". No comments, no escapes, no RFC 2231.
_PARAM: Final = (
    rb";[ \t\r\n]*([A-Za-z0-9!#$%&'+\-^_`{|}~.]+)="
    rb"(?:\"([^\"\\\r\n\0]*)\"|([A-Za-z0-9!#$%&'*+\-^_`{|}~.\x80-\xff]+))[ \t\r\n]*+"
)
_ONE_PARAM: Final = re.compile(_PARAM)
_SIMPLE: Final = re.compile(
    rb"[ \t\r\n]*([A-Za-z0-9.+\-]+/[A-Za-z0-9.+\-]+)[ \t\r\n]*+((?:" + _PARAM + rb")*+)"
)


def _content_type(value: bytes) -> tuple[bytes, bool, Params]:
    simple = _SIMPLE.fullmatch(value)
    if simple is not None and len(value) <= MAX_CACHED_VALUE:
        found = _ONE_PARAM.findall(simple[2])
        return simple[1], True, tuple([(name, quoted or token) for name, quoted, token in found])
    scanner = Scanner(value)
    out: list[bytes] = []
    ok = _take_type(scanner, out)
    return b"".join(out), ok, _take_params(scanner) if ok else ()


_content_type_cached = lru_cache(maxsize=1024)(_content_type)


def _take_type(scanner: Scanner, out: list[bytes]) -> bool:
    """Anything but `type / subtype` and then `;` or the end is no type at all, save a lone first word."""
    scanner.skip_ws()
    if scanner.skip_ws() <= 0 or scanner.take_token(out) <= 0:
        return False
    main = out.pop()
    if not main or not scanner.peek(b"/"):
        return False
    scanner.pos += 1
    sub: list[bytes] = []
    if scanner.skip_ws() <= 0 or scanner.take_token(sub) < 0 or not sub[0]:
        return False
    if scanner.more() and not scanner.peek(b";"):
        return False
    out += (main, b"/", sub[0])
    return True


def disposition(value: bytes) -> tuple[bytes | None, Params]:
    """The disposition word (None: broken) and the parameters."""
    scanner = Scanner(value)
    scanner.skip_ws()
    out: list[bytes] = []
    if scanner.take_token(out) < 0:
        return None, ()
    return b"".join(out), _take_params(scanner)


def transfer_encoding(value: bytes) -> bytes | None:
    """The encoding's name; None when it is no single token."""
    scanner = Scanner(value)
    scanner.skip_ws()
    out: list[bytes] = []
    if scanner.take_token(out) < 0 or scanner.skip_ws() != 0:
        return None
    return b"".join(out) or None


def languages(value: bytes) -> list[bytes]:
    """Content-Language tags. RFC 3282."""
    scanner = Scanner(value)
    scanner.skip_ws()
    tags: list[bytes] = []
    while len(tags) < MAX_LANGUAGES:
        out: list[bytes] = []
        if scanner.take_atom(out) < 0:
            break
        tags.append(b"".join(out))
        if not scanner.peek(b","):
            break
        scanner.pos += 1
        scanner.skip_ws()
    return tags


def find(params: Params, name: bytes) -> bytes | None:
    """The first parameter of that lower-case name."""
    for key, value in params:
        if key.lower() == name:
            return value
    return None


def _take_params(scanner: Scanner) -> Params:
    plain: list[tuple[bytes, bytes]] = []
    pieces: list[tuple[bytes, int, bool, bytes]] = []
    index = 0  # an empty number repeats the one before, as Dovecot's parser does
    steps = 0
    while scanner.pos < scanner.end and steps < MAX_STEPS:
        pair = _take_param(scanner)
        steps += 1
        if pair is None:
            # Broken: go on with the next separator. Each octet up to there is a step.
            nxt = scanner.data.find(b";", scanner.pos + 1)
            if nxt < 0:
                break
            steps += nxt - scanner.pos - 1
            scanner.pos = nxt
            continue
        key, value = pair
        found = _NUMBERED.match(key)
        if found is None:
            plain.append((key, value))
            continue
        name, digits, star = found.groups()
        if digits or star or found.end() < len(key):
            index = int(digits[:20] or b"0") & _UINT_MASK
        # "name*" is extended too, and its number is whatever the last one was.
        if found.end() < len(key):
            plain.append((key, value))
        else:
            pieces.append((name, index, bool(star) or not digits, value))
    if pieces:
        plain += _merge(pieces)
    return tuple(plain)


def _take_param(scanner: Scanner) -> tuple[bytes, bytes] | None:
    if not scanner.peek(b";"):
        return None
    scanner.pos += 1
    if scanner.skip_ws() <= 0:
        return None
    key: list[bytes] = []
    if scanner.take_token(key) <= 0 or not scanner.peek(b"="):
        return None
    scanner.pos += 1
    value: list[bytes] = []
    if (ret := scanner.skip_ws()) > 0:
        if scanner.peek(b'"'):
            ret = scanner.take_quoted(value)
        elif scanner.peek(b"="):
            # name==?utf-8?b?...?= is what some senders write.
            stop = _VALUE_STOP.search(scanner.data, scanner.pos)
            end = stop.start() if stop else scanner.end
            value.append(scanner.data[scanner.pos : end].partition(b"\0")[0])
            scanner.pos = end
        else:
            ret = scanner.take_token(value)
    if ret < 0:
        return None
    return b"".join(key), b"".join(value)


def _merge(pieces: list[tuple[bytes, int, bool, bytes]]) -> list[tuple[bytes, bytes]]:
    """Join name*0, name*1 … to one parameter. RFC 2231 3."""
    pieces.sort(key=lambda piece: piece[:2])
    result: list[tuple[bytes, bytes]] = []
    start = 0
    while start < len(pieces):
        name = pieces[start][0].lower()
        stop = start
        while stop < len(pieces) and pieces[stop][0].lower() == name:
            stop += 1
        group = pieces[start:stop]
        start = stop
        if any(piece[1] != number for number, piece in enumerate(group)):
            # A piece is missing: show them as they came.
            result += [(b"%b*%d%b" % (key, no, b"*" if ext else b""), value) for key, no, ext, value in group]
            continue
        key, _, first_extended, _ = group[0]
        if any(piece[2] for piece in group):
            text = b"".join(v if ext else v.replace(b"%", b"%25") for _, _, ext, v in group)
            result.append((key + b"*", text if first_extended else b"''" + text))
        else:
            result.append((key, b"".join(piece[3] for piece in group)))
    return result

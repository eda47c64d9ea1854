"""A part tree as a short byte string for the cache, and back."""

from typing import Final

from pydovecot.mime.structure import MAX_NESTED_PARTS, MAX_TOTAL_PARTS, Part

VERSION: Final = 1
_FIELDS: Final = 8  # numbers of each part: see _numbers


def encode(root: Part) -> bytes:
    """The tree without its header fields; a plain message takes about 15 octets."""
    out = bytearray([VERSION])
    stack = [(root, 0)]
    while stack:
        part, base = stack.pop()
        for number in _numbers(part, base):
            while number > 0x7F:
                out.append(number & 0x7F | 0x80)
                number >>= 7
            out.append(number)
        stack += [(child, part.start) for child in reversed(part.children)]
    return bytes(out)


def _numbers(part: Part, base: int) -> tuple[int, ...]:
    header = part.body - part.start
    body = part.end - part.body
    return (
        part.start - base,
        part.flags,
        len(part.children),
        header,
        body,
        part.header_lines,
        part.body_lines,
        (part.header_virtual - header) << 32 | (part.body_virtual - body),
    )


def decode(data: bytes) -> Part | None:
    """The tree that `encode` was given; None when the bytes are not one."""
    numbers = _read(data)
    if not numbers or len(numbers) % _FIELDS:
        return None
    root = Part(0)
    parts: list[tuple[Part, int]] = []  # around the next one, with the number of children still to come
    for at in range(0, len(numbers), _FIELDS):
        part = root if at == 0 else Part(0)
        parent = None
        while parts and parts[-1][1] == 0:
            parts.pop()
        if parts:
            parent, left = parts[-1]
            parts[-1] = parent, left - 1
            parent.children.append(part)
        elif at:
            return None
        _fill(part, numbers[at : at + _FIELDS], parent.start if parent else 0)
        parts.append((part, numbers[at + 2]))
        if len(parts) > MAX_NESTED_PARTS + 1:
            return None
    return None if any(left for _, left in parts) else root


def _read(data: bytes) -> list[int] | None:
    if data[:1] != bytes([VERSION]):
        return None
    numbers: list[int] = []
    value = shift = 0
    for byte in data[1:]:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift > 140:
                return None
        else:
            numbers.append(value)
            value = shift = 0
    if shift or len(numbers) > MAX_TOTAL_PARTS * _FIELDS:
        return None
    return numbers


def _fill(part: Part, numbers: list[int], base: int) -> None:
    start, flags, _, header, body, header_lines, body_lines, extra = numbers
    part.start = base + start
    part.flags = flags
    part.body = part.start + header
    part.end = part.body + body
    part.header_lines = header_lines
    part.body_lines = body_lines
    part.header_virtual = header + (extra >> 32)
    part.body_virtual = body + (extra & 0xFFFFFFFF)

"""HMAC-MD5, also called CRAM-MD5: the two MD5 states after the padded keys, 32 bytes.

With them a CRAM-MD5 response (RFC 2195) can be checked without knowing the password. hashlib cannot start
from a state, so the compression function is here; it runs twice for a login, and only for passwords
stored in this scheme.
"""

import hmac
import math
import struct
from typing import Final

from pydovecot.password.digest import md5
from pydovecot.password.scheme import BadHash, Making

CONTEXT_BYTES: Final = 32
_BLOCK: Final = 64
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_MASK: Final = 0xFFFFFFFF
_SINES: Final = tuple(int(abs(math.sin(i + 1)) * 2**32) & _MASK for i in range(64))  # RFC 1321 3.4
_SHIFTS: Final = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
_IPAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OPAD: Final = bytes(byte ^ 0x5C for byte in range(256))

State = tuple[int, int, int, int]


def _compress(state: State, block: bytes) -> State:
    """One step of MD5 (RFC 1321 3.4)."""
    words = struct.unpack("<16I", block)
    a, b, c, d = state
    for i in range(64):
        if i < 16:
            mixed, k = (b & c) | (~b & d), i
        elif i < 32:
            mixed, k = (d & b) | (~d & c), (5 * i + 1) % 16
        elif i < 48:
            mixed, k = b ^ c ^ d, (3 * i + 5) % 16
        else:
            mixed, k = c ^ (b | (~d & _MASK)), (7 * i) % 16
        turned = (a + mixed + _SINES[i] + words[k]) & _MASK
        shift = _SHIFTS[i // 16][i % 4]
        a, d, c, b = d, c, b, (b + ((turned << shift) | (turned >> (32 - shift)))) & _MASK
    return (
        (state[0] + a) & _MASK,
        (state[1] + b) & _MASK,
        (state[2] + c) & _MASK,
        (state[3] + d) & _MASK,
    )


def _finish(state: State, data: bytes) -> bytes:
    """MD5 of a key block that led to `state`, followed by `data`."""
    bits = (_BLOCK + len(data)) * 8
    padded = data + b"\x80" + b"\0" * ((55 - len(data)) % _BLOCK) + struct.pack("<Q", bits)
    for start in range(0, len(padded), _BLOCK):
        state = _compress(state, padded[start : start + _BLOCK])
    return struct.pack("<4I", *state)


def generate(plaintext: bytes, _making: Making) -> bytes:
    """Outer state, then inner state."""
    return context_of(plaintext)


def context_of(plaintext: bytes) -> bytes:
    """The 32 bytes that the scheme stores for a password."""
    # RFC 2104 2: a key longer than a block is hashed first.
    key = (plaintext if len(plaintext) <= _BLOCK else md5(plaintext)).ljust(_BLOCK, b"\0")
    outer = _compress(_START, key.translate(_OPAD))
    inner = _compress(_START, key.translate(_IPAD))
    return struct.pack("<8I", *outer, *inner)


def verify(plaintext: bytes, raw: bytes, _user: str) -> bool:
    """True if the password gives these states."""
    return hmac.compare_digest(context_of(plaintext), raw)


def hmac_of(context: bytes, message: bytes) -> bytes:
    """HMAC-MD5 of `message` from a stored context."""
    if len(context) != CONTEXT_BYTES:
        raise BadHash("CRAM-MD5 context has a wrong size")
    words = struct.unpack("<8I", context)
    inner = _finish((words[4], words[5], words[6], words[7]), message)
    return _finish((words[0], words[1], words[2], words[3]), inner)

"""What a password scheme is: how a stored password is made, checked and written.

Reference: features E.2. "raw" is the stored password after its text encoding was undone; for schemes whose
encoding is NONE it is the text itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

SALT_CHARS: Final = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # crypt(3)


class Encoding(Enum):
    """How the raw bytes are written after {SCHEME}."""

    NONE = ""
    HEX = "HEX"
    BASE64 = "BASE64"


class BadHash(Exception):
    """The stored password is no password of its scheme; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Making:
    """What `generate` may use: `user` for schemes that mix it in, `rounds` 0 for the default."""

    user: str
    rounds: int
    random: Callable[[int], bytes]

    def salt(self, length: int) -> bytes:
        """Random characters that crypt(3) takes in a salt."""
        return bytes(SALT_CHARS[byte & 63] for byte in self.random(length))


Verify = Callable[[bytes, bytes, str], bool]  # plaintext, raw, user; raises BadHash
Generate = Callable[[bytes, Making], bytes]  # plaintext -> raw


@dataclass(frozen=True, slots=True)
class Scheme:
    """One row of the table in schemes.py. `raw_length` 0: any; `costly`: takes milliseconds by design."""

    name: str
    encoding: Encoding
    raw_length: int
    verify: Verify
    generate: Generate
    costly: bool = False

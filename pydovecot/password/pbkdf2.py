"""PBKDF2: `$1$<salt>$<rounds>$<hex>`, HMAC-SHA1, 20 bytes (RFC 8018 5.2)."""

import hashlib
import hmac
from typing import Final

from pydovecot.password.scheme import BadHash, Making

ROUNDS: Final = 5000
MAX_ROUNDS: Final = 10_000_000  # several seconds; a typing error must not stop the process for hours
HASH_BYTES: Final = 20


def generate(plaintext: bytes, making: Making) -> bytes:
    """With a salt of 16 characters."""
    rounds = min(making.rounds or ROUNDS, MAX_ROUNDS)
    salt = making.salt(16)
    key = hashlib.pbkdf2_hmac("sha1", plaintext, salt, rounds, HASH_BYTES)
    return b"$1$%s$%d$%s" % (salt, rounds, key.hex().encode())


def verify(plaintext: bytes, raw: bytes, _user: str) -> bool:
    """True if the password makes this hash with its salt and rounds."""
    if not raw.startswith(b"$1$"):
        raise BadHash("Invalid PBKDF2 passdb entry prefix")
    fields = raw[3:].split(b"$")
    if len(fields) != 3 or not fields[1].isdigit() or not 0 < int(fields[1][:10]) <= MAX_ROUNDS:
        raise BadHash("Invalid PBKDF2 passdb entry format")
    try:
        stored = bytes.fromhex(fields[2].decode("ascii"))
    except ValueError as exc:
        raise BadHash("Invalid PBKDF2 passdb entry format") from exc
    key = hashlib.pbkdf2_hmac("sha1", plaintext, fields[0], int(fields[1]), HASH_BYTES)
    return hmac.compare_digest(key, stored)

"""Schemes that keep the password readable: PLAIN and its other names, PLAIN-TRUNC."""

import hmac

from pydovecot.password.scheme import BadHash, Making


def generate(plaintext: bytes, _making: Making) -> bytes:
    """The password itself."""
    return plaintext


def verify(plaintext: bytes, raw: bytes, _user: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(plaintext, raw)


def verify_truncated(plaintext: bytes, raw: bytes, _user: str) -> bool:
    """`<n>-<password>`: only the first n bytes of what the user gives count."""
    length, dash, stored = raw.partition(b"-")
    if not dash or not length.isdigit() or len(length) > 9:
        raise BadHash("PLAIN-TRUNC missing length: prefix")
    return hmac.compare_digest(plaintext[: int(length)], stored)

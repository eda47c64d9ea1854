"""ARGON2I and ARGON2ID: any $argon2...$ string is checked by its own parameters."""

from typing import Final

import argon2.exceptions
from argon2.low_level import Type, hash_secret, verify_secret

from pydovecot.password.scheme import BadHash, Generate, Making

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
MAX_MEMORY_KIB: Final = 1 << 20  # a stored hash must not make us take more than 1 GB

# What libsodium takes for "interactive" use, and Dovecot writes: time, memory in KiB.
_COST: Final = {Type.I: (4, 32768), Type.ID: (3, 65536)}


def generator(kind: Type) -> Generate:
    """`rounds` is the time cost."""

    def generate(plaintext: bytes, making: Making) -> bytes:
        time, memory = _COST[kind]
        return hash_secret(
            plaintext, making.random(SALT_BYTES), max(making.rounds, 3) if making.rounds else time,
            memory, 1, HASH_BYTES, kind,
        )  # fmt: skip

    return generate


def verify(plaintext: bytes, raw: bytes, _user: str) -> bool:
    """True if the password makes this hash; its own parameters count."""
    if raw.startswith(b"$argon2id$"):
        kind = Type.ID
    elif raw.startswith(b"$argon2i$"):
        kind = Type.I
    else:
        return False
    if _memory(raw) > MAX_MEMORY_KIB:
        raise BadHash("Argon2 password asks for too much memory")
    try:
        return verify_secret(raw, plaintext, kind)
    except argon2.exceptions.VerifyMismatchError:
        return False
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, ValueError) as exc:
        raise BadHash(f"Not a valid Argon2 password: {exc}") from exc


def _memory(raw: bytes) -> int:
    for parameter in raw.split(b"$")[3:4]:
        for pair in parameter.split(b","):
            if pair.startswith(b"m=") and pair[2:].isdigit() and len(pair) < 15:
                return int(pair[2:])
    return 0

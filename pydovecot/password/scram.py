"""Stored form of SCRAM passwords: `<rounds>,<salt b64>,<StoredKey b64>,<ServerKey b64>` (RFC 5802 3)."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from pydovecot.password.scheme import BadHash, Generate, Making, Verify

ROUNDS: Final = 4096  # RFC 5802 5.1: the least a server may announce
MAX_ROUNDS: Final = 10_000_000
SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps instead of the password."""

    rounds: int
    salt: bytes
    stored_key: bytes
    server_key: bytes


def derive(digest: str, plaintext: bytes, salt: bytes, rounds: int) -> ScramKeys:
    """RFC 5802 3: SaltedPassword, ClientKey, StoredKey, ServerKey."""
    salted = hashlib.pbkdf2_hmac(digest, plaintext, salt, rounds)
    client_key = hmac.digest(salted, b"Client Key", digest)
    server_key = hmac.digest(salted, b"Server Key", digest)
    return ScramKeys(rounds, salt, stored_key_of(digest, client_key), server_key)


def stored_key_of(digest: str, client_key: bytes) -> bytes:
    """RFC 5802 3: StoredKey = H(ClientKey)."""
    return hashlib.new(digest, client_key, usedforsecurity=True).digest()


def parse(name: str, raw: bytes) -> ScramKeys:
    """The keys of a stored password; BadHash if it is none."""
    fields = raw.split(b",")
    if len(fields) != 4 or not fields[0].isdigit() or not 0 < int(fields[0][:10]) <= MAX_ROUNDS:
        raise BadHash(f"Invalid {name} passdb entry format")
    try:
        salt, stored, server = (base64.b64decode(part, validate=True) for part in fields[1:])
    except binascii.Error as exc:
        raise BadHash(f"Invalid {name} passdb entry format") from exc
    return ScramKeys(int(fields[0]), salt, stored, server)


def generator(digest: str) -> Generate:
    """Keys with a new salt, for a digest of hashlib."""

    def generate(plaintext: bytes, making: Making) -> bytes:
        keys = derive(digest, plaintext, making.random(SALT_BYTES), min(making.rounds or ROUNDS, MAX_ROUNDS))
        parts = (keys.salt, keys.stored_key, keys.server_key)
        return b",".join([str(keys.rounds).encode(), *map(base64.b64encode, parts)])

    return generate


def verifier(name: str, digest: str) -> Verify:
    """Derives the keys again and compares StoredKey."""

    def verify(plaintext: bytes, raw: bytes, _user: str) -> bool:
        keys = parse(name, raw)
        made = derive(digest, plaintext, keys.salt, keys.rounds)
        return hmac.compare_digest(made.stored_key, keys.stored_key)

    return verify

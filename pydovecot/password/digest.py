"""Schemes that are one hash of the password, with or without a salt after the digest: MD4, MD5, SHA."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from passlib.crypto.digest import lookup_hash

from pydovecot.password.scheme import BadHash, Generate, Making, Verify

Digest = Callable[[bytes], bytes]
SALT_BYTES: Final = 4  # what Dovecot writes; any length is read


def md5(data: bytes) -> bytes:
    """Not for security: what old files hold."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def md4(data: bytes) -> bytes:
    """OpenSSL 3 has no MD4 of its own any more."""
    result: bytes = lookup_hash("md4").const(data).digest()
    return result


def sha1(data: bytes) -> bytes:
    """Not for security: what old files hold."""
    return hashlib.sha1(data, usedforsecurity=False).digest()


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def sha512(data: bytes) -> bytes:
    """SHA-512."""
    return hashlib.sha512(data).digest()


def generator(digest: Digest) -> Generate:
    """A plain hash of the password."""
    return lambda plaintext, _making: digest(plaintext)


def verifier(digest: Digest) -> Verify:
    """Compares with a plain hash."""
    return lambda plaintext, raw, _user: hmac.compare_digest(digest(plaintext), raw)


def salted_generator(digest: Digest) -> Generate:
    """hash(password + salt), then the salt."""

    def generate(plaintext: bytes, making: Making) -> bytes:
        salt = making.random(SALT_BYTES)
        return digest(plaintext + salt) + salt

    return generate


def salted_verifier(digest: Digest, size: int, name: str) -> Verify:
    """The salt is what follows the digest of `size` bytes."""

    def verify(plaintext: bytes, raw: bytes, _user: str) -> bool:
        # A digest without a salt is accepted, as Dovecot does: it is then the plain hash.
        if len(raw) < size:
            raise BadHash(f"{name} password is too short")
        return hmac.compare_digest(digest(plaintext + raw[size:]), raw[:size])

    return verify


def _digest_md5_input(plaintext: bytes, user: str) -> bytes:
    name, _, realm = user.partition("@")
    return f"{name}:{realm}:".encode("utf-8", "surrogateescape") + plaintext


def generate_digest_md5(plaintext: bytes, making: Making) -> bytes:
    """DIGEST-MD5: md5("user:realm:password"), RFC 2831 2.1.2.1."""
    return md5(_digest_md5_input(plaintext, making.user))


def verify_digest_md5(plaintext: bytes, raw: bytes, user: str) -> bool:
    """True for the user and password that the hash was made of."""
    return hmac.compare_digest(md5(_digest_md5_input(plaintext, user)), raw)

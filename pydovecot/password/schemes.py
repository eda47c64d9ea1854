"""The table of password schemes, and stored passwords as texts: `{SCHEME.ENCODING}data`.

Names, encodings and error texts are Dovecot's (features E.2), so that a file of passwords can go either way.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from argon2.low_level import Type

from pydovecot.password import argon, cram, crypt, digest, pbkdf2, plain, scram
from pydovecot.password.scheme import BadHash, Encoding, Making, Scheme

__all__ = ["SCHEMES", "BadHash", "Stored", "find", "generate", "parse", "raw_for", "verify"]

_NONE, _HEX, _B64 = Encoding.NONE, Encoding.HEX, Encoding.BASE64


def _hashed(name: str, hasher: digest.Digest, size: int, encoding: Encoding) -> Scheme:
    return Scheme(name, encoding, size, digest.verifier(hasher), digest.generator(hasher))


def _salted(name: str, hasher: digest.Digest, size: int) -> Scheme:
    return Scheme(name, _B64, 0, digest.salted_verifier(hasher, size, name), digest.salted_generator(hasher))


SCHEMES: Final[dict[str, Scheme]] = {
    scheme.name: scheme
    for scheme in (
        Scheme("PLAIN", _NONE, 0, plain.verify, plain.generate),
        Scheme("CLEAR", _NONE, 0, plain.verify, plain.generate),
        Scheme("CLEARTEXT", _NONE, 0, plain.verify, plain.generate),
        Scheme("PLAIN-TRUNC", _NONE, 0, plain.verify_truncated, plain.generate),
        Scheme("CRYPT", _NONE, 0, crypt.verify, crypt.generate_blowfish, costly=True),
        Scheme("DES-CRYPT", _NONE, 0, crypt.verify, crypt.generate_des),
        Scheme("MD5-CRYPT", _NONE, 0, crypt.verify_md5, crypt.generate_md5),
        Scheme("MD5", _NONE, 0, crypt.verify_md5, crypt.generate_md5),
        Scheme("SHA256-CRYPT", _NONE, 0, crypt.verify, crypt.sha_generator(b"5"), costly=True),
        Scheme("SHA512-CRYPT", _NONE, 0, crypt.verify, crypt.sha_generator(b"6"), costly=True),
        Scheme("BLF-CRYPT", _NONE, 0, crypt.verify_blowfish, crypt.generate_blowfish, costly=True),
        _hashed("SHA", digest.sha1, 20, _B64),
        _hashed("SHA1", digest.sha1, 20, _B64),
        _hashed("SHA256", digest.sha256, 32, _B64),
        _hashed("SHA512", digest.sha512, 64, _B64),
        _salted("SMD5", digest.md5, 16),
        _salted("SSHA", digest.sha1, 20),
        _salted("SSHA256", digest.sha256, 32),
        _salted("SSHA512", digest.sha512, 64),
        _hashed("PLAIN-MD4", digest.md4, 16, _HEX),
        _hashed("PLAIN-MD5", digest.md5, 16, _HEX),
        _hashed("LDAP-MD5", digest.md5, 16, _B64),
        Scheme("HMAC-MD5", _HEX, cram.CONTEXT_BYTES, cram.verify, cram.generate),
        Scheme("CRAM-MD5", _HEX, cram.CONTEXT_BYTES, cram.verify, cram.generate),
        Scheme("DIGEST-MD5", _HEX, 16, digest.verify_digest_md5, digest.generate_digest_md5),
        Scheme(
            "SCRAM-SHA-1", _NONE, 0, scram.verifier("SCRAM-SHA-1", "sha1"), scram.generator("sha1"),
            costly=True,
        ),
        Scheme(
            "SCRAM-SHA-256", _NONE, 0, scram.verifier("SCRAM-SHA-256", "sha256"),
            scram.generator("sha256"), costly=True,
        ),
        Scheme("PBKDF2", _NONE, 0, pbkdf2.verify, pbkdf2.generate, costly=True),
        Scheme("ARGON2I", _NONE, 0, argon.verify, argon.generator(Type.I), costly=True),
        Scheme("ARGON2ID", _NONE, 0, argon.verify, argon.generator(Type.ID), costly=True),
    )
}  # fmt: skip

_ENCODINGS: Final = {"HEX": _HEX, "B64": _B64, "BASE64": _B64}
# Two names of the same stored bytes: a mechanism that wants one may have the other.
_SAME: Final = {"CLEAR": "PLAIN", "CLEARTEXT": "PLAIN", "HMAC-MD5": "CRAM-MD5"}
_PREFIX: Final = re.compile(r"\{([^}]*)\}(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored password, taken apart: `scheme` is upper case and may be unknown; `text` still encoded."""

    scheme: str
    encoding: str  # as written after the dot, or ""
    text: bytes

    def __repr__(self) -> str:
        return f"Stored({self.scheme}, <hidden>)"


def find(name: str) -> Scheme | None:
    """The scheme of that name, in any case; an encoding after a dot is ignored."""
    return SCHEMES.get(name.partition(".")[0].upper())


def parse(stored: bytes, default_scheme: str) -> Stored:
    """Take `{SCHEME.ENC}data` apart; without braces the scheme is `default_scheme`.

    $1$ is MD5-CRYPT whatever the braces said of CRYPT or nothing, as old LDAP data has it.
    """
    if stored.startswith(b"$1$"):
        return Stored("MD5-CRYPT", "", _cut_md5_crypt(stored))
    scheme, text = default_scheme, stored
    if stored.startswith(b"{"):
        found = _PREFIX.match(stored.decode("latin-1"))
        if found is not None:
            scheme, text = found[1], stored[len(found[1]) + 2 :]
    name, _, encoding = scheme.partition(".")
    name = name.upper()
    if name == "CRYPT" and text.startswith(b"$1$"):
        return Stored("MD5-CRYPT", "", _cut_md5_crypt(text))
    return Stored(name, encoding.upper(), text)


def _cut_md5_crypt(text: bytes) -> bytes:
    """$1$salt$hash may be followed by another $ and things to ignore."""
    return b"$".join(text.split(b"$")[:4])


def decode(stored: Stored, scheme: Scheme) -> bytes:
    """The raw bytes of a stored password; raises BadHash."""
    encoding = _ENCODINGS.get(stored.encoding) if stored.encoding else scheme.encoding
    if encoding is None:
        raise BadHash("Unknown scheme")
    text = stored.text
    if encoding is _NONE:
        return text
    raw: bytes | None = None
    # Hexadecimal where base64 is usual is recognised by its length.
    if encoding is _HEX or (scheme.raw_length and len(text) == 2 * scheme.raw_length):
        raw = _unhex(text)
    if raw is None:
        try:
            raw = base64.b64decode(text, validate=True)
        except binascii.Error as exc:
            raise BadHash("Input isn't valid base64 encoded data") from exc
    if scheme.raw_length and scheme.raw_length != len(raw) and scheme.encoding is not _NONE:
        raise BadHash(f"Input length isn't valid ({len(raw)} instead of {scheme.raw_length})")
    return raw


def _unhex(text: bytes) -> bytes | None:
    try:
        return binascii.unhexlify(text)
    except binascii.Error:
        return None


def verify(stored: Stored, plaintext: bytes, user: str) -> bool:
    """Whether `plaintext` is the stored password. Raises BadHash for an unknown scheme or a broken text."""
    scheme = SCHEMES.get(stored.scheme)
    if scheme is None:
        raise BadHash(f"Unknown scheme: {stored.scheme}")
    return scheme.verify(plaintext, decode(stored, scheme), user)


def raw_for(stored: Stored, wanted: str) -> tuple[str, bytes] | None:
    """What a mechanism that wants scheme `wanted` may have: its raw bytes, or ("PLAIN", the password).

    None when the password is stored in a scheme that cannot serve it. Raises BadHash as `verify` does.
    """
    scheme = SCHEMES.get(stored.scheme)
    if scheme is None:
        raise BadHash(f"Unknown scheme: {stored.scheme}")
    name = _SAME.get(scheme.name, scheme.name)
    if name in (wanted, "PLAIN"):
        return name, decode(stored, scheme)
    return None


def generate(
    scheme_name: str, plaintext: bytes, *, user: str, random: Callable[[int], bytes], rounds: int = 0
) -> str:
    """A new stored password with its `{SCHEME}` prefix, as `doveadm pw` writes it."""
    scheme = find(scheme_name)
    encoding_name = scheme_name.partition(".")[2].upper()
    encoding = _ENCODINGS.get(encoding_name) if encoding_name else scheme and scheme.encoding
    if scheme is None or encoding is None:
        raise BadHash(f"Unknown scheme: {scheme_name}")
    raw = scheme.generate(plaintext, Making(user, rounds, random))
    if encoding is _HEX:
        raw = binascii.hexlify(raw)
    elif encoding is _B64:
        raw = base64.b64encode(raw)
    return "{" + scheme_name.upper() + "}" + raw.decode("utf-8", "surrogateescape")


def is_costly(stored: Stored) -> bool:
    """Whether checking it takes milliseconds, so that it should not be done where many clients wait."""
    scheme = SCHEMES.get(stored.scheme)
    if scheme is None:
        return False
    if scheme.name == "CRYPT":
        return stored.text.startswith(b"$")  # a DES hash has no method and is quick
    return scheme.costly

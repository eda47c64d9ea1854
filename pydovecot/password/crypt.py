"""The CRYPT family: everything that crypt(3) writes, and the schemes that name one method of it."""

import base64
import hmac
from typing import Final

from pydovecot.password.digest import md5
from pydovecot.password.libcrypt import crypt
from pydovecot.password.scheme import BadHash, Generate, Making

BLF_ROUNDS: Final = 5  # Dovecot's defaults, and its bounds
BLF_MIN, BLF_MAX = 4, 31
SHA_ROUNDS: Final = 5000
SHA_MIN, SHA_MAX = 1000, 999_999_999
_BCRYPT64: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)


def verify(plaintext: bytes, raw: bytes, _user: str) -> bool:
    """True if crypt(3) makes `raw` again. A locked or empty password ("!", "*", "") matches nothing."""
    made = crypt(plaintext, raw) if len(raw) >= 2 else None
    return made is not None and hmac.compare_digest(made, raw)


def verify_blowfish(plaintext: bytes, raw: bytes, user: str) -> bool:
    """`verify`, for bcrypt hashes only."""
    if not raw.startswith((b"$2a$", b"$2b$", b"$2x$", b"$2y$")):
        raise BadHash("Password is not blowfish password")
    return verify(plaintext, raw, user)


def verify_md5(plaintext: bytes, raw: bytes, user: str) -> bool:
    """MD5-CRYPT, or the hexadecimal digest that some systems keep under the same name."""
    if raw.startswith(b"$1$"):
        return verify(plaintext, raw, user)
    if len(raw) == 32 and all(char in b"0123456789abcdefABCDEF" for char in raw):
        return hmac.compare_digest(md5(plaintext), bytes.fromhex(raw.decode("ascii")))
    raise BadHash("Not a valid MD5-CRYPT or PLAIN-MD5 password")


def _made(plaintext: bytes, setting: bytes) -> bytes:
    made = crypt(plaintext, setting)
    if made is None:
        raise BadHash("crypt() failed")
    return made


def generate_blowfish(plaintext: bytes, making: Making) -> bytes:
    """bcrypt, $2y$."""
    rounds = min(max(making.rounds or BLF_ROUNDS, BLF_MIN), BLF_MAX)
    return _made(plaintext, b"$2y$%02d$%s" % (rounds, _bcrypt_salt(making.random(16))))


def _bcrypt_salt(raw: bytes) -> bytes:
    return base64.b64encode(raw).rstrip(b"=").translate(_BCRYPT64)


def sha_generator(method: bytes) -> Generate:
    """SHA256-CRYPT (b"5") or SHA512-CRYPT (b"6")."""

    def generate(plaintext: bytes, making: Making) -> bytes:
        rounds = min(max(making.rounds or SHA_ROUNDS, SHA_MIN), SHA_MAX)
        named = b"" if rounds == SHA_ROUNDS else b"rounds=%d$" % rounds
        return _made(plaintext, b"$%s$%s%s$" % (method, named, making.salt(16)))

    return generate


def generate_md5(plaintext: bytes, making: Making) -> bytes:
    """MD5-CRYPT, $1$."""
    return _made(plaintext, b"$1$" + making.salt(8) + b"$")


def generate_des(plaintext: bytes, making: Making) -> bytes:
    """The oldest method: only 8 characters count."""
    return _made(plaintext, making.salt(2))

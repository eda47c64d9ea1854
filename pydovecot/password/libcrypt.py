"""crypt(3) of the C library, and passlib where the system has none or it does not know a method.

The standard library lost its `crypt` in Python 3.13. crypt_r is used with a buffer of our own, so that
threads do not disturb each other; the call releases the interpreter lock.
"""

import ctypes
from typing import Any, Final

import bcrypt
from passlib import hash as passlib_hash
from passlib.exc import PasslibSecurityError, PasswordSizeError

# struct crypt_data: 131232 bytes in glibc, 32768 in libxcrypt.
_DATA_BYTES: Final = 262144
BCRYPT_MAX_BYTES: Final = 72  # the algorithm ignores what comes after
SHA_ROUNDS: Final = 5000  # of SHA256-CRYPT and SHA512-CRYPT where none is named
_NAMES: Final = ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.so.1.1")

_BY_METHOD: Final[dict[bytes, Any]] = {
    b"1": passlib_hash.md5_crypt,
    b"5": passlib_hash.sha256_crypt,
    b"6": passlib_hash.sha512_crypt,
}


def _load() -> Any:
    for name in _NAMES:
        try:
            crypt_r = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        crypt_r.restype = ctypes.c_char_p
        crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]
        return crypt_r
    return None


# Loaded with the module, before any chroot.
_crypt_r: Final = _load()


def crypt(plaintext: bytes, setting: bytes) -> bytes | None:
    """The hash of `plaintext` with the method and salt of `setting`; None if nobody knows that method."""
    if b"\0" in plaintext or b"\0" in setting:
        return None
    if setting.startswith(b"$2"):
        return _bcrypt(plaintext, setting)
    if _crypt_r is not None:
        found: bytes | None = _crypt_r(plaintext, setting, ctypes.create_string_buffer(_DATA_BYTES))
        if found is not None and not found.startswith(b"*"):
            return found
    return _passlib(plaintext, setting)


def _bcrypt(plaintext: bytes, setting: bytes) -> bytes | None:
    try:
        return bcrypt.hashpw(plaintext[:BCRYPT_MAX_BYTES], setting[:29])
    except ValueError:
        return None


def _passlib(plaintext: bytes, setting: bytes) -> bytes | None:
    """$1$, $5$, $6$ and DES without the help of the system."""
    try:
        if not setting.startswith(b"$"):
            handler = passlib_hash.des_crypt.using(salt=setting[:2].decode("ascii"))
        else:
            _, method, *rest = setting.split(b"$")
            options: dict[str, Any] = {}
            if rest and rest[0].startswith(b"rounds="):
                options["rounds"] = int(rest.pop(0)[7:])
            elif method in (b"5", b"6"):
                options["rounds"] = SHA_ROUNDS
            handler = _BY_METHOD[method].using(salt=rest[0].decode("ascii"), **options)
        made: str = handler.hash(plaintext)
    except (ValueError, TypeError, LookupError, PasslibSecurityError, PasswordSizeError):
        return None
    # passlib always names the rounds; crypt(3) keeps quiet about the default.
    if setting.startswith((b"$5$", b"$6$")) and b"$rounds=" not in setting:
        made = made.replace(f"rounds={SHA_ROUNDS}$", "", 1)
    return made.encode("ascii")

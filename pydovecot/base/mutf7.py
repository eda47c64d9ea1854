"""Mailbox names in modified UTF-7. RFC 3501 5.1.3."""

import binascii
import codecs
import re
from typing import Final

_PLAIN: Final = re.compile(r"[\x20-\x25\x27-\x7e]*")
_RUN: Final = re.compile(r"[^\x20-\x7e]+")
_SHIFTED: Final = re.compile(rb"&([^-]*)(-?)")


# Loaded now: a process that has become its user may not be able to read our library any more.
codecs.lookup("utf-16-be")


class BadMutf7(ValueError):
    """The bytes are no modified UTF-7, or not the only way to write the name."""


def encode(name: str) -> bytes:
    """Any text; unpaired surrogates cannot be written and raise BadMutf7."""
    if _PLAIN.fullmatch(name):
        return name.encode("ascii")
    try:
        text = _RUN.sub(_shift, name.replace("&", "&-"))
    except UnicodeEncodeError as exc:
        raise BadMutf7("name has characters that are no text") from exc
    return text.encode("ascii")


def _shift(match: re.Match[str]) -> str:
    coded = binascii.b2a_base64(match[0].encode("utf-16-be"), newline=False)
    return "&" + coded.rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


def decode(data: bytes) -> str:
    """The name that `data` stands for; BadMutf7 unless encoding it again gives the same bytes.

    Only one spelling is accepted, so that two names never mean the same mailbox.
    """
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as exc:
        raise BadMutf7("8-bit characters") from exc
    if _PLAIN.fullmatch(text):
        return text
    try:
        name = _SHIFTED.sub(_unshift, data).decode("utf-8")
    except (ValueError, UnicodeError) as exc:
        raise BadMutf7("broken base64 or UTF-16") from exc
    if encode(name) != data or "\0" in name:
        raise BadMutf7("not the canonical spelling")
    return name


def _unshift(match: re.Match[bytes]) -> bytes:
    coded, end = match[1], match[2]
    if not end:
        raise BadMutf7("unfinished shift")
    if not coded:
        return b"&"
    coded = coded.replace(b",", b"/")
    raw = binascii.a2b_base64(coded + b"=" * (-len(coded) % 4), strict_mode=True)
    return raw.decode("utf-16-be").encode("utf-8")


def decode_lenient(data: bytes) -> str:
    """For names that are on disk already: what is no mUTF-7 is kept byte by byte in private characters.

    Such a name can be shown and sent like any other, and `encode_lenient` gives the same bytes back.
    """
    try:
        return decode(data)
    except BadMutf7:
        return data.decode("latin-1").translate(_PRIVATE)


# Bytes that mUTF-7 does not have as themselves: controls, "&", no ASCII. Nobody types U+F000 and on.
_PRIVATE: Final = {
    byte: (0xF700 if byte >= 0x80 else 0xF000) + byte
    for byte in (*range(0x20), ord("&"), *range(0x7F, 0x100))
}
_OF_INBOX: Final = {ord(letter): 0xF000 + ord(letter) for letter in "Ii"}
_BYTES: Final = {char: chr(byte) for byte, char in (_PRIVATE | _OF_INBOX).items()}
_HAS_PRIVATE: Final = re.compile(f"[{''.join(map(chr, _BYTES))}]")


def hide_inbox(name: str) -> str:
    """Another spelling of INBOX, which no client could ask for, with a private character in front."""
    if name != "INBOX" and name.upper() == "INBOX":
        return chr(_OF_INBOX[ord(name[0])]) + name[1:]
    return name


def encode_lenient(name: str) -> bytes:
    """Bytes of a name from `decode_lenient`, or of a new one."""
    if _HAS_PRIVATE.search(name):
        try:
            return name.translate(_BYTES).encode("latin-1")
        except UnicodeEncodeError:
            pass  # some new name that happens to have such a character
    return encode(name)

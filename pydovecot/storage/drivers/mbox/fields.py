"""Writing a message's own fields: Status, X-Status, X-UID, X-Keywords, X-IMAPbase, Content-Length.

They stay where they are; missing ones come at the end of the header, as Dovecot puts them. Blanks behind
X-Keywords (or X-UID) make room for changes in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.storage.drivers.mbox.scan import META, OLD, STATUS, X_STATUS, Base

PADDING: Final = 50  # blanks for changes to come
WRAP: Final = 1024  # longer lists of keywords are folded
MIN_LENGTH_BYTES: Final = 1024  # smaller messages of other programs get no Content-Length; as Dovecot
# Where blanks go, the best place first.
_ROOMY: Final = (b"x-keywords", b"x-imap", b"x-uid")
_SHOWN: Final = {
    b"x-imapbase": b"X-IMAPbase", b"x-uid": b"X-UID", b"status": b"Status", b"x-status": b"X-Status",
    b"x-keywords": b"X-Keywords", b"content-length": b"Content-Length", b"x-imap": b"X-IMAP",
}  # fmt: skip
_R: Final = sum(STATUS.values())
_AFTD: Final = sum(X_STATUS.values())


@dataclass(slots=True)
class Meta:
    """What the fields shall say."""

    uid: int
    flags: int
    old: bool
    keywords: Sequence[str] = ()
    base: Base | None = None
    pseudo: bool = False


def render(
    raw: bytes, meta: Meta, body_size: int, *, fit: int = 0, padding: int = 0, always: bool = False
) -> bytes:
    """The header `raw` as `meta` says, with blanks up to `fit` octets if given, else `padding` of them.

    `always`: X-Keywords and Content-Length even where they say nothing (new messages, as Dovecot saves them).
    """
    eol, empty, text = _ends(raw)
    out: list[bytes] = []
    places: dict[bytes, int] = {}
    shown = dict(_SHOWN)
    at = 0

    def put(name: bytes, old: bytes) -> None:
        value = _value(name, old, meta, body_size)
        if value is not None and name not in places:
            places[name] = len(out)
            out.append(shown[name] + b": " + value.replace(b"\n", eol))

    for match in META.finditer(b"\n" + text):
        out.append(text[at : match.start()])
        name = match[1].lower()
        shown[name] = match[1]
        if meta.base is not None and not meta.pseudo and name in (b"x-uid", b"x-imapbase"):
            put(b"x-imapbase", b"")  # before X-UID, which is believed only below the last UID
        put(name, match[2])
        at = match.end()
    out.append(text[at:])
    for name in _missing(meta, body_size, always):
        put(name, b"")
    fields = set(places.values())
    size = sum(map(len, out)) + len(fields) * len(eol) + len(empty)
    blanks = max(0, fit - size) if fit else padding
    room = next((places[name] for name in _ROOMY if name in places), -1)
    if blanks and room >= 0:
        out[room] += b" " * blanks
    return b"".join([piece + eol if at in fields else piece for at, piece in enumerate(out)]) + empty


def _ends(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Line end, the empty line, and the lines before it, each with its end."""
    first = raw.find(b"\n")
    eol = b"\r\n" if first > 0 and raw[first - 1 : first] == b"\r" else b"\n"
    empty = b""
    for line in (b"\r\n", b"\n"):
        if raw == line or raw.endswith(b"\n" + line):
            empty = line
            break
    text = raw[: len(raw) - len(empty)]
    return eol, empty, text if not text or text.endswith(b"\n") else text + eol


def _missing(meta: Meta, body_size: int, always: bool) -> list[bytes]:
    if meta.pseudo:
        return [b"x-imap"]
    names = [b"x-imapbase"] if meta.base is not None else []
    names.append(b"x-uid")
    if meta.old or meta.flags & _R:
        names.append(b"status")
    if meta.flags & _AFTD:
        names.append(b"x-status")
    if meta.keywords or always:
        names.append(b"x-keywords")
    if always or body_size >= MIN_LENGTH_BYTES:
        names.append(b"content-length")
    return names


def _value(name: bytes, old: bytes, meta: Meta, body_size: int) -> bytes | None:
    """None: the field goes."""
    if name == b"content-length":
        return None if meta.pseudo else b"%d" % body_size
    if name == b"status":
        return _kept(old, {*STATUS, OLD}) + _letters(STATUS, meta.flags) + (b"O" if meta.old else b"")
    if name == b"x-status":
        return _kept(old, set(X_STATUS)) + _letters(X_STATUS, meta.flags)
    if name in (b"x-imap", b"x-imapbase"):
        wanted = meta.base is not None and meta.pseudo == (name == b"x-imap")
        return _base(meta.base) if wanted else None
    if meta.pseudo:
        return None
    return b"%d" % meta.uid if name == b"x-uid" else _wrapped(meta.keywords)


def _letters(table: dict[int, int], flags: int) -> bytes:
    return bytes([letter for letter, flag in table.items() if flags & flag])


def _kept(old: bytes, known: set[int]) -> bytes:
    """Letters of other programs."""
    return bytes([letter for letter in old if letter not in known and letter not in b" \t\r\n"])


def _wrapped(names: Sequence[str], used: int = 0) -> bytes:
    out: list[bytes] = []
    for name in names:
        word = name.encode("utf-8", "replace")
        if out and used + len(word) >= WRAP:
            out.append(b"\n\t")
            used = 0
        elif out:
            out.append(b" ")
        out.append(word)
        used += len(word) + 1
    return b"".join(out)


def _base(base: Base | None) -> bytes:
    assert base is not None
    names = _wrapped(base.keywords, 24)
    return b"%d %010d" % (base.uidvalidity, base.last_uid) + (b" " + names if names else b"")

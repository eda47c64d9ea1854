"""Writing a message's own fields: Status, X-Status, X-UID, X-Keywords, X-IMAPbase, Content-Length.

They stay where they are, byte for byte as Dovecot leaves them; missing ones come at the end of the header,
with the line ends of the file. Blanks behind X-Keywords, X-UID or X-IMAPbase make room for changes in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.storage.drivers.mbox.scan import BASE, META, NUMBER, OLD, STATUS, X_STATUS, Base

PADDING: Final = 50  # blanks for changes to come
WRAP: Final = 1024  # longer lists of keywords are folded
MIN_LENGTH_BYTES: Final = 1024  # smaller messages of other programs get no Content-Length; as Dovecot
SAVED_BYTES: Final = 91  # what a saved message has behind its keywords: blanks and Content-Length
_ROOMY: Final = (b"x-imapbase", b"x-imap", b"x-keywords", b"x-uid")
_GIVES_ROOM: Final = (b"x-uid", b"x-keywords", b"x-imapbase", b"x-imap")  # in this order
_SHOWN: Final = {
    b"x-imapbase": b"X-IMAPbase: ", b"x-uid": b"X-UID: ", b"status": b"Status: ", b"x-status": b"X-Status: ",
    b"x-keywords": b"X-Keywords: ", b"content-length": b"Content-Length: ", b"x-imap": b"X-IMAP: ",
}  # fmt: skip
_R: Final = sum(STATUS.values())
_AFTD: Final = sum(X_STATUS.values())


@dataclass(slots=True)
class Meta:
    """What the fields shall say. `foreign`: X-Keywords came with the mail from outside, and goes."""

    uid: int
    flags: int
    old: bool
    keywords: Sequence[str] = ()
    base: Base | None = None
    pseudo: bool = False
    foreign: bool = False


@dataclass(slots=True)
class _Field:
    """One field: its label as it stands there (`X-UID: `), its value with all blanks, its line end."""

    name: bytes
    label: bytes
    value: bytes
    eol: bytes

    @property
    def blanks(self) -> int:
        """At the end of its last line."""
        return len(self.value) - len(self.value.rstrip(b" \t"))


class Header:
    """A header taken apart. `update`, then `fit` or `pad`, then `raw`."""

    def __init__(self, raw: bytes) -> None:
        self._empty, text = _without_end(raw)
        first = raw.find(b"\n")
        self._eol = b"\r\n" if first > 0 and raw[first - 1 : first] == b"\r" else b"\n"
        self._pieces: list[bytes | _Field] = []
        self._fields: dict[bytes, _Field] = {}
        at = 0
        for match in META.finditer(b"\n" + text):
            self._pieces.append(text[at : match.start()])
            at = match.end()
            label = text[match.start() : match.start(2) - 1]
            self._take(match[1].lower(), label, match[2])
        self._pieces.append(text[at:])
        self._room: _Field | None = None
        self._find_room()

    def _take(self, name: bytes, label: bytes, value: bytes) -> None:
        eol = b"\n"
        if value.endswith(b"\r"):
            value, eol = value[:-1], b"\r\n"
        lead = len(value) - len(value.lstrip(b" \t"))
        if lead == len(value):
            lead = min(lead, 1)
        field = _Field(name, label + value[:lead], value[lead:], eol)
        if name in self._fields or not _readable(field):
            return
        self._fields[name] = field
        self._pieces.append(field)

    def _drop(self, name: bytes) -> None:
        field = self._fields.pop(name, None)
        if field is not None:
            self._pieces = [piece for piece in self._pieces if piece is not field]

    def _find_room(self) -> None:
        most = 0
        for name, field in self._fields.items():
            if name in _ROOMY and field.blanks > most:
                self._room, most = field, field.blanks

    @property
    def room(self) -> int:
        """Blanks that the message can spare."""
        return self._room.blanks if self._room is not None else 0

    @property
    def size(self) -> int:
        """Octets."""
        total = len(self._empty)
        for piece in self._pieces:
            if isinstance(piece, bytes):
                total += len(piece)
            else:
                total += len(piece.label) + len(piece.value) + len(piece.eol)
        return total

    def raw(self) -> bytes:
        """All of it."""
        out = [
            piece if isinstance(piece, bytes) else piece.label + piece.value + piece.eol
            for piece in self._pieces
        ]
        return b"".join(out) + self._empty

    def update(self, meta: Meta, body_size: int) -> None:
        """The fields say what `meta` says."""
        for name in (b"x-imapbase", b"x-imap"):
            if meta.base is None or meta.pseudo != (name == b"x-imap"):
                self._drop(name)
        uid = self._fields.get(b"x-uid")
        if uid is not None and (uid.value.strip() != b"%d" % meta.uid or not self._uid_is_believed(meta)):
            self._drop(b"x-uid")
        if meta.foreign:
            self._drop(b"x-keywords")
        self._room = None
        self._find_room()
        for name, known in ((b"status", {*STATUS, OLD}), (b"x-status", set(X_STATUS))):
            field, value = self._fields.get(name), _value(name, meta)
            if field is not None and sorted(one for one in field.value if one in known) != sorted(value):
                field.value = _kept(field.value, known) + value
        self._set(b"x-keywords", _wrapped(meta.keywords))
        if meta.base is not None:
            self._update_base(meta)
        self._add_missing(meta, body_size)

    def _uid_is_believed(self, meta: Meta) -> bool:
        """In the first message it must stand behind X-IMAPbase."""
        order = list(self._fields)
        return meta.base is None or b"x-imapbase" in order[: order.index(b"x-uid")]

    def _set(self, name: bytes, value: bytes) -> None:
        field = self._fields.get(name)
        if field is not None:
            field.value = value.replace(b"\n", field.eol)
            if self._room is field:
                self._room = None

    def _update_base(self, meta: Meta) -> None:
        name = b"x-imap" if meta.pseudo else b"x-imapbase"
        field = self._fields.get(name)
        if field is None:
            return
        wanted = _base(meta.base)
        if field.value.rstrip(b" \t") != wanted:
            if _same_but_last(field.value, wanted):
                start = wanted.index(b" ") + 1
                field.value = wanted[: start + 10] + field.value[start + 10 :]
            else:
                self._set(name, wanted)

    def _add_missing(self, meta: Meta, body_size: int) -> None:
        text = self._pieces[-1]
        if isinstance(text, bytes) and text and not text.endswith(b"\n"):
            self._pieces[-1] = text + self._eol
        if meta.pseudo:
            self._add(b"x-imap", _base(meta.base))
        else:
            if meta.base is not None:
                self._add(b"x-imapbase", _base(meta.base))
            self._add(b"x-uid", b"%d" % meta.uid)
        if meta.old or meta.flags & _R:
            self._add(b"status", _value(b"status", meta))
        if meta.flags & _AFTD:
            self._add(b"x-status", _value(b"x-status", meta))
        if meta.keywords:
            self._add(b"x-keywords", _wrapped(meta.keywords))
        if body_size >= MIN_LENGTH_BYTES:
            self._add(b"content-length", b"%d" % body_size)

    def _add(self, name: bytes, value: bytes) -> None:
        if name not in self._fields:
            value = value.replace(b"\n", self._eol)
            self._fields[name] = _Field(name, _SHOWN[name], value, self._eol)
            self._pieces.append(self._fields[name])

    def pad(self, count: int) -> None:
        """More blanks, where there are some already."""
        names = (b"x-imap",) if b"x-imap" in self._fields else (b"x-keywords", b"x-uid", b"x-imapbase")
        field = self._room or next((self._fields[name] for name in names if name in self._fields), None)
        if field is not None and count > 0:
            field.value += b" " * count
            self._room = field

    def shrink(self, count: int) -> int:
        """Up to `count` octets fewer: blanks go. How many there were too few."""
        for name in _GIVES_ROOM:
            field = self._fields.get(name)
            if field is not None and count > 0:
                take = min(count, field.blanks)
                field.value = field.value[: len(field.value) - take]
                count -= take
        self._room = None
        self._find_room()
        return count

    def fit(self, size: int) -> int:
        """As long as `size` if that is possible: the blanks left, or (negative) what is too much."""
        more = size - self.size
        if more >= 0:
            self.pad(more)
            return self.room
        lacking = self.shrink(-more)
        return -lacking if lacking else self.room

    def set_room(self, count: int) -> None:
        """Exactly so many blanks where there are some now."""
        if self._room is not None:
            self._room.value = self._room.value.rstrip(b" \t")
        self.pad(count)


def saved(meta: Meta, body_size: int) -> bytes:
    """The fields of a message that is saved, and the end of its header; with LF."""
    out: list[bytes] = []
    if meta.base is not None:
        out.append(b"X-IMAPbase: %s\n" % _base(meta.base))
    out.append(b"X-UID: %d\nStatus: %s\n" % (meta.uid, _value(b"status", meta)))
    if meta.flags & _AFTD:
        out.append(b"X-Status: %s\n" % _value(b"x-status", meta))
    names = b"".join(b" " + name.encode("utf-8", "replace") for name in meta.keywords)
    length = b"\nContent-Length: %d" % body_size
    out.append(b"X-Keywords:%s%s%s\n\n" % (names, b" " * (SAVED_BYTES - len(length)), length))
    return b"".join(out)


def _readable(field: _Field) -> bool:
    if field.name == b"x-imapbase" or field.name == b"x-imap":
        return BASE.fullmatch(field.value) is not None
    if field.name == b"x-uid" or field.name == b"content-length":
        return NUMBER.fullmatch(field.value) is not None
    return True


def _without_end(raw: bytes) -> tuple[bytes, bytes]:
    """The empty line, and the lines before it."""
    for line in (b"\r\n", b"\n"):
        if raw == line or raw.endswith(b"\n" + line):
            return line, raw[: len(raw) - len(line)]
    return b"", raw


def _value(name: bytes, meta: Meta) -> bytes:
    if name == b"status":
        return _letters(STATUS, meta.flags) + (b"O" if meta.old else b"")
    return _letters(X_STATUS, meta.flags)


def _letters(table: dict[int, int], flags: int) -> bytes:
    return bytes([letter for letter, flag in table.items() if flags & flag])


def _kept(old: bytes, known: set[int]) -> bytes:
    """Letters of other programs."""
    return bytes([letter for letter in old if letter not in known and letter not in b"\r\n"])


def _wrapped(names: Sequence[str], used: int = 0) -> bytes:
    out: list[bytes] = []
    for name in names:
        word = name.encode("utf-8", "replace")
        if used >= WRAP:
            out.append(b"\n\t")
            used = 0
        elif out:
            out.append(b" ")
            used += 1
        out.append(word)
        used += len(word)
    return b"".join(out)


def _base(base: Base | None) -> bytes:
    assert base is not None
    numbers = b"%d %010d" % (base.uidvalidity, base.last_uid)
    names = _wrapped(base.keywords, len(numbers))
    return numbers + (b" " + names if names else b"")


def _same_but_last(old: bytes, wanted: bytes) -> bool:
    """Only the last UID is another one, with its ten digits."""
    start = wanted.index(b" ") + 1
    if not old[start : start + 10].isdigit():
        return False
    return old[:start] + old[start + 10 :].rstrip(b" \t") == wanted[:start] + wanted[start + 10 :]

"""Finding the messages of an mbox and what its header fields say about them. One pass, linear.

A message goes from its From_ line to the newline before the next one. Content-Length is believed when a From_
line, or the end, is where it says.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Final

from pydovecot.model.flags import Flag
from pydovecot.storage.drivers.mbox.fromline import FIRST, NEXT

Buffer = bytes | mmap

# Behind the offsets of a message, in this order:
NEW: Final = "n"  # the file does not say that somebody has seen it
STALE: Final = "u"  # its fields (the UID first of all) are to be written
DIRTY: Final = "*"  # its flags, which the file has other ones of, are to be written
MAX_UID: Final = 0xFFFFFFFF
META_NAMES: Final = (
    b"content-length", b"status", b"x-imap", b"x-imapbase", b"x-keywords", b"x-status", b"x-uid",
)  # fmt: skip
# A field and its continuation lines, without the newline before what follows.
META: Final = re.compile(
    rb"\n((?i:content-length|status|x-imapbase|x-imap|x-keywords|x-status|x-uid))[ \t]*:"
    rb"([^\n]*(?:\n[ \t][^\n]*)*)"
)
_HEAD_END: Final = re.compile(rb"\n\r?\n")
NUMBER: Final = re.compile(rb"\s*(\d{1,20})\s*")
BASE: Final = re.compile(rb"\s*(\d{1,10})(?:\s+(\d{1,10}))?(?:\s+(.*))?", re.DOTALL)
STATUS: Final = {ord("R"): int(Flag.SEEN)}
OLD: Final = ord("O")
X_STATUS: Final = {
    ord("A"): int(Flag.ANSWERED), ord("F"): int(Flag.FLAGGED),
    ord("T"): int(Flag.DRAFT), ord("D"): int(Flag.DELETED),
}  # fmt: skip


class NotMboxError(Exception):
    """The file does not begin with a From_ line."""


@dataclass(frozen=True, slots=True)
class Base:
    """X-IMAPbase of the first message."""

    uidvalidity: int
    last_uid: int
    keywords: tuple[str, ...] = ()


@dataclass(slots=True)
class Mail:
    """One message: offsets in the file, and what its own fields say. `uid` 0: none that can be read."""

    start: int  # of the From_ line
    head: int
    body: int
    end: int
    next: int  # where the next From_ line is, or the file's size
    uid: int = 0
    flags: int = 0
    old: bool = False  # somebody has seen it: not \Recent
    keywords: tuple[str, ...] = ()
    length: int = -1
    base: Base | None = None
    pseudo: bool = False  # c-client's message that holds only X-IMAP
    early: bool = False  # X-UID is before X-IMAPbase, or there is none: only an index can confirm it
    broken: bool = False  # some field is doubled or unreadable
    dirty: bool = False  # the index has flags that the file has not got yet
    stale: bool = False  # other fields of it are to be written

    @property
    def place(self) -> str:
        """Offsets as the index keeps them."""
        place = f"{self.start},{self.head},{self.body},{self.end}"
        if self.old and not self.dirty and not self.stale:
            return place
        marks = ("" if self.old else NEW) + (STALE if self.stale else "") + (DIRTY if self.dirty else "")
        return place + marks

    def written(self, old: bool) -> None:
        """Its fields say now what they must say."""
        self.old, self.dirty, self.stale = old, False, False

    def shift(self, count: int) -> None:
        """It was found in a part of the file."""
        self.start += count
        self.head += count
        self.body += count
        self.end += count
        self.next += count


def scan(data: Buffer, size: int, *, first: bool = True) -> Iterator[Mail]:
    """All messages of `data[:size]`. `first`: it begins where the file does. Raises NotMboxError."""
    start = 0
    while start < size:
        mail = _scan_one(data, size, start, first)
        if mail is None:
            if start == 0:
                raise NotMboxError
            return
        yield mail
        start, first = mail.next, False


def first_mail(data: Buffer, size: int) -> Mail | None:
    """The first message, which may be a pseudo message."""
    return next(scan(data, size), None)


def _scan_one(data: Buffer, size: int, start: int, first: bool) -> Mail | None:
    if FIRST.match(data, start, size) is None:
        return None
    head = data.find(b"\n", start, size) + 1
    found = _HEAD_END.search(data, head - 1, size)
    body = found.end() if found else size
    mail = Mail(start, head, body, size, size)
    inside = _next_line(data, head, body - 1, size)
    if inside >= 0:
        mail.body = body = inside + 1  # a header that does not end before the next message
    _take_fields(data, mail, first)
    if inside >= 0:
        _end_at(data, mail, inside)
    elif not (mail.length >= 0 and _is_end(data, size, mail, body + mail.length)):
        # The empty line may be the one before the next From_ line.
        newline = _next_line(data, max(head, body - 1), size, size)
        if newline >= 0:
            _end_at(data, mail, newline)
        else:
            _end_of_file(data, size, mail)
    mail.body = max(mail.head, min(mail.body, mail.end))
    return mail


def _next_line(data: Buffer, start: int, end: int, size: int) -> int:
    """The first newline from `start` and before `end` that a From_ line follows, or -1."""
    if end >= size:
        match = NEXT.search(data, start, size)
        return match.start() if match is not None else -1
    at = data.find(b"\nFrom ", start, min(size, end + 5))
    while at >= 0:
        if NEXT.match(data, at, size):
            return at
        at = data.find(b"\nFrom ", at + 1, min(size, end + 5))
    return -1


def _end_at(data: Buffer, mail: Mail, newline: int) -> None:
    mail.next = newline + 1
    low = mail.head
    mail.end = newline - 1 if newline > low and data[newline - 1 : newline] == b"\r" else newline


def _end_of_file(data: Buffer, size: int, mail: Mail) -> None:
    """The last newline is no part of the message, as Dovecot has it."""
    mail.end = mail.next = size
    if data[size - 1 : size] == b"\n":
        mail.end -= 1
        if data[mail.end - 1 : mail.end] == b"\r":
            mail.end -= 1
    mail.end = max(mail.end, mail.head)


def _is_end(data: Buffer, size: int, mail: Mail, at: int) -> bool:
    """A From_ line (behind its newline) or the last newline of the file is there."""
    if at >= size:
        return False
    newline = at + (data[at : at + 1] == b"\r")
    if data[newline : newline + 1] != b"\n":
        return False
    if newline + 1 != size and NEXT.match(data, newline, size) is None:
        return False
    mail.end, mail.next = at, newline + 1
    return True


def _take_fields(data: Buffer, mail: Mail, first: bool) -> None:
    seen: set[bytes] = set()
    for match in META.finditer(data, mail.head - 1, mail.body):
        name, value = match[1].lower(), match[2]
        if name == b"status" or name == b"x-status":
            letters = STATUS if name == b"status" else X_STATUS
            for letter in value:
                mail.flags |= letters.get(letter, 0)
            mail.old = mail.old or (name == b"status" and OLD in value)
        elif name in seen:
            mail.broken = True
        elif name == b"x-keywords":
            mail.keywords = _names(value)
        elif name in (b"x-uid", b"content-length"):
            number = NUMBER.fullmatch(value)
            if number is None:
                mail.broken = True
            elif name == b"x-uid":
                mail.early = first and mail.base is None
                mail.uid = int(number[1]) if int(number[1]) < MAX_UID else 0
            else:
                mail.length = int(number[1])
        elif not first or mail.base is not None:
            mail.broken = True
        else:
            mail.base = _base(value)
            mail.pseudo = name == b"x-imap" and mail.base is not None
            mail.broken = mail.broken or mail.base is None
        seen.add(name)


def _base(value: bytes) -> Base | None:
    match = BASE.fullmatch(value)
    if match is None or not 0 < int(match[1]) <= MAX_UID:
        return None
    return Base(int(match[1]), min(int(match[2] or 0), MAX_UID - 1), _names(match[3] or b""))


def _names(value: bytes) -> tuple[str, ...]:
    return tuple(value.decode("utf-8", "replace").split())


def without_meta(header: bytes) -> bytes:
    """A header (with its empty line, if any) without the fields that are the format's own."""
    return META.sub(b"", b"\n" + header)[1:]

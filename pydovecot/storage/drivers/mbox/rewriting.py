"""Giving messages other fields: in place where there is room, else by moving what is before the next room."""

from collections.abc import Mapping
from typing import Final

from pydovecot.storage.drivers.mbox.fields import PADDING, Meta, render
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.journal import Piece
from pydovecot.storage.drivers.mbox.scan import META, Mail

LOOK_AHEAD: Final = 200  # messages whose blanks are used before all that follows is moved


def in_place(file: MboxFile, mail: Mail, meta: Meta) -> bool:
    """Write one header if it needs no more room than it has."""
    raw = file.read(mail.head, mail.body)
    new = render(raw, meta, mail.end - mail.body, fit=len(raw))
    if len(new) != len(raw):
        return False
    file.patch(mail.head, raw, new)
    return True


def apply(file: MboxFile, mails: list[Mail], metas: Mapping[int, Meta]) -> None:
    """Write the fields of `mails[i]` for all i in `metas`; the offsets of all `mails` are right afterwards.

    `mails` are all messages of the file, a pseudo message included.
    """
    left = sorted(metas)
    while left:
        at = left[0]
        if in_place(file, mails[at], metas[at]):
            left = left[1:]
            continue
        until = _steal(file, mails, metas, at)
        if until is None:
            _move_rest(file, mails, metas, at)
            return
        left = [one for one in left if one > until]


def _steal(file: MboxFile, mails: list[Mail], metas: Mapping[int, Meta], first: int) -> int | None:
    """Use blanks of the messages behind; the last that had to give some. None: there are not enough."""
    pieces: list[Piece] = []
    heads: list[bytes] = []
    need = 0
    for at in range(first, min(len(mails), first + LOOK_AHEAD)):
        mail = mails[at]
        raw = file.read(mail.head, mail.body)
        meta = metas.get(at)
        if meta is not None:
            new = render(raw, meta, mail.end - mail.body, fit=max(1, len(raw) - need))
        else:
            new = without_blanks(raw, need)
        need += len(new) - len(raw)
        pieces.append(new)
        heads.append(new)
        if need <= 0:
            last = mails[at]
            file.replace(mails[first].head, last.body - mails[first].head, pieces)
            _shift(mails, first, heads)
            return at
        if at + 1 < len(mails):
            pieces.append((mail.body, mails[at + 1].head))
    return None


def _move_rest(file: MboxFile, mails: list[Mail], metas: Mapping[int, Meta], first: int) -> None:
    """All that follows moves."""
    pieces: list[Piece] = []
    heads: list[bytes] = []
    size = file.size
    at = mails[first].head
    for place in range(first, len(mails)):
        mail, meta = mails[place], metas.get(place)
        raw = file.read(mail.head, mail.body)
        if meta is None:
            heads.append(raw)
            continue
        new = render(raw, meta, mail.end - mail.body, padding=PADDING)
        heads.append(new)
        if mail.head > at:
            pieces.append((at, mail.head))
        pieces.append(new)
        at = mail.body
    if at < size:
        pieces.append((at, size))
    start = mails[first].head
    file.replace(start, size - start, pieces)
    _shift(mails, first, heads)


def _shift(mails: list[Mail], first: int, heads: list[bytes]) -> None:
    """Offsets after the headers from `first` on have become `heads`."""
    moved = 0
    for at in range(first, len(mails)):
        mail = mails[at]
        new = heads[at - first] if at - first < len(heads) else None
        if new is None and not moved:
            return
        grown = len(new) - (mail.body - mail.head) if new is not None else 0
        mail.start += moved
        mail.head += moved
        moved += grown
        mail.body += moved
        mail.end += moved
        mail.next += moved


def without_blanks(raw: bytes, count: int) -> bytes:
    """A header with up to `count` fewer blanks behind X-Keywords, X-UID or X-IMAP."""
    for match in META.finditer(b"\n" + raw):
        if count > 0 and match[1].lower() in (b"x-keywords", b"x-uid", b"x-imap"):
            value = match[2].removesuffix(b"\r")
            spare = len(value) - len(value.rstrip(b" "))
            if value.isspace():
                spare -= 1  # "X-Keywords: "
            take = min(count, spare)
            if take > 0:
                end = match.start(2) - 1 + len(value)
                return raw[: end - take] + raw[end:]
    return raw

"""Giving messages other fields: in place where there is room, else by moving what is before the next room.

Blanks that are left over are shared out among all messages that move, as Dovecot does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.storage.drivers.mbox.fields import PADDING, Header, Meta
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.journal import Piece
from pydovecot.storage.drivers.mbox.scan import Mail

MOST_SHARES: Final = 100  # of messages without any blanks, which the first one gets


@dataclass(slots=True)
class _Moving:
    """One header that gives or needs room; `spare` is what it has, negative what it lacks."""

    at: int  # in the list of messages
    header: Header
    spare: int


def in_place(file: MboxFile, mail: Mail, meta: Meta) -> bool:
    """Write one header if it needs no more room than it has."""
    raw = file.read(mail.head, mail.body)
    header = Header(raw)
    header.update(meta, mail.end - mail.body)
    if header.fit(len(raw)) < 0:
        return False
    file.patch(mail.head, raw, header.raw())
    return True


def apply(file: MboxFile, mails: Sequence[Mail], metas: Mapping[int, Meta]) -> None:
    """Write the fields of `mails[i]` for all i in `metas`; the offsets of all `mails` are right afterwards.

    `mails` are all messages of the file, a pseudo message included.
    """
    done = -1
    for at in sorted(metas):
        if at > done and not in_place(file, mails[at], metas[at]):
            done = _make_room(file, mails, metas, at)


def _make_room(file: MboxFile, mails: Sequence[Mail], metas: Mapping[int, Meta], first: int) -> int:
    """Move the messages from `first` up to the one that can spare enough, or the end; which one that was."""
    moving: list[_Moving] = []
    total = 0
    last = first
    for last in range(first, len(mails)):
        one = _look(file, mails[last], metas.get(last), last)
        if one.spare:
            moving.append(one)
            total += one.spare
            if total >= 0:
                break
    extra = total if total >= 0 else PADDING * min(last - first + 1, len(moving) + MOST_SHARES)
    each = extra // (last - first + 1) if total >= 0 else PADDING
    for one in moving[1:]:
        one.header.set_room(each)
    moving[0].header.set_room(extra - each * (len(moving) - 1))
    _write(file, mails, moving, last, whole=total < 0)
    return last


def _look(file: MboxFile, mail: Mail, meta: Meta | None, at: int) -> _Moving:
    raw = file.read(mail.head, mail.body)
    header = Header(raw)
    if meta is None:
        return _Moving(at, header, header.room)
    header.update(meta, mail.end - mail.body)
    spare = header.fit(len(raw))
    if spare == 0 and header.raw() != raw:
        # It fits as it is: written here, for nothing else moves because of it.
        file.patch(mail.head, raw, header.raw())
    return _Moving(at, header, spare)


def _write(
    file: MboxFile, mails: Sequence[Mail], moving: Sequence[_Moving], last: int, *, whole: bool
) -> None:
    pieces: list[Piece] = []
    start = at = mails[moving[0].at].head
    grown: dict[int, int] = {}
    for one in moving:
        mail, raw = mails[one.at], one.header.raw()
        if mail.head > at:
            pieces.append((at, mail.head))
        pieces.append(raw)
        grown[one.at] = len(raw) - (mail.body - mail.head)
        at = mail.body
    if whole and at < file.size:
        pieces.append((at, file.size))
        at = file.size
    file.replace(start, at - start, pieces)
    moved = 0
    for place in range(moving[0].at, len(mails)):
        mail = mails[place]
        mail.start += moved
        mail.head += moved
        moved += grown.get(place, 0)
        mail.body += moved
        mail.end += moved
        mail.next += moved
        if place >= last and not moved:
            return

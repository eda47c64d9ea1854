"""Writing the fields of some messages that the index knows, and finding them where it says they are."""

from collections.abc import Sequence
from typing import Final

from pydovecot.storage.drivers.mbox import rewriting
from pydovecot.storage.drivers.mbox.fields import Meta
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.place import MboxPlace
from pydovecot.storage.drivers.mbox.scan import Base, Mail, first_mail, scan

FIRST_BYTES: Final = 16384  # where the first header usually ends


class LostError(Exception):
    """A message is not where the index has it: somebody has changed the file without a lock."""


def base_of(place: MboxPlace) -> Base:
    """What X-IMAPbase must say now."""
    header = place.index.header()
    names = tuple(name for name in header.keyword_names() if name)
    return Base(header.uidvalidity, header.uidnext - 1, names)


def fields_of(file: MboxFile, mail: Mail) -> Mail:
    """What the message's fields say now, if it is there."""
    text = file.read(mail.start, mail.body)
    found = next(scan(text, len(text), 0), None) if text.startswith(b"From ") else None
    if found is None or (found.uid != mail.uid and file.writable):
        raise LostError
    return found


def _first(file: MboxFile) -> Mail:
    """The first message (its header is right, its end may be cut off), which may be a pseudo message."""
    wanted = FIRST_BYTES
    while True:
        data = file.read(0, wanted)
        found = first_mail(data, len(data))
        assert found is not None
        if found.body < len(data) or len(data) < wanted:
            return found
        wanted *= 4


def write_metas(
    place: MboxPlace, file: MboxFile, mails: Sequence[Mail], metas: dict[int, Meta]
) -> dict[int, str]:
    """Write fields of messages by UID; where these are afterwards. The index learns what else has moved."""
    places = {mail.uid: mail.place for mail in mails}
    if not file.writable:
        return places
    base = base_of(place)
    first = _first(file)
    jobs = [(mail, metas[mail.uid]) for mail in mails]
    if jobs and jobs[0][0].start == 0:
        jobs[0][1].base = base
    elif first.base != base:
        # A keyword must be known to the mailbox before a message has it.
        meta = Meta(first.uid, first.flags, first.old, first.keywords, base, first.pseudo)
        jobs.insert(0, (first, meta))
    left: list[tuple[Mail, Meta]] = []
    for mail, meta in jobs:
        if not rewriting.in_place(file, mail, meta):
            if mail.start == 0:
                left = jobs
                break
            left.append((mail, meta))
    if left:
        _move(place, file, left, first, places)
    return places


def _move(
    place: MboxPlace, file: MboxFile, left: Sequence[tuple[Mail, Meta]], first: Mail, places: dict[int, str]
) -> None:
    """Some headers need more room: all that follows may move."""
    rows = [mail for mail, _ in place.mails()]
    mails = [first, *rows] if first.pseudo else rows
    chain(mails, file.size)
    by_start = {mail.start: at for at, mail in enumerate(mails)}
    before = {mail.uid: mail.place for mail in rows}
    rewriting.apply(file, mails, {by_start[mail.start]: meta for mail, meta in left})
    moved = [(mail.uid, mail.place) for mail in rows if before[mail.uid] != mail.place]
    place.index.rename(moved)
    places.update((uid, where) for uid, where in moved if uid in places)


def chain(mails: Sequence[Mail], size: int) -> None:
    """Tell each where the next one begins."""
    for one, after in zip(mails, [*mails[1:], None], strict=True):
        one.next = after.start if after is not None else size


def mark_old(place: MboxPlace, file: MboxFile, first_uid: int) -> None:
    """Messages from `first_uid` on get their mark that somebody has seen them."""
    low, high = place.index.key(first_uid), place.index.span[1]
    rows = place.host.database.rows("SELECT id & 4294967295 FROM msg WHERE id BETWEEN ? AND ?", (low, high))
    metas: dict[int, Meta] = {}
    mails: list[Mail] = []
    for mail, _ in place.mails([uid for (uid,) in rows]) if rows else ():
        now = fields_of(file, mail)
        if not now.old:
            metas[mail.uid] = Meta(mail.uid, now.flags, True, now.keywords)
            mails.append(mail)
    if mails:
        before = {mail.uid: mail.place for mail in mails}
        places = write_metas(place, file, mails, metas)
        place.index.rename([(uid, where) for uid, where in places.items() if before[uid] != where])

"""Writing the fields of some messages that the index knows, and finding them where it says they are."""

from collections.abc import Sequence
from typing import Final

from pydovecot.index.schema import KEYWORD_SHIFT
from pydovecot.model.errors import DiskFullError
from pydovecot.storage.drivers.mbox import rewriting
from pydovecot.storage.drivers.mbox.fields import Meta
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.place import Disk, MboxPlace, at, known_bits
from pydovecot.storage.drivers.mbox.scan import Base, Mail, NotMboxError, first_mail, scan

SYSTEM: Final = (1 << KEYWORD_SHIFT) - 1  # system flags of a state
FIRST_BYTES: Final = 16384  # where the first header usually ends


class LostError(Exception):
    """A message is not where the index has it: somebody has changed the file without a lock."""


def base_of(place: MboxPlace) -> Base:
    """What X-IMAPbase must say now."""
    header = place.index.header()
    names = tuple(name for name in header.keyword_names() if name)
    return Base(header.uidvalidity, header.uidnext - 1, names)


def fields_of(place: MboxPlace, file: MboxFile, mail: Mail) -> Mail:
    """What the message's fields say now, if it is there; else LostError."""
    text = file.read(mail.start, mail.body)
    try:
        found = next(scan(text, len(text)), None)
    except NotMboxError:
        found = None
    if found is None or not is_it(place, text, found, mail):
        raise LostError
    return found


def is_it(place: MboxPlace, text: bytes, found: Mail, mail: Mail) -> bool:
    """What was found in `text` is what the index calls `mail`. Its UID may not be in the file yet."""
    if found.uid == mail.uid:
        return True
    if found.uid and not mail.stale:
        return False
    row = place.database.row("SELECT guid FROM msg WHERE id = ?", (place.index.key(mail.uid),))
    return row is not None and row[0] == place.guid_of_header(text[found.head : found.body])


def first_of(file: MboxFile) -> Mail:
    """The first message (its header is right, its end may be cut off), which may be a pseudo message."""
    wanted = FIRST_BYTES
    while True:
        data = file.read(0, wanted)
        try:
            found = first_mail(data, len(data))
        except NotMboxError:
            found = None
        if found is None:
            raise LostError
        if found.body < len(data) or len(data) < wanted:
            return found
        wanted *= 4


def write_metas(
    place: MboxPlace, file: MboxFile, mails: Sequence[Mail], metas: dict[int, Meta]
) -> dict[int, str]:
    """Write fields of messages by UID; where these are afterwards. The index learns what else has moved.

    The marks of `mails` are as they shall be behind it.
    """
    places = {mail.uid: mail.place for mail in mails}
    if not file.writable:
        return places
    base = base_of(place)
    first = first_of(file)
    jobs = [(mail, metas[mail.uid]) for mail in mails]
    if jobs and jobs[0][0].start == 0:
        jobs[0][1].base = base
    elif first.base != base:
        # A keyword must be known to the mailbox before a message has it.
        jobs.insert(0, (first, _first_meta(place, first, base)))
    left: list[tuple[Mail, Meta]] = []
    for mail, meta in jobs:
        if not rewriting.in_place(file, mail, meta):
            if mail.start == 0:
                left = jobs
                break
            left.append((mail, meta))
    if left:
        _move(place, file, left, first, places, mails)
    return places


def _first_meta(place: MboxPlace, first: Mail, base: Base) -> Meta:
    """What the first message must say, if only X-IMAPbase is new. Its UID may not be in the file yet."""
    if first.pseudo:
        return Meta(0, first.flags, first.old, first.keywords, base, pseudo=True)
    row = place.database.row(
        "SELECT id & 4294967295, name FROM msg WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1", place.index.span
    )
    if row is None or at(row[1], row[0]).start:
        raise LostError
    foreign = bool(known_bits(list(base.keywords), first.keywords)[1])
    return Meta(row[0], first.flags, first.old, () if foreign else first.keywords, base, foreign=foreign)


def _move(
    place: MboxPlace, file: MboxFile, left: Sequence[tuple[Mail, Meta]], first: Mail, places: dict[int, str],
    marked: Sequence[Mail],
) -> None:  # fmt: skip
    """Some headers need more room: all that follows may move."""
    begin = left[0][0]
    rows = [mail for mail, _ in place.mails(above=begin.uid if begin.start else 0)]
    mails = [first, *rows] if first.pseudo and not begin.start else rows
    chain(mails, file.size)
    by_start = {mail.start: at for at, mail in enumerate(mails)}
    before = {mail.uid: mail.place for mail in rows}
    marks = {mail.uid: (mail.old, mail.stale, mail.dirty) for mail in marked}
    for mail in rows:
        if mail.uid in marks:
            mail.old, mail.stale, mail.dirty = marks[mail.uid]
    rewriting.apply(file, mails, {by_start[mail.start]: meta for mail, meta in left})
    moved = [(mail.uid, mail.place) for mail in rows if before[mail.uid] != mail.place]
    place.index.rename(moved)
    places.update((uid, where) for uid, where in moved if uid in places)


def chain(mails: Sequence[Mail], size: int) -> None:
    """Tell each where the next one begins."""
    for one, after in zip(mails, [*mails[1:], None], strict=True):
        one.next = after.start if after is not None else size


def meta_of(place: MboxPlace, file: MboxFile, mail: Mail, state: int, disk: Disk) -> Meta:
    """What a message's fields must say."""
    now = fields_of(place, file, mail)
    foreign = bool(known_bits(place.index.header().keyword_names(), now.keywords)[1])
    old = now.old or mail.uid < disk.recent_from
    return Meta(mail.uid, state & SYSTEM, old, place.keywords_of(state), foreign=foreign)


def flush(place: MboxPlace, file: MboxFile) -> None:
    """Write what only the index knows. LostError, DiskFullError: that is still so."""
    disk = place.disk()
    if not disk.dirty or not file.writable:
        return
    metas: dict[int, Meta] = {}
    mails: list[Mail] = []
    for mail, state in place.dirty_mails(disk):
        metas[mail.uid] = meta_of(place, file, mail, state, disk)
        mail.written(metas[mail.uid].old)
        mails.append(mail)
    places = write_metas(place, file, mails, metas)
    place.index.rename(places.items())
    disk.dirty = False
    place.remember(file, disk)


def number(place: MboxPlace, file: MboxFile) -> None:
    """Write the UIDs of new messages, and nothing of flags. What fails is done with these.

    Two messages that have neither a date nor a Message-ID could be taken for each other without.
    """
    disk = place.disk()
    if not file.writable:
        return
    metas: dict[int, Meta] = {}
    mails: list[Mail] = []
    try:
        for mail, _ in place.dirty_mails(disk):
            if mail.stale:
                now = fields_of(place, file, mail)
                foreign = bool(known_bits(place.index.header().keyword_names(), now.keywords)[1])
                keywords = () if foreign else now.keywords
                metas[mail.uid] = Meta(mail.uid, now.flags, now.old, keywords, foreign=foreign)
                mail.stale = False
                mails.append(mail)
        places = write_metas(place, file, mails, metas)
    except (DiskFullError, LostError):
        return
    place.index.rename(places.items())
    place.remember(file, disk)


def flush_or_leave(place: MboxPlace, file: MboxFile) -> None:
    """The same; what cannot be written now is written another time."""
    try:
        flush(place, file)
    except (DiskFullError, LostError):
        pass

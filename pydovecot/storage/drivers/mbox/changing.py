"""STORE and EXPUNGE: the file changes, then the index follows in the same transaction.

With mbox_lazy_writes a STORE changes the index alone; see writing.flush.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydovecot.index.mailbox import DELETED
from pydovecot.storage.content import crlf_size
from pydovecot.storage.drivers.mbox import pseudo, sync
from pydovecot.storage.drivers.mbox.fields import Header, Meta
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.journal import Piece
from pydovecot.storage.drivers.mbox.place import Disk, MboxPlace
from pydovecot.storage.drivers.mbox.scan import Mail, without_meta
from pydovecot.storage.drivers.mbox.writing import (
    LostError,
    base_of,
    chain,
    fields_of,
    flush,
    meta_of,
    write_metas,
)
from pydovecot.storage.indexed.folder import StateChange, StoreOutcome

Result = TypeVar("Result")
Changed = tuple[Mail, int, int]  # state before and after


def _locked(place: MboxPlace, work: Callable[[MboxFile], Result], *, full: bool = False) -> Result:
    """Run `work` on a file that the index knows. `full`: all of it, see sync.catch_up."""
    with place.locked(write=True) as file:
        try:
            with place.database.write():
                sync.catch_up(place, file, full=full)
                place.index.begin()
                return work(file)
        except LostError:
            with place.database.write():
                sync.catch_up(place, file, force=True)
                place.index.begin()
                return work(file)


def store(
    place: MboxPlace, uids: Sequence[int], change: StateChange, unchanged_since: int | None
) -> StoreOutcome:
    """Change flags of what is there now, not of what some view shows."""
    if place.host.habits.lazy_writes:
        outcome = _store_lazily(place, uids, change, unchanged_since)
        if outcome is not None:
            return outcome
    return _locked(place, lambda file: _store(place, file, uids, change, unchanged_since))


def _store_lazily(
    place: MboxPlace, uids: Sequence[int], change: StateChange, unchanged_since: int | None
) -> StoreOutcome | None:
    """In the index alone; None: it does not know what is in the file."""
    with place.database.write():
        disk = place.disk()
        if not disk.knows(place.stamp()):
            return None
        place.index.begin()
        outcome, changed = _plan(place, uids, change, unchanged_since)
        if not changed:
            return outcome
        _later(place, disk, changed)
        outcome.modseq = place.index.modseq()
    place.ring()
    return outcome


def _later(place: MboxPlace, disk: Disk, changed: Sequence[Changed]) -> None:
    """The index has it, the file comes later."""
    for mail, _, _ in changed:
        mail.dirty = True
    place.index.change([(mail.uid, old, new, mail.place) for mail, old, new in changed])
    disk.dirty = True
    place.index.set(disk=disk.format())


def _plan(
    place: MboxPlace, uids: Sequence[int], change: StateChange, unchanged_since: int | None
) -> tuple[StoreOutcome, list[Changed]]:
    """What STORE answers, and what it has to change."""
    outcome = StoreOutcome()
    found = place.mails(uids) if uids else []
    outcome.gone = len(found) < len(uids)
    modseqs = _modseqs(place, uids) if unchanged_since is not None else {}
    changed: list[Changed] = []
    for mail, old in found:
        new = change.apply(old)
        if unchanged_since is not None and modseqs[mail.uid] > unchanged_since:
            outcome.modified.append(mail.uid)
        elif new == old:
            outcome.states.append((mail.uid, old, False))
        else:
            changed.append((mail, old, new))
            outcome.states.append((mail.uid, new, True))
    return outcome, changed


def _store(
    place: MboxPlace, file: MboxFile, uids: Sequence[int], change: StateChange, unchanged_since: int | None
) -> StoreOutcome:
    outcome, changed = _plan(place, uids, change, unchanged_since)
    if not changed:
        return outcome
    disk = place.disk()
    if place.host.habits.lazy_writes:
        _later(place, disk, changed)
    else:
        metas: dict[int, Meta] = {}
        for mail, _, new in changed:
            metas[mail.uid] = meta_of(place, file, mail, new, disk)
            mail.written(metas[mail.uid].old)
        places = write_metas(place, file, [mail for mail, _, _ in changed], metas)
        place.index.change([(mail.uid, old, new, places[mail.uid]) for mail, old, new in changed])
        place.remember(file, disk)
    outcome.modseq = place.index.modseq()
    return outcome


def _modseqs(place: MboxPlace, uids: Sequence[int]) -> dict[int, int]:
    rows = place.database.rows(
        "SELECT id & 4294967295, modseq FROM msg WHERE id BETWEEN ? AND ?",
        (place.index.key(uids[0]), place.index.key(uids[-1])),
    )
    return dict(rows)


def expunge(place: MboxPlace, uids: Sequence[int], *, only_deleted: bool) -> None:
    """Remove messages; those that are gone already are gone from the index, too."""
    sizes = _locked(place, lambda file: _expunge(place, file, uids, only_deleted), full=True)
    if place.hook is not None and sizes:
        place.hook.left(len(sizes), sum(size for size, _ in sizes), sum(size for _, size in sizes))


def _expunge(
    place: MboxPlace, file: MboxFile, uids: Sequence[int], only_deleted: bool
) -> list[tuple[int, int]]:
    """Sizes of what was removed, in the CRLF form too, if somebody wants to know."""
    flush(place, file)
    wanted = set(uids)
    known = place.mails()
    gone = [mail.uid for mail, state in known if mail.uid in wanted and (state & DELETED or not only_deleted)]
    if not gone:
        return []
    drop = set(gone)
    mails = [mail for mail, _ in known]
    sizes: list[tuple[int, int]] = []
    chain(mails, file.size)
    for mail in mails:
        if mail.uid in drop:
            fields_of(place, file, mail)
            if place.hook is not None:
                text = without_meta(file.read(mail.head, mail.body)) + file.read(mail.body, mail.end)
                sizes.append((len(text), crlf_size(text)))
    first_gone = next(mail for mail in mails if mail.uid in drop)
    pieces: list[Piece] = []
    moved: list[tuple[int, str]] = []
    at = first_gone.start
    for mail in mails:
        if mail.start < first_gone.start or mail.uid in drop:
            continue
        shift = at - mail.start
        if at == 0:
            shift += _new_first(place, file, mail, pieces)
            head, grown = mail.head - mail.start, shift - (at - mail.start)
            where = Mail(0, head, mail.body - mail.start + grown, mail.end - mail.start + grown, 0)
        else:
            pieces.append((mail.start, mail.next))
            where = Mail(mail.start + shift, mail.head + shift, mail.body + shift, mail.end + shift, 0)
        where.old, where.dirty, where.stale = mail.old, mail.dirty, mail.stale
        moved.append((mail.uid, where.place))
        at = mail.next + shift
    if at == 0:
        pieces.append(pseudo.message(base_of(place), int(time.time())))
    file.replace(first_gone.start, file.size - first_gone.start, _joined(pieces))
    place.index.expunge(gone)
    place.index.rename(moved)
    place.remember(file, place.disk())
    return sizes


def _new_first(place: MboxPlace, file: MboxFile, mail: Mail, pieces: list[Piece]) -> int:
    """The first message that stays gets X-IMAPbase; by how much it grows."""
    now = fields_of(place, file, mail)
    raw = file.read(mail.head, mail.body)
    meta = Meta(mail.uid, now.flags, now.old, now.keywords, base_of(place))
    header = Header(raw)
    header.update(meta, mail.end - mail.body)
    header.fit(len(raw))
    new = header.raw()
    pieces += [(mail.start, mail.head), new, (mail.body, mail.next)]
    return len(new) - len(raw)


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbouring ranges as one."""
    out: list[Piece] = []
    for piece in pieces:
        last = out[-1] if out else None
        if isinstance(piece, tuple) and isinstance(last, tuple) and last[1] == piece[0]:
            out[-1] = last[0], piece[1]
        else:
            out.append(piece)
    return out

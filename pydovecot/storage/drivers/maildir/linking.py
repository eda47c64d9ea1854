"""COPY and MOVE between Maildirs: hard links and renames, no byte of a message is read."""

import errno
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydovecot.base.replace_file import sync_directory
from pydovecot.index.mailbox import NewMail
from pydovecot.index.schema import KEYWORD_SHIFT
from pydovecot.model.errors import Code, UserError
from pydovecot.model.numbers import Uid
from pydovecot.storage.api import CopyResult, ExpungedError, MailboxGoneError
from pydovecot.storage.drivers.maildir import filename, numbering, sync
from pydovecot.storage.drivers.maildir.changing import Row, expunge, rows_of, sizes_of_one
from pydovecot.storage.drivers.maildir.place import NEW, MaildirPlace
from pydovecot.storage.drivers.maildir.uidlist import Entry, format_lines
from pydovecot.storage.hooks import Left

_CACHED = "received, saved, size, psize, uidl"


@dataclass(slots=True)
class _Made:
    """One message that has its file in the target."""

    uid: int
    source: str
    mail: NewMail
    base: str


def copy(place: MaildirPlace, uids: Sequence[int], target: MaildirPlace, *, move: bool) -> CopyResult:
    """All or none. `target` may be the same mailbox."""
    try:
        if target.hook is not None or place.hook is not None:
            return _asked(place, uids, target, move=move)
        result = _copy(place, uids, target, move=move)
        if move and not _renames(place, target):
            expunge(place, result.source, only_deleted=False)
        return result
    except (MailboxGoneError, FileNotFoundError) as exc:
        if target is place or not os.path.isdir(place.path + "/cur"):
            raise
        # Another session has deleted the target; the selected mailbox is as it was.
        raise UserError(Code.NONEXISTENT, "Mailbox was deleted") from exc


def _asked(place: MaildirPlace, uids: Sequence[int], target: MaildirPlace, *, move: bool) -> CopyResult:
    """Ask before any lock is taken, and tell when all are free again."""
    arrival = target.hook.arriving() if target.hook is not None else None
    sizes = [sizes_of_one(place, row) for row in rows_of(place, uids)]
    if arrival is not None:
        for octets, crlf_octets in sizes:
            arrival.add(octets, crlf_octets, moved=move)
    result = _copy(place, uids, target, move=move)
    if result.gone:
        return result
    left: Left | None = None
    if move and place.hook is not None and _renames(place, target):
        left = Left(place.hook, len(sizes), sum(size[0] for size in sizes), sum(size[1] for size in sizes))
    if arrival is not None:
        arrival.done(left)
    if move and not _renames(place, target):
        expunge(place, result.source, only_deleted=False)
    return result


def _renames(place: MaildirPlace, target: MaildirPlace) -> bool:
    """A move inside one index renames; between two it links, because the two commits cannot be one."""
    return place.host.database is target.host.database and place is not target


def _copy(place: MaildirPlace, uids: Sequence[int], target: MaildirPlace, *, move: bool) -> CopyResult:
    same_index = place.host.database is target.host.database
    letters = _letters(place, uids, target)
    with target.uidlist_lock() as _, target.host.database.write():
        sync.catch_up(target, writable=True)
        target.index.begin()
        header, state = target.index.header(), target.disk()
        first = header.uidnext
        rows = rows_of(place, uids)
        if len(rows) < len(uids):
            return CopyResult(header.uidvalidity, (), (), gone=True)
        facts = _facts(place, rows)
        rename = move and _renames(place, target)
        made: list[_Made] = []
        before = target.times()
        try:
            for row in rows:
                made.append(_place_one(place, row, target, first + len(made), letters, facts, rename))
            if target.host.fsync and made:
                _fsync(target, made)
        except ExpungedError:
            _undo(place, target, made, rename)
            return CopyResult(header.uidvalidity, (), (), gone=True)
        except BaseException:
            _undo(place, target, made, rename)
            raise
        target.remember(state, before)
        if made:
            lines = format_lines([Entry(one.mail[0], one.base) for one in made])
            numbering.extend(target, state, lines, len(made))
            state.in_new += sum(one.mail[2].startswith(NEW) for one in made)
            target.index.add([one.mail for one in made])
            if same_index:
                pairs = [(place.index.key(one.uid), target.index.key(one.mail[0])) for one in made]
                target.index.copy_cache(pairs)
        target.index.set(disk=state.format())
        if rename and made:
            with place.own_changes() as own:
                own.in_new -= sum(one.source.startswith(NEW) for one in made)
            place.index.begin()
            place.index.expunge([one.uid for one in made])
    octets = sum(one.mail[6] or 0 for one in made)
    if not rename:
        target.host.count_quota(octets, len(made))
    return CopyResult(
        header.uidvalidity,
        [Uid(one.uid) for one in made],
        [Uid(one.mail[0]) for one in made],
    )


def _letters(place: MaildirPlace, uids: Sequence[int], target: MaildirPlace) -> dict[int, int]:
    """Keyword bits of the source to keyword bits of the target, which learns the names it lacks."""
    used = 0
    for row in rows_of(place, uids):
        used |= row[2]
    names = {
        bit: name
        for bit, name in enumerate(place.index.header().keyword_names())
        if name and used >> (KEYWORD_SHIFT + bit) & 1
    }
    if place is target or (place.index.id == target.index.id and place.host is target.host):
        return {1 << (KEYWORD_SHIFT + bit): 1 << (KEYWORD_SHIFT + bit) for bit in names}
    return {
        1 << (KEYWORD_SHIFT + bit): target.keyword_bits([name], create=True) for bit, name in names.items()
    }


def _facts(place: MaildirPlace, rows: Sequence[Row]) -> dict[int, tuple[int | None, ...]]:
    if not rows:
        return {}
    low, high = place.index.key(rows[0][0]), place.index.key(rows[-1][0])
    found = place.host.database.rows(f"SELECT id, {_CACHED} FROM msg WHERE id BETWEEN ? AND ?", (low, high))
    return {row[0]: row[1:] for row in found}


def _place_one(
    place: MaildirPlace,
    row: Row,
    target: MaildirPlace,
    uid: int,
    letters: dict[int, int],
    facts: dict[int, tuple[int | None, ...]],
    rename: bool,
) -> _Made:
    """Give one message a name in the target; ExpungedError when it is gone."""
    old_uid, _, state, name = row
    new_state = state & 0xFF
    for bit, other in letters.items():
        if state & bit:
            new_state |= other
    received, _saved, size, psize, uidl = facts[place.index.key(old_uid)]
    told = filename.sizes_of(name)
    base = target.host.names.next()
    if told[0] is not None:
        base += f",S={psize if psize is not None else told[0]}"
    if told[1] is not None:
        base += f",W={size if size is not None else told[1]}"
    # Without flags it is new mail also for other programs; as Dovecot.
    new_name = base + filename.INFOS[new_state & filename.FILE_BITS] if new_state else NEW + base
    source = _put(place, name, target.file_of(new_name), rename, target.host.hardlinks)
    if source is None:
        raise ExpungedError
    mail: NewMail = (
        uid, new_state, new_name, received, int(time.time()),
        size if size is not None else told[1], psize if psize is not None else told[0],
        None, str(uidl) if uidl else None,
    )  # fmt: skip
    return _Made(old_uid, source, mail, base)


def _put(place: MaildirPlace, name: str, path: str, rename: bool, hardlinks: bool) -> str | None:
    """Link or rename a message to `path`; returns the name that it had, None when it is gone."""
    for _ in range(5):
        try:
            if rename:
                os.rename(place.file_of(name), path)
            elif hardlinks:
                os.link(place.file_of(name), path)
            else:
                _copy_bytes(place.file_of(name), path)
            return name
        except FileNotFoundError:
            base = filename.base_of(name.removeprefix(NEW))
            found = place.locate([base])
            if not found:
                return None
            name = found[base]
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UserError(Code.OVERQUOTA, "Not enough disk space") from exc
            if exc.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM) or not (rename or hardlinks):
                raise
            # Another file system, or one without links.
            _copy_bytes(place.file_of(name), path)
            if rename:
                os.unlink(place.file_of(name))
            return name
    return None


def _copy_bytes(source: str, path: str) -> None:
    """A copy of its own: complete under a name in tmp/ before it gets the real one."""
    folder, _, name = path.rpartition("/")
    temp = f"{folder.rpartition('/')[0]}/tmp/{name.partition(':')[0]}"
    shutil.copy2(source, temp)
    fd = os.open(temp, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temp, path)


def _fsync(target: MaildirPlace, made: Sequence[_Made]) -> None:
    for folder in {"new" if one.mail[2].startswith(NEW) else "cur" for one in made}:
        sync_directory(f"{target.path}/{folder}")


def _undo(place: MaildirPlace, target: MaildirPlace, made: Sequence[_Made], rename: bool) -> None:
    for one in made:
        path = target.file_of(one.mail[2])
        if rename:
            os.rename(path, place.file_of(one.source))
        else:
            os.unlink(path)

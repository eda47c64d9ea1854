"""Whether what happened to some files of a Maildir is known already: then nobody needs to read it again."""

import os
from collections.abc import Collection
from typing import Final

from pydovecot.index.mailbox import CHANGED
from pydovecot.storage.drivers.maildir.filename import base_of
from pydovecot.storage.drivers.maildir.place import NEW, MaildirPlace

MANY: Final = 100  # names or rows: reading the directory costs no more


def explains(place: MaildirPlace, names: Collection[str], modseq: int) -> bool:
    """See Folder.explains. False when it cannot be told cheaply."""
    if len(names) > MANY:
        return False
    if not names:
        return True
    if place.disk().in_new == 0 and any(
        name.startswith(NEW) and os.path.lexists(place.file_of(name)) for name in names
    ):
        return False  # the usual case: new mail
    latest = _latest(place, modseq)
    if latest is None:
        return False
    there, bases = latest
    for name in names:
        if os.path.lexists(place.file_of(name)):
            if name not in there:
                return False
        elif name in there or base_of(name.removeprefix(NEW)) not in bases:
            return False
    return True


def _latest(place: MaildirPlace, modseq: int) -> tuple[set[str], set[str]] | None:
    """Names of messages that changed after `modseq`, and the bases of these and of those that went."""
    database, index = place.host.database, place.index
    with database.read():
        spans = database.rows(
            "SELECT low, high, kind FROM log WHERE mailbox = ? AND modseq > ? LIMIT ?",
            (index.id, modseq, MANY + 1),
        )
        if sum(high - low + 1 for low, high, _ in spans) > MANY:
            return None
        there: set[str] = set()
        gone: set[str] = set()
        for low, high, kind in spans:
            table, names = ("msg", there) if kind == CHANGED else ("gone", gone)
            span = index.key(low), index.key(high)
            rows = database.rows(f"SELECT name FROM {table} WHERE id BETWEEN ? AND ?", span)
            names.update(name for (name,) in rows)
    return there, {base_of(name.removeprefix(NEW)) for name in there | gone}

"""autoexpunge: mailboxes that lose their old messages at logout."""

import time
from collections.abc import Iterator
from typing import Protocol

from pydovecot.model.errors import InternalError, UserError
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, MailboxGoneError, View
from pydovecot.storage.backend import Existence, Parts
from pydovecot.storage.namespaces import NamespaceEntry
from pydovecot.storage.settings import MailboxSettings


class Opener(Protocol):
    """How a store opens a mailbox."""

    def __call__(
        self, entry: NamespaceEntry, parts: Parts, /, *, readonly: bool, keep_recent: bool
    ) -> View: ...


def autoexpunge(entry: NamespaceEntry, parts: Parts, settings: MailboxSettings, open_view: Opener) -> int:
    """Remove messages saved before `autoexpunge` and the oldest above `autoexpunge_max_mails`; says how many.

    Failures are left to the next logout: nobody waits for this.
    """
    backend = entry.backend
    try:
        if (
            backend.existence(parts) is not Existence.MAILBOX
            or not backend.status(parts, size=False).messages
        ):
            return 0
        view = open_view(entry, parts, readonly=False, keep_recent=True)
        try:
            count = _expired(view.rows(SeqSet.from_ranges([(1, len(view.uids))]), (Column.SAVED,)), settings)
            if settings.autoexpunge_max_mails:
                count = max(count, len(view.uids) - settings.autoexpunge_max_mails)
            if count:
                view.expunge_seqs(SeqSet.from_ranges([(1, count)]))
            return count
        finally:
            view.close()
    except (UserError, InternalError, MailboxGoneError):
        return 0


def _expired(rows: Iterator[tuple[object, ...]], settings: MailboxSettings) -> int:
    """How many messages from the first on are too old; the first young one ends it, as in Dovecot."""
    if not settings.autoexpunge:
        return 0
    limit = time.time() - settings.autoexpunge
    count = 0
    for (saved,) in rows:
        if not isinstance(saved, int) or not 0 < saved <= limit:
            break
        count += 1
    return count

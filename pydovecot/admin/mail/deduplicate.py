"""doveadm deduplicate: of messages that are the same within one mailbox only the first one stays."""

import time
from collections.abc import Iterator, Sequence
from typing import cast

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import Usage
from pydovecot.admin.mail import query, users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import each, failed
from pydovecot.admin.mail.users import Mail
from pydovecot.mime import header
from pydovecot.model.search import Key
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, ExpungedError, View


class _Deduplicate:
    """users.Job. The same: with one GUID, or (`by_id`) with one Message-ID."""

    output = ""
    key: Key

    def __init__(self, *, by_id: bool) -> None:
        self._by_id = by_id

    def start(self, _context: Context, arguments: Arguments) -> None:
        words = arguments.many("query")
        if not words:
            raise Usage
        self.key = query.parse(words, time.time())

    def run(self, mail: Mail) -> None:
        for view, found in each(mail, self.key):
            try:
                again = list(self._again(view, found))
                if again:
                    view.expunge_seqs(SeqSet.of(again))
            except (*FAILURES, ExpungedError) as exc:
                failed(mail, f"Deduplicating mailbox {view.name} failed", exc)

    def _again(self, view: View, found: Sequence[int]) -> Iterator[int]:
        """Sequence numbers of what was there before. Without a Message-ID a message is like no other."""
        seen: set[str | bytes] = set()
        column = Column.FIELDS if self._by_id else Column.GUID
        for seq, value in view.rows(SeqSet.of(found), (Column.SEQ, column)):
            name = header.first(value, b"message-id") if isinstance(value, bytes) else cast("str", value)
            if not name:
                continue
            if name in seen:
                yield cast("int", seq)
            seen.add(name)


def run(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _Deduplicate(by_id=arguments.flag("by-msgid")))

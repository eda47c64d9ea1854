"""doveadm expunge: removes the messages that a query finds, whatever their flags."""

import time
from collections.abc import Sequence
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import Usage
from pydovecot.admin.mail import query, users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import each, failed, seqs_of
from pydovecot.admin.mail.progress import Progress
from pydovecot.admin.mail.users import Mail
from pydovecot.model.search import Key
from pydovecot.storage.api import View

_SYNC: Final = "Syncing mailbox '%s' failed"


class Expunge:
    """users.Job. `delete_empty`: mailboxes that have nothing left are deleted (-d)."""

    output = ""
    key: Key

    def __init__(self, *, delete_empty: bool) -> None:
        self._delete_empty = delete_empty
        self._progress = Progress("Expunging")

    def start(self, _context: Context, arguments: Arguments) -> None:
        words = arguments.many("query")
        if not words:
            raise Usage
        self.key = query.parse(words, time.time())
        query.check_careful(self.key, "expunge")

    def run(self, mail: Mail) -> None:
        emptied: list[str] = []
        with self._progress.of(mail.name) as step:
            for view, found in each(mail, self.key, missing=_SYNC, empty=self._delete_empty):
                step(view.name, len(found))
                if self._expunge(mail, view, found) and self._delete_empty and not view.uids:
                    emptied.append(view.name)
        for name in emptied:
            self._delete(mail, name)

    @staticmethod
    def _expunge(mail: Mail, view: View, found: Sequence[int]) -> bool:
        try:
            if found:
                for seq in found if mail.context.debug else ():
                    mail.context.log.debug(f"expunge: box={view.name} uid={view.uids[seq - 1]}")
                view.expunge_seqs(seqs_of(found))
                view.sync()
        except FAILURES as exc:
            failed(mail, _SYNC % view.name, exc)
            return False
        return True

    @staticmethod
    def _delete(mail: Mail, name: str) -> None:
        try:
            mail.store.delete(name)
            mail.store.unsubscribe(name)
        except FAILURES as exc:
            failed(mail, f"Deleting mailbox '{name}' failed", exc)


def run(context: Context, arguments: Arguments) -> int:
    job = Expunge(delete_empty=arguments.flag("delete-empty-mailbox"))
    return users.run(context, arguments, job)

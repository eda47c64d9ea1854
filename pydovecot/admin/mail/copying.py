"""doveadm copy and move: the messages that a query finds, into one mailbox."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import TEMPFAIL, AdminError, Usage
from pydovecot.admin.mail import query, users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import each, failed, seqs_of
from pydovecot.admin.mail.transfer import transfer
from pydovecot.admin.mail.users import Mail, look_up, open_mail
from pydovecot.model.errors import InternalError
from pydovecot.model.search import Key
from pydovecot.storage.api import ExpungedError, View


class Copy:
    """users.Job. `source_user`: whose mail is copied, unless it is the user's own."""

    output = "flow"  # prints no rows; an explicit -f is still checked
    key: Key

    def __init__(self, command: str) -> None:
        self._command, self._moves = command, command == "move"
        self._target = self._source_user = ""

    def start(self, context: Context, arguments: Arguments) -> None:
        words = arguments.many("query")
        self._target = arguments.text("destination-mailbox")
        if not words:
            raise Usage
        if len(words) > 1 and words[0].lower() == "user":
            if not context.server and not arguments.given("user") and not arguments.given("user-file"):
                raise AdminError("Use -u parameter to specify destination user")
            self._source_user, words = words[1], words[2:]
        self.key = query.parse(words, time.time())
        if self._moves:
            query.check_careful(self.key, self._command)

    def run(self, mail: Mail) -> None:
        try:
            mail.store.save(self._target).rollback()
        except FAILURES as exc:
            failed(mail, f"Can't open mailbox '{self._target}'", exc)
            return
        with self._source(mail) as source:
            for view, found in each(source, self.key, missing="Mailbox %s: Mailbox sync failed"):
                self._one(mail, source, view, found)

    @contextmanager
    def _source(self, mail: Mail) -> Iterator[Mail]:
        """The other user's mail, read with the rights of this one."""
        if not self._source_user:
            yield mail
            return
        context = mail.context
        try:
            user = look_up(context, self._source_user, mail.auth)
            if user is None:
                raise InternalError("User doesn't exist")
            store = open_mail(context, user)
        except InternalError as exc:
            raise AdminError(f"Couldn't lookup user {self._source_user}: {exc}", TEMPFAIL) from exc
        try:
            yield Mail(context, user, store, mail.auth)
        finally:
            store.close(logout=False)

    def _one(self, mail: Mail, source: Mail, view: View, found: Sequence[int]) -> None:
        """One mailbox: all of its messages, or none."""
        seqs = seqs_of(found)
        try:
            if source is not mail:
                transfer(view, found, mail.store.save(self._target))
                if self._moves:
                    view.expunge_seqs(seqs)
            elif self._moves:
                view.move(seqs, self._target)
            else:
                view.copy(seqs, self._target)
        except (*FAILURES, ExpungedError) as exc:
            what = "moved" if self._moves else "copied"
            failed(mail, f"Committing {what} mails failed", exc)


def copy(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, Copy("copy"))


def move(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, Copy("move"))


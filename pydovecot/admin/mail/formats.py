"""doveadm purge and altmove: work that some mail formats leave for later. Those here leave none."""

import time

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import Usage
from pydovecot.admin.mail import query, users
from pydovecot.admin.mail.mailboxes import each
from pydovecot.admin.mail.users import Mail
from pydovecot.model.search import Key


class _Purge:
    """users.Job: the user must be there, and its store be opened; then there is nothing to do."""

    output = ""

    def start(self, _context: Context, _arguments: Arguments) -> None:
        pass

    def run(self, _mail: Mail) -> None:
        pass


class _AltMove:
    """users.Job: mail of Maildir and mbox has one place only, where it stays, as in Dovecot."""

    output = ""
    key: Key

    def start(self, _context: Context, arguments: Arguments) -> None:
        words = arguments.many("query")
        if not words:
            raise Usage
        self.key = query.parse(words, time.time())

    def run(self, mail: Mail) -> None:
        for _view, _found in each(mail, self.key):
            pass


def purge(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _Purge())


def altmove(context: Context, arguments: Arguments) -> int:
    return users.run(context, arguments, _AltMove())

"""doveadm import: mail from another place, or another user's, below a mailbox of this user.

Nothing is taken away there. Each mailbox is one step: interrupted, what is whole stays. Run again, messages
are there twice, as in Dovecot (`deduplicate -m` removes them).
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import TEMPFAIL, AdminError, Usage
from pydovecot.admin.mail import query, users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import check_names, each, failed, separator_of
from pydovecot.admin.mail.progress import Progress
from pydovecot.admin.mail.transfer import transfer
from pydovecot.admin.mail.users import Mail, look_up
from pydovecot.model.errors import InternalError
from pydovecot.model.search import Key
from pydovecot.storage.api import ExpungedError, View
from pydovecot.storage.drivers.registry import open_location
from pydovecot.storage.user import StorageUser


class _Import:
    """users.Job."""

    output = ""
    key: Key

    def __init__(self, *, source_user: str, subscribe: bool) -> None:
        self._source_user, self._subscribe = source_user, subscribe
        self._location = self._parent = ""
        self._progress = Progress("Importing")

    def start(self, _context: Context, arguments: Arguments) -> None:
        words = arguments.many("query")
        if not words:
            raise Usage
        self._location = arguments.text("source-location")
        self._parent = arguments.text("dest-parent-mailbox")
        check_names([self._parent])
        self.key = query.parse(words, time.time())

    def run(self, mail: Mail) -> None:
        source = self._source(mail)
        try:
            with self._progress.of(mail.name) as step:
                for view, found in each(source, self.key):
                    self._one(mail, source, view, found)
                    step(view.name, len(found))
        finally:
            source.store.close(logout=False)

    def _source(self, mail: Mail) -> Mail:
        """Read with the rights of the user who gets the mail."""
        user = mail.user
        try:
            if self._source_user:
                found = look_up(mail.context, self._source_user, mail.auth)
                if found is None:
                    raise InternalError("User doesn't exist")
                user = replace(user, username=found.username, home=found.home, variables=found.variables)
            described = StorageUser(user.username, user.home, users.SERVICE, dict(user.variables))
            store = open_location(described, user.settings, self._location)
        except InternalError as exc:
            raise AdminError(f"Import namespace initialization failed: {exc}", TEMPFAIL) from exc
        return replace(mail, user=user, store=store)

    def _one(self, mail: Mail, source: Mail, view: View, found: Sequence[int]) -> None:
        name = self._target(mail, source, view)
        try:
            if not mail.store.exists(name):
                mail.store.create(name)
            if self._subscribe:
                mail.store.subscribe(name)
        except FAILURES as exc:
            failed(mail, f"Couldn't create mailbox {name}", exc)
            return
        try:
            transfer(view, found, mail.store.save(name))
        except (*FAILURES, ExpungedError) as exc:
            failed(mail, f"Committing copied mails to {name} failed", exc)

    def _target(self, mail: Mail, source: Mail, view: View) -> str:
        """The mailbox's name there, with the separator of here, below the parent."""
        parent = self._parent
        separator = separator_of(mail.store, parent)
        name = view.name.replace(source.store.namespaces[0].separator, separator)
        return f"{parent}{separator}{name}" if parent else name


def run(context: Context, arguments: Arguments) -> int:
    job = _Import(source_user=arguments.text("source-user"), subscribe=arguments.flag("subscribe"))
    return users.run(context, arguments, job)

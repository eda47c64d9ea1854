"""doveadm index and force-resync: the index is brought up to date, or made to look at everything again."""

from collections.abc import Callable
from contextlib import closing
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import USAGE, AdminError, Usage
from pydovecot.admin.mail import users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import failed, find, has_wildcards, mask_key
from pydovecot.admin.mail.progress import Progress
from pydovecot.admin.mail.users import Mail, check_interrupted
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, ExpungedError, View

# What clients ask for in lists of messages.
_INDEXED: Final = (Column.FIELDS, Column.ENVELOPE, Column.BODYSTRUCTURE, Column.SIZE, Column.PREVIEW)
AT_ONCE: Final = 100  # messages between two looks at signals and the terminal

Work = Callable[[Mail, View, Callable[[str, int], None]], None]


class _EachMailbox:
    """users.Job: something done with every mailbox of a mask."""

    output = ""

    def __init__(self, title: str, opening: str, working: str, work: Work) -> None:
        self._opening, self._working, self._work = opening, working, work
        self._progress = Progress(title)
        self._mask = ""

    def start(self, _context: Context, arguments: Arguments) -> None:
        self._mask = arguments.text("mailbox-mask")
        if not self._mask:
            raise Usage

    def run(self, mail: Mail) -> None:
        with self._progress.of(mail.name) as step:
            for name, _ in find(mail, mask_key([self._mask]), all_kinds=True):
                check_interrupted()
                if not has_wildcards(self._mask) and not mail.store.exists(name):
                    return
                self._one(mail, name, step)

    def _one(self, mail: Mail, name: str, step: Callable[[str, int], None]) -> None:
        try:
            view = mail.store.open(name, keep_recent=True)
        except FAILURES as exc:
            failed(mail, self._opening % name, exc)
            return
        with closing(view):
            try:
                self._work(mail, view, step)
            except (*FAILURES, ExpungedError) as exc:
                failed(mail, self._working % name, exc)


def _index(limit: int | None) -> Work:
    def work(mail: Mail, view: View, step: Callable[[str, int], None]) -> None:
        if limit is not None and view.recent > limit:
            return
        count = len(view.uids)
        for first in range(1, count + 1, AT_ONCE):
            check_interrupted()
            last = min(first + AT_ONCE - 1, count)
            for _row in view.rows(SeqSet(((first, last),)), _INDEXED):
                pass
            step(view.name, last - first + 1)
        if mail.context.verbose:
            mail.context.log.info(f"{view.name}: Cache is up to date")

    return work


def _resync(_mail: Mail, view: View, step: Callable[[str, int], None]) -> None:
    view.checkpoint()
    view.sync()
    count = len(view.uids)
    for first in range(1, count + 1, AT_ONCE):
        check_interrupted()
        last = min(first + AT_ONCE - 1, count)
        for _row in view.rows(SeqSet(((first, last),)), (Column.SIZE, Column.FLAGS)):
            pass
        step(view.name, last - first + 1)


def index(context: Context, arguments: Arguments) -> int:
    """There is no queue: -q works at once, too."""
    limit = None
    if arguments.given("max-recent"):
        text = arguments.text("max-recent")
        if not (text.isascii() and text.isdigit()):
            raise AdminError(f"Invalid -n parameter number: {text}", USAGE)
        limit = int(text)
    job = _EachMailbox(
        "Indexing", "Opening mailbox %s failed", "Mailbox %s: Mail search failed", _index(limit)
    )
    return users.run(context, arguments, job)


def force_resync(context: Context, arguments: Arguments) -> int:
    job = _EachMailbox(
        "Resyncing", "Opening mailbox %s failed", "Forcing a resync on mailbox %s failed", _resync
    )
    return users.run(context, arguments, job)

"""doveadm save: one message, from a file or standard input, into a mailbox."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import AdminError
from pydovecot.admin.mail import users
from pydovecot.admin.mail.failures import FAILURES
from pydovecot.admin.mail.mailboxes import check_names, failed
from pydovecot.admin.mail.users import Mail
from pydovecot.delivery.spool import Spool
from pydovecot.model.flags import NO_FLAGS, FlagSet

READ_BYTES: Final = 1 << 16


class SaveMessage:
    """users.Job."""

    output = ""

    def __init__(self) -> None:
        self._mailbox = "INBOX"
        self._spool = Spool("/tmp")

    def start(self, context: Context, arguments: Arguments) -> None:
        self._mailbox = arguments.text("mailbox", "INBOX")
        check_names([self._mailbox])
        path = arguments.text("file", "-")
        try:
            with nullcontext(context.stdin()) if path == "-" else open(path, "rb") as source:
                while chunk := source.read(READ_BYTES):
                    self._spool.write(chunk)
        except OSError as exc:
            raise AdminError(f"open({path}) failed: {exc.strerror}") from exc

    def source(self) -> Iterator[bytes]:
        """The message again, for a doveadm server."""
        return iter(self._spool.chunks())

    def run(self, mail: Mail) -> None:
        try:
            save = mail.store.save(self._mailbox)
        except FAILURES as exc:
            failed(mail, f"Failed to open mailbox {self._mailbox}", exc)
            return
        try:
            save.begin(FlagSet(NO_FLAGS), None)
            for chunk in self._spool.chunks():
                save.write(chunk)
            save.finish()
            save.commit()
        except FAILURES as exc:
            save.rollback()
            failed(mail, f"Saving failed: {self._mailbox}", exc)
        except BaseException:
            save.rollback()
            raise

    def close(self) -> None:
        self._spool.close()


def run(context: Context, arguments: Arguments) -> int:
    job = SaveMessage()
    try:
        return users.run(context, arguments, job)
    finally:
        job.close()

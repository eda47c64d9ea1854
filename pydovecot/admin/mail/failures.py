"""What a failure of the storage means for the exit status. Dovecot: doveadm_mail_failed_error."""

from typing import Final

from pydovecot.admin.errors import CANT_CREATE, NO_PERM, NOT_FOUND, NOT_POSSIBLE, TEMPFAIL, USAGE
from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.storage.api import MailboxGoneError

# What these raise is told and counted, and the command goes on with the next thing.
FAILURES: Final = (UserError, InternalError, MailboxGoneError, OSError)

_STATUS: Final = {
    Code.NONEXISTENT: NOT_FOUND,
    Code.NOPERM: NO_PERM,
    Code.OVERQUOTA: CANT_CREATE,
    Code.INUSE: TEMPFAIL,
    Code.EXPUNGEISSUED: TEMPFAIL,
    Code.UNAVAILABLE: TEMPFAIL,
}


def status_of(exc: BaseException) -> int:
    """The exit status that a failure asks for."""
    if isinstance(exc, MailboxGoneError):
        return NOT_FOUND
    if not isinstance(exc, UserError):
        return TEMPFAIL
    if exc.code is Code.CANNOT and exc.text.startswith("Invalid mailbox name"):
        return USAGE
    return _STATUS.get(exc.code, NOT_POSSIBLE)


def text_of(exc: BaseException) -> str:
    """In one line."""
    if isinstance(exc, MailboxGoneError):
        return "Mailbox was deleted under us"
    if isinstance(exc, OSError):
        return f"{exc.filename or ''}: {exc.strerror}".removeprefix(": ")
    return str(exc)

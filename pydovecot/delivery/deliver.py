"""Save a message into a mailbox of its recipient, and say in the log what became of it.

The mailbox that was asked for is tried first, then INBOX: mail is not refused because a folder is missing.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydovecot.delivery.mail import Mail
from pydovecot.delivery.settings import DeliverySettings
from pydovecot.event.event import Event
from pydovecot.model.errors import Code, DiskFullError, InternalError, UserError
from pydovecot.model.flags import NO_FLAGS, FlagSet
from pydovecot.settings.expand import expand
from pydovecot.settings.template import compile_template
from pydovecot.storage.api import MailboxGoneError, Save, SavedContent, Store

T = TypeVar("T")
INBOX = "INBOX"


class DeliveryFailed(Exception):
    """The message is not in any mailbox. `text` is safe to send; `error` says what kind of failure it is."""

    def __init__(self, error: UserError | None, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.over_quota = (
            error is not None and error.code is Code.OVERQUOTA and not isinstance(error, DiskFullError)
        )
        self.disk_full = isinstance(error, DiskFullError)


@dataclass(slots=True)
class Delivery:
    """One recipient's mailboxes. `internal_error` gives the text for a fault of ours that others may see."""

    store: Store
    settings: DeliverySettings
    event: Event
    internal_error: Callable[[], str]
    variables: Mapping[str, str] = field(default_factory=dict)
    session_millisecs: int = 0  # how long the message took to come
    _begin: float = 0.0

    def deliver(
        self, mail: Mail, mailbox: str, *, flags: FlagSet = FlagSet(NO_FLAGS, frozenset()),
        shared: SavedContent | None = None,
    ) -> SavedContent | None:  # fmt: skip
        """Save the mail. `shared`: where its content is already, if it was just delivered to somebody else.

        Gives the same for the next recipient. Raises DeliveryFailed; then nothing was saved.
        """
        self._begin = time.monotonic()
        names = [mailbox] if mailbox.upper() == INBOX else [mailbox, INBOX]
        failure = DeliveryFailed(None, self.internal_error())
        for name in names:
            try:
                return self._into(mail, name, flags, shared)
            except _Refused as exc:
                self.log(mail, f"save failed to {exc.where}: {exc.text}")
                failure = DeliveryFailed(exc.error, exc.text)
                if failure.over_quota or failure.disk_full:
                    break  # INBOX would not fare better
        raise failure

    def _into(
        self, mail: Mail, name: str, flags: FlagSet, shared: SavedContent | None
    ) -> SavedContent | None:
        opening = f"open mailbox {name}"
        save = self._guarded(opening, lambda: self._open(name))
        try:
            return self._guarded(name, lambda: self._write(save, mail, name, flags, shared))
        except BaseException:
            save.rollback()
            raise

    def _write(
        self, save: Save, mail: Mail, name: str, flags: FlagSet, shared: SavedContent | None
    ) -> SavedContent | None:
        if shared is None or not save.begin_shared(shared, flags, None):
            save.begin(flags, None, sender=mail.sender)
            for chunk in mail.chunks():
                save.write(chunk)
        save.finish()
        result = save.commit()
        content = result.contents[0] if result.contents else None
        self.log(mail, f"saved mail to {name}", content.storage_id if content is not None else "")
        return content

    def _open(self, name: str) -> Save:
        try:
            return self.store.save(name)
        except UserError as exc:
            if exc.code is not Code.NONEXISTENT or not self.settings.lda_mailbox_autocreate:
                raise
        self._create(name)
        if self.settings.lda_mailbox_autosubscribe:
            self.store.subscribe(name)
        return self.store.save(name)

    def _create(self, name: str) -> None:
        try:
            self.store.create(name)
        except UserError as exc:
            if exc.code is not Code.ALREADYEXISTS:  # another delivery has made it meanwhile
                raise

    def _guarded(self, where: str, step: Callable[[], T]) -> T:
        """A step; what it raises is logged where it is a fault of ours, and becomes _Refused."""
        try:
            return step()
        except UserError as exc:
            raise _Refused(where, exc, exc.text) from exc
        except MailboxGoneError as exc:
            raise _Refused(where, None, "Mailbox was deleted under us") from exc
        except InternalError as exc:
            self.event.error(f"save failed to {where}: {exc}")
            raise _Refused(where, None, self.internal_error()) from exc
        except Exception as exc:
            self.event.exception(f"save failed to {where}", exc)
            raise _Refused(where, None, self.internal_error()) from exc

    def log(self, mail: Mail, what: str, storage_id: str = "") -> None:
        """A line by deliver_log_format."""
        message_id = mail.message_id or "unspecified"
        values = {"$": what, "m": message_id, "msgid": message_id}
        if not _is_simple(self.settings.deliver_log_format):
            values = {
                **self.variables, **mail.log_values, **values, "storage_id": storage_id,
                "delivery_time": str(int((time.monotonic() - self._begin) * 1000)),
                "session_time": str(self.session_millisecs),
            }  # fmt: skip
        self.event.info(expand(self.settings.deliver_log_format, values))


def _is_simple(template: str) -> bool:
    """The default format and its like: nothing but what happened to which message."""
    names = {part.name for part in compile_template(template) if not isinstance(part, str)}
    return names <= {"$", "m", "msgid"}


class _Refused(Exception):
    """One mailbox did not take the message."""

    def __init__(self, where: str, error: UserError | None, text: str) -> None:
        super().__init__(text)
        self.where, self.error, self.text = where, error, text

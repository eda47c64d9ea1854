"""count: what the index knows of all mailboxes. Nothing is kept, so nothing can be wrong."""

from collections.abc import Callable, Iterable

from pydovecot.model.errors import UserError
from pydovecot.plugins.quota.quota import MESSAGE, STORAGE
from pydovecot.plugins.quota.rules import Limits
from pydovecot.storage.api import MailboxGoneError
from pydovecot.storage.backend import Backend, Parts

# (backend, parts) of each mailbox that counts
Mailboxes = Callable[[], Iterable[tuple[Backend, Parts]]]


class CountUsage:
    """Sums of sizes in the CRLF form."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    @property
    def resources(self) -> tuple[str, ...]:
        """Both."""
        return STORAGE, MESSAGE

    def used(self) -> Limits:
        """By a look at each mailbox."""
        octets = messages = 0
        for backend, parts in self._mailboxes():
            try:
                found = backend.status(parts, size=True)
            except (UserError, MailboxGoneError, FileNotFoundError):
                continue  # deleted meanwhile
            octets, messages = octets + found.size, messages + found.messages
        return Limits(octets, messages)

    def limits(self) -> Limits | None:
        """None are kept."""
        return None

    def changed(self, octets: int, messages: int) -> None:
        """The index knows."""

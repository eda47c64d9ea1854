"""Numbers and names of a mailbox that only an administrator changes: UIDVALIDITY, GUID, lower limits."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pydovecot.storage.backend import Parts


@dataclass(frozen=True, slots=True)
class MailboxUpdate:
    """What is to change; 0 and "": nothing. Limits only raise what is lower."""

    uidvalidity: int = 0
    guid: str = ""
    min_uidnext: int = 0
    min_first_recent: int = 0
    min_modseq: int = 0


@runtime_checkable
class CanUpdate(Protocol):
    """A backend that can do that."""

    def update(self, parts: Parts, changes: MailboxUpdate) -> None:
        """Change an existing mailbox. Another UIDVALIDITY makes clients forget what they know of it."""
        ...

"""What a plugin can have a say in: messages that come into mailboxes, and leave them.

A store without a hook does not look further than `hook is None`. The driver asks before it makes anything
visible and holds no lock while it asks; it tells after the change is on the disk.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydovecot.model.errors import Code, UserError

if TYPE_CHECKING:
    from pydovecot.storage.api import Save, View


class NotTaken(UserError):
    """A message that a hook does not let in. `never`: not even into an empty mailbox."""

    def __init__(self, code: Code, text: str, *, never: bool = False) -> None:
        super().__init__(code, text)
        self.never = never


@dataclass(frozen=True, slots=True)
class Left:
    """Messages that went from a mailbox in the step that brought others."""

    mailbox: "MailboxHook"
    messages: int
    octets: int
    crlf_octets: int


class Arrival(Protocol):
    """Messages on their way into one mailbox, in one step."""

    def expect(self, octets: int) -> None:
        """A message of about this size will come. Raises UserError when it would not be taken."""
        ...

    def add(self, octets: int, crlf_octets: int, *, moved: bool = False) -> None:
        """One more message, as stored and in the CRLF form; `moved`: another mailbox loses it.

        Raises UserError when it is not to be taken; then nothing of the step may happen.
        """
        ...

    def done(self, left: Left | None = None) -> None:
        """All that was added is there now, and (MOVE, REPLACE) others are gone."""
        ...


class MailboxHook(Protocol):
    """One mailbox."""

    def arriving(self) -> Arrival:
        """Messages are going to be saved or copied here."""
        ...

    def left(self, messages: int, octets: int, crlf_octets: int) -> None:
        """Messages are gone from here."""
        ...


class BackendHook(Protocol):
    """The mailboxes of one location."""

    def mailbox(self, parts: tuple[str, ...]) -> MailboxHook: ...


class StoreWatcher(Protocol):
    """Sees all that happens in a store, and may put itself between a view or a save and who uses it."""

    def view(self, view: "View") -> "View":
        """A mailbox was opened."""
        ...

    def save(self, name: str, save: "Save") -> "Save":
        """Messages are going to be saved into a mailbox."""
        ...

    def created(self, name: str) -> None: ...

    def deleting(self, view: "View") -> None:
        """A mailbox is about to be deleted with what is in it."""
        ...

    def deleted(self, name: str) -> None: ...

    def renamed(self, old: str, new: str) -> None: ...

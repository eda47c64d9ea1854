"""What a storage driver offers to the store: the mailboxes of one namespace, named by their path of parts.

`("INBOX",)` is the INBOX (of the namespace with `inbox = yes`), ("Work", "2026") a mailbox below Work. How
parts become directories, and which characters they may not have, is the driver's affair (`check`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pydovecot.storage.api import Save, Status, View
from pydovecot.storage.hooks import BackendHook

Parts = tuple[str, ...]
INBOX: Parts = ("INBOX",)


class Existence(Enum):
    """NODE: a name with (perhaps) children that cannot be selected."""

    NONE = 0
    NODE = 1
    MAILBOX = 2


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that is physically there. `marked`: has new mail (True), has none (False), not known."""

    parts: Parts
    selectable: bool = True
    no_inferiors: bool = False
    marked: bool | None = None


class Backend(Protocol):
    """The mailboxes of one location. All errors are UserError or InternalError."""

    driver: str
    separator: str  # the layout's own; the namespace may show another one
    has_nodes: bool  # names without a mailbox are things of their own, not only parents of others
    node_text: str  # what is said of a node that shall be opened; "": that there is no such mailbox
    hook: BackendHook | None  # asked and told about messages that come and go; set before anything is opened

    def check(self, parts: Parts, separator: str) -> None:
        """Raise UserError if `parts` cannot be the name of a mailbox here."""
        ...

    def nodes(self) -> Iterable[Node]:
        """All that is there, in any order; parents of existing mailboxes may be missing."""
        ...

    def existence(self, parts: Parts) -> Existence: ...

    def create(self, parts: Parts, *, node_only: bool) -> None:
        """Make a mailbox that does not exist."""
        ...

    def delete(self, parts: Parts) -> None:
        """Remove an existing mailbox with its mail, or an existing node without children."""
        ...

    def rename(self, old: Parts, new: Parts) -> None:
        """Rename an existing mailbox or node with all below it to a name that is free."""
        ...

    def open(self, parts: Parts, shown: str, *, readonly: bool, keep_recent: bool) -> View: ...

    def status(self, parts: Parts, *, size: bool) -> Status: ...

    def save(self, parts: Parts) -> Save: ...

    def subscriptions(self) -> Sequence[str]:
        """Names in the subscription file of this location, hierarchy with `separator`."""
        ...

    def set_subscribed(self, name: str, subscribed: bool) -> bool:
        """Add or remove one; False when nothing changed."""
        ...

    def close(self) -> None: ...


# Finds the backend and the parts of a name that a client gave; raises UserError(NONEXISTENT).
Resolver = Callable[[str], tuple[Backend, Parts]]

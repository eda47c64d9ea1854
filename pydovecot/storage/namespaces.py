"""The namespaces of one user: their settings, their backends, and which of them a name belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.storage.api import Namespace
from pydovecot.storage.backend import INBOX, Backend, Parts
from pydovecot.storage.settings import MailboxSettings, NamespaceSettings

NONEXISTENT_NAMESPACE: Final = (
    "Client tried to access nonexistent namespace. (Mailbox name should probably be prefixed with: {})"
)


@dataclass(slots=True)
class NamespaceEntry:
    """One namespace at work. `mailboxes` are its mailbox { } sections by the parts of their names."""

    settings: NamespaceSettings
    prefix: str
    separator: str
    backend: Backend
    mailboxes: dict[Parts, MailboxSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for section in self.settings.mailbox:
            self.mailboxes[self.parts(section.mailbox_name)] = section

    @property
    def inbox(self) -> bool:
        """The INBOX is here."""
        return self.settings.inbox

    def parts(self, below: str) -> Parts:
        """Parts of a name without the prefix."""
        parts = tuple(below.split(self.separator))
        if self.inbox and parts[0].upper() == "INBOX" and (not self.prefix or len(parts) == 1):
            parts = (*INBOX, *parts[1:])
        return parts

    def name(self, parts: Parts) -> str:
        """What a client calls it."""
        if parts == INBOX and self.inbox:
            return "INBOX"
        return self.prefix + self.separator.join(parts)

    def public(self) -> Namespace:
        """As the NAMESPACE command shows it."""
        settings = self.settings
        return Namespace(
            settings.type, self.prefix, self.separator, self.inbox, settings.hidden,
            settings.list != "no", settings.subscriptions,
        )  # fmt: skip


class Namespaces:
    """All of them, in the order of `order` and the configuration."""

    def __init__(self, entries: Sequence[NamespaceEntry]) -> None:
        self.entries = sorted(entries, key=lambda entry: entry.settings.order)
        self._by_prefix = sorted(self.entries, key=lambda entry: -len(entry.prefix))
        self._inbox = next((entry for entry in self.entries if entry.inbox), self.entries[0])

    def find(self, name: str) -> tuple[NamespaceEntry, Parts]:
        """The namespace of a name and its parts there (unchecked). UserError when there is none."""
        if name.upper() == "INBOX":
            return self._inbox, INBOX
        folded = "INBOX" + name[5:] if name[:5].upper() == "INBOX" else name
        for entry in self._by_prefix:
            for form in (name, folded):
                if form.startswith(entry.prefix):
                    return entry, entry.parts(form[len(entry.prefix) :])
        raise UserError(Code.NONEXISTENT, NONEXISTENT_NAMESPACE.format(self._inbox.prefix))

    def _without_alias(self, name: str) -> str:
        """The name in the namespace that an alias_for means."""
        for entry in self._by_prefix:
            if not name.startswith(entry.prefix):
                continue
            target = entry.settings.alias_for
            for other in self.entries:
                if target and other.prefix == target:
                    below = name[len(entry.prefix) :].replace(entry.separator, other.separator)
                    return other.prefix + below
            break
        return name

    def subscription_home(self, name: str) -> tuple[NamespaceEntry, str]:
        """Where the subscription of a name is kept, and how it is written there.

        A namespace with `subscriptions = no` leaves it to the one with the next shorter prefix.
        """
        name = self._without_alias(name)
        if name.upper() == "INBOX":
            name, entries = "INBOX", [self._inbox, *self._by_prefix]
        else:
            entries = self._by_prefix
        for entry in entries:
            if not entry.settings.subscriptions:
                continue
            below = name if name == "INBOX" and entry.inbox else None
            if below is None and name.startswith(entry.prefix):
                below = name[len(entry.prefix) :]
            if below is not None:
                return entry, below.replace(entry.separator, entry.backend.separator)
        raise UserError(Code.CANNOT, "This namespace has no subscriptions")


def effective_prefix_check(entries: Sequence[NamespaceEntry]) -> None:
    """What Dovecot refuses to start with."""
    if sum(entry.inbox for entry in entries) > 1:
        raise InternalError("namespace configuration error: There can be only one namespace with inbox=yes")
    if not any(entry.inbox for entry in entries):
        raise InternalError("namespace configuration error: inbox=yes namespace missing")
    seen: set[str] = set()
    for entry in entries:
        if entry.prefix in seen:
            raise InternalError(
                f'namespace configuration error: Duplicate namespace prefix: "{entry.prefix}"'
            )
        seen.add(entry.prefix)
        if entry.prefix.upper().startswith("INBOX") and not entry.prefix.startswith("INBOX"):
            raise InternalError(
                f"Invalid server configuration: Namespace prefix={entry.prefix} must be uppercase INBOX"
            )
    if not any(entry.settings.subscriptions for entry in entries):
        raise InternalError("namespace configuration error: subscriptions=yes namespace missing")
    listed = {entry.separator for entry in entries if entry.settings.list == "yes"}
    if len(listed) > 1:
        raise InternalError(
            "namespace configuration error: All list=yes namespaces must use the same separator"
        )

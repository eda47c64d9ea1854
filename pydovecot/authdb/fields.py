"""Extra fields of a request, in order, with the snapshots that a chain of passdbs needs."""

from collections.abc import Iterator
from typing import Final

from pydovecot.base import tabescape

MAX_FIELDS: Final = 1000  # one user's fields; a passdb that sends more is broken


class Fields:
    """Names and values as a database gave them; a repeated name replaces the value and keeps the place.

    A hidden field is kept (for the cache, for later lookups) but not sent to the client. "" is a field
    without a value.
    """

    __slots__ = ("_items", "_saved")

    def __init__(self) -> None:
        self._items: dict[str, tuple[str, bool]] = {}
        self._saved: dict[str, tuple[str, bool]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __bool__(self) -> bool:
        return bool(self._items)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """All fields, hidden ones too."""
        return ((name, value) for name, (value, _hidden) in self._items.items())

    def get(self, name: str) -> str | None:
        """The value, or None if there is no such field."""
        found = self._items.get(name)
        return None if found is None else found[0]

    def add(self, name: str, value: str, *, hidden: bool = False) -> None:
        """Set a field."""
        if name in self._items or len(self._items) < MAX_FIELDS:
            self._items[name] = (value, hidden)

    def remove(self, name: str) -> None:
        """Drop a field; harmless if it is not there."""
        self._items.pop(name, None)

    def booleanize(self, name: str) -> None:
        """Make it a bare name, whatever value it had."""
        if name in self._items:
            self._items[name] = ("", self._items[name][1])

    def snapshot(self) -> None:
        """`rollback` comes back to here."""
        self._saved = dict(self._items)

    def rollback(self) -> None:
        """Forget everything since the last snapshot."""
        self._items = dict(self._saved)

    def visible(self) -> list[str]:
        """`name=value` texts of what is not hidden, not yet escaped."""
        return [
            f"{name}={value}" if value else name
            for name, (value, hidden) in self._items.items()
            if not hidden
        ]

    def wire(self) -> str:
        """The visible fields, escaped and TAB separated, with a TAB before them unless there are no fields.

        Hidden fields alone leave that TAB: as Dovecot's lines have it.
        """
        if not self._items:
            return ""
        return "\t" + "\t".join(map(tabescape.escape_text, self.visible()))

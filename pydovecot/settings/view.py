"""Effective settings of one process or connection, as typed objects."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from pydovecot.settings.declare import Settings

S = TypeVar("S", bound=Settings)


class SettingsView(Protocol):
    """All settings with the filters of one context already applied."""

    def get(self, cls: type[S]) -> S:
        """The single instance of a settings class: `view.get(ImapSettings).imap_max_line_length`."""
        ...

    def sections(self, cls: type[S]) -> Sequence[S]:
        """All sections of a class with `section = "passdb"`, in file order; each has `.section_name`."""
        ...

    @property
    def plugin(self) -> Mapping[str, str]:
        """The free keys of plugin {}, in order."""
        ...

    def with_overrides(self, overrides: Mapping[str, str]) -> "SettingsView":
        """A view where raw text values replace settings (userdb extra fields, `-o`)."""
        ...

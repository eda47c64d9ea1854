"""How settings are declared: one class per owner, one line per setting.

    class ImapSettings(Settings):
        imap_max_line_length = size("64k", doc="Longest command line.")
        imap_idle_notify_interval = time("2 min", doc="IDLE: pause between untagged OKs.")

Class attributes are descriptors; an instance gives typed values: `settings.imap_max_line_length` is an int.
"""

from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Setting(Generic[T]):
    """One declared setting. The owner of settings/ completes this."""

    name: str = ""

    def __init__(self, default: str, *, doc: str, since: str = "2.0", hidden: bool = False) -> None:
        self.default, self.doc, self.since, self.hidden = default, doc, since, hidden

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "Setting[T]": ...
    @overload
    def __get__(self, instance: "Settings", owner: type) -> T: ...
    def __get__(self, instance: "Settings | None", owner: type) -> "Setting[T] | T":
        if instance is None:
            return self
        value: T = instance._values[self.name]
        return value


class Settings:
    """Base of all settings classes. Keyword arguments are typed values (for tests); the rest are defaults."""

    _values: dict[str, Any]
    section_name: str = ""

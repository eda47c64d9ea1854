"""How settings are declared: one class per owner, one line per setting.

    class ImapSettings(Settings):
        imap_max_line_length = size("64k", doc="Longest command line.")
        imap_idle_notify_interval = time("2 min", doc="IDLE: pause between untagged OKs.")

    class PassdbSettings(Settings):
        section = "passdb"                      # passdb { } may be there many times
        driver = string("", doc="Where users are looked up.")

    class NamespaceSettings(Settings):
        section = "namespace"
        mailbox = nested(MailboxSettings)       # settings.mailbox is a tuple of MailboxSettings

Class attributes are descriptors; an instance gives typed values: `settings.imap_max_line_length` is an int.
A default may be text as in dovecot.conf or the value itself. Times are seconds (time_msecs: milliseconds),
sizes bytes. `since` is the first Dovecot version that knows the setting, `hidden` leaves it out of samples.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, overload

from pydovecot.settings import kinds
from pydovecot.settings.kinds import BadValue

__all__ = [
    "BadValue",
    "Nested",
    "Setting",
    "Settings",
    "boolean",
    "enum",
    "nested",
    "octal",
    "path",
    "size",
    "string",
    "strlist",
    "strvar",
    "time",
    "time_msecs",
    "uint",
]

T = TypeVar("T")
N = TypeVar("N", bound="Settings")

UNLIMITED: Final = kinds.UINT_MAX  # "no limit" of uint and time settings


class Setting(Generic[T]):
    """One declared setting: how its text becomes a value. `default` is the text that doveconf prints."""

    name: str = ""

    def __init__(
        self,
        kind: str,
        parse: Callable[[str], T],
        show: Callable[[T], str],
        default: str | T,
        *,
        doc: str,
        since: str = "2.0",
        hidden: bool = False,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.kind, self.parse, self.show = kind, parse, show
        self.doc, self.since, self.hidden, self.choices = doc, since, hidden, choices
        self.default_value: T = parse(default) if isinstance(default, str) else default
        self.default: str = show(self.default_value)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "Setting[T]": ...
    @overload
    def __get__(self, instance: "Settings", owner: type) -> T: ...
    def __get__(self, instance: "Settings | None", owner: type) -> "Setting[T] | T":
        if instance is None:
            return self
        # Only what differs is kept in an instance: a fork that copies no defaults touches fewer pages.
        value: T = instance._values.get(self.name, self.default_value)
        return value

    def normal(self, text: str) -> str:
        """The text as doveconf prints it ("1h" becomes "1 hours"); BadValue if it is none."""
        return self.show(self.parse(text))


class Nested(Generic[N]):
    """Sections inside a section: the value is a tuple of instances, in file order."""

    name: str = ""

    def __init__(self, cls: type[N]) -> None:
        self.cls = cls

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "Nested[N]": ...
    @overload
    def __get__(self, instance: "Settings", owner: type) -> tuple[N, ...]: ...
    def __get__(self, instance: "Settings | None", owner: type) -> "Nested[N] | tuple[N, ...]":
        if instance is None:
            return self
        value: tuple[N, ...] = instance._values.get(self.name, ())
        return value


class Settings:
    """Base of all settings classes.

    Keyword arguments are typed values (for tests), the rest are defaults. `section` is the word in
    dovecot.conf of a class that may be there many times; `section_name` the name of this one.
    """

    section: ClassVar[str] = ""
    declared: ClassVar[Mapping[str, Setting[Any]]] = {}
    subsections: ClassVar[Mapping[str, Nested[Any]]] = {}
    _defaults: ClassVar[dict[str, Any]] = {}

    _values: dict[str, Any]
    section_name: str = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        declared = dict(cls.declared)
        subsections = dict(cls.subsections)
        for name, member in vars(cls).items():
            if isinstance(member, Setting):
                declared[name] = member
            elif isinstance(member, Nested):
                subsections[name] = member
        cls.declared, cls.subsections = declared, subsections
        defaults: dict[str, Any] = {name: member.default_value for name, member in declared.items()}
        defaults.update((name, ()) for name in subsections)
        cls._defaults = defaults

    def __init__(self, *, section_name: str = "", **values: Any) -> None:
        unknown = values.keys() - self._defaults.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no setting {', '.join(sorted(unknown))}")
        self._values = values
        if section_name:
            self.section_name = section_name

    @classmethod
    def from_text(
        cls,
        texts: Mapping[str, str],
        section_name: str = "",
        children: Mapping[str, Sequence["Settings"]] | None = None,
    ) -> Self:
        """An instance of texts as in dovecot.conf; keys that this class does not declare are ignored."""
        self = cls.__new__(cls)
        values: dict[str, Any] = {}
        declared = cls.declared
        for name, text in texts.items():
            setting = declared.get(name)
            if setting is not None:
                values[name] = setting.parse(text)
        if children:
            values.update((name, tuple(members)) for name, members in children.items())
        self._values = values
        if section_name:
            self.section_name = section_name
        return self

    def value(self, name: str) -> Any:
        """The value of a setting whose name is no identifier of Python (`pass`)."""
        return self._values.get(name, self._defaults[name])

    def texts(self) -> dict[str, str]:
        """All values as text, in the order of declaration."""
        return {name: setting.show(value) for name, setting, value in self._items()}

    def _items(self) -> Iterator[tuple[str, Setting[Any], Any]]:
        for name, setting in self.declared.items():
            yield name, setting, self._values.get(name, setting.default_value)

    def replace(self, **values: Any) -> Self:
        """A copy with other values."""
        members = {**self._values, **values}
        return type(self)(section_name=self.section_name, **members)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Settings)
            and type(self) is type(other)
            and self.section_name == other.section_name
            and {**self._defaults, **self._values} == {**self._defaults, **other._values}
        )

    def __hash__(self) -> int:
        return hash((type(self), self.section_name))

    def __repr__(self) -> str:
        changed = sorted(key for key, value in self._values.items() if value != self._defaults[key])
        # Values may be passwords (dict URIs, ssl_key_password): only names are shown.
        return f"{type(self).__name__}({', '.join(changed)})"


def boolean(default: bool | str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[bool]:
    """yes or no."""
    return Setting("bool", kinds.parse_bool, kinds.format_bool, default, doc=doc, since=since, hidden=hidden)


def uint(default: int | str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[int]:
    """A number of 32 bits."""
    return Setting("uint", kinds.parse_uint, str, default, doc=doc, since=since, hidden=hidden)


def octal(default: int | str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[int]:
    """A file mode, 0600."""
    return Setting(
        "octal", kinds.parse_octal, kinds.format_octal, default, doc=doc, since=since, hidden=hidden
    )


def size(default: int | str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[int]:
    """Bytes, with units B k M G T."""
    return Setting("size", kinds.parse_size, kinds.format_size, default, doc=doc, since=since, hidden=hidden)


def time(default: int | str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[int]:
    """An interval in seconds."""
    return Setting("time", kinds.parse_time, kinds.format_time, default, doc=doc, since=since, hidden=hidden)


def time_msecs(default: int | str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[int]:
    """An interval in milliseconds."""
    return Setting(
        "time_msecs", kinds.parse_msecs, kinds.format_msecs, default, doc=doc, since=since, hidden=hidden
    )


def string(default: str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[str]:
    """Text, as written."""
    return Setting("string", str, str, default, doc=doc, since=since, hidden=hidden)


def strvar(default: str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[str]:
    """Text with % variables. The value is as written: settings.expand is the owner's call."""
    return Setting("strvar", str, str, default, doc=doc, since=since, hidden=hidden)


def path(default: str, *, doc: str, since: str = "2.0", hidden: bool = False) -> Setting[str]:
    """A path; relative ones are meant relative to what the setting says."""
    return Setting("path", str, str, default, doc=doc, since=since, hidden=hidden)


def enum(
    default: str, choices: str | Iterable[str], *, doc: str, since: str = "2.0", hidden: bool = False
) -> Setting[str]:
    """One of some words, given as a list or separated by colons as in Dovecot."""
    words = tuple(choices.split(":")) if isinstance(choices, str) else tuple(choices)

    def parse(text: str) -> str:
        if text not in words:
            raise BadValue(f"Invalid value: {text}")
        return text

    return Setting("enum", parse, str, default, doc=doc, since=since, hidden=hidden, choices=words)


def strlist(
    default: str | tuple[str, ...], *, doc: str, since: str = "2.0", hidden: bool = False
) -> Setting[tuple[str, ...]]:
    """Words separated by blanks. The text, blanks included, is kept by whoever prints it."""
    return Setting("strlist", _split, " ".join, default, doc=doc, since=since, hidden=hidden)


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def nested(cls: type[N]) -> Nested[N]:
    """Sections of that class inside this one; the attribute's name is the word in dovecot.conf."""
    return Nested(cls)

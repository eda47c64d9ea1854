"""A SettingsView made of text or of settings instances, for tests and for tools without a config service."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pydovecot.settings.declare import Settings

S = TypeVar("S", bound=Settings)


class MemoryView:
    """`MemoryView({"mail_location": "maildir:~/Maildir"}, ImapSettings(imap_max_line_length=100))`.

    Instances go before texts. Instances of a class with `section` are its sections, in the order given.
    """

    def __init__(
        self,
        texts: Mapping[str, str] | None = None,
        *instances: Settings,
        plugin: Mapping[str, str] | None = None,
    ) -> None:
        self._texts = dict(texts or {})
        self._plugin = dict(plugin or {})
        self._single: dict[type[Settings], Settings] = {}
        self._many: list[Settings] = []
        for instance in instances:
            if type(instance).section:
                self._many.append(instance)
            else:
                self._single[type(instance)] = instance

    def get(self, cls: type[S]) -> S:
        """The single instance of a settings class."""
        found = self._single.get(cls)
        if found is None:
            found = self._single[cls] = cls.from_text(self._texts)
        if not isinstance(found, cls):
            raise TypeError(f"{found!r} is no {cls.__name__}")
        return found

    def sections(self, cls: type[S]) -> Sequence[S]:
        """The sections of that class that were given."""
        return [instance for instance in self._many if isinstance(instance, cls)]

    @property
    def plugin(self) -> Mapping[str, str]:
        """The free keys of plugin {}."""
        return self._plugin

    def with_overrides(self, overrides: Mapping[str, str]) -> "MemoryView":
        """A view where texts replace settings. Keys: a setting's name, or plugin/NAME.

        A name that no given instance declares is a global setting if some class asks for it, and a plugin
        setting as well, as Dovecot treats userdb's extra fields.
        """
        view = MemoryView(self._texts, plugin=self._plugin)
        view._many = list(self._many)
        view._texts.update((key, text) for key, text in overrides.items() if not key.startswith("plugin/"))
        view._plugin.update((key.removeprefix("plugin/"), text) for key, text in overrides.items())
        view._single = {cls: _overridden(instance, overrides) for cls, instance in self._single.items()}
        return view


def _overridden(instance: Settings, overrides: Mapping[str, str]) -> Settings:
    declared = instance.declared
    changes = {key: declared[key].parse(text) for key, text in overrides.items() if key in declared}
    return instance.replace(**changes) if changes else instance


def all_texts(instances: Iterable[Settings]) -> dict[str, str]:
    """The texts of several instances in one mapping."""
    merged: dict[str, str] = {}
    for instance in instances:
        merged.update(instance.texts())
    return merged

"""What may be written where: the table of all settings and sections, made once from `settings.known`.

`SCHEMA` is the root. Owners' declarations (`services/*/settings.py`) do not change what is accepted; a test
holds that both agree.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pydovecot.settings import kinds, known
from pydovecot.settings.kinds import BadValue
from pydovecot.settings.known import sections as rows


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. `unset` ones are printed only when somebody set them; `tuning` ones by -s too."""

    name: str
    kind: str
    default: str
    choices: tuple[str, ...] = ()
    unset: bool = False
    tuning: bool = False
    since_22_only: bool = False

    def normal(self, text: str) -> str:
        """The text as doveconf prints it; BadValue when it is none of this kind."""
        if self.choices:
            if text not in self.choices:
                raise BadValue(f"Invalid value: {text}")
            return text
        normalise = _NORMAL.get(self.kind)
        return normalise(text) if normalise else text


@dataclass(frozen=True, slots=True)
class SectionType:
    """A kind of section. `many`: unnamed or equally named ones are separate, not merged.

    `free` sections (plugin, dict) take any key. `name_key` is the setting that holds the section's name.
    `always` names settings that doveconf -n shows in each section even when nobody set them.
    """

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    sections: Mapping[str, "SectionType"] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    name_key: str = "name"
    many: bool = False
    free: bool = False
    always: frozenset[str] = frozenset()


def _port(text: str) -> str:
    if not text.isdecimal() or not text.isascii() or len(text) > 10 or int(text) > 65535:
        raise BadValue(f"Invalid port number {text}")
    return str(int(text))


_NORMAL: Final[Mapping[str, Callable[[str], str]]] = {
    "bool": lambda text: kinds.format_bool(kinds.parse_bool(text)),
    "uint": lambda text: str(kinds.parse_uint(text)),
    "port": _port,
    "octal": lambda text: kinds.format_octal(kinds.parse_octal(text)),
    "size": lambda text: kinds.format_size(kinds.parse_size(text)),
    "time": lambda text: kinds.format_time(kinds.parse_time(text)),
    "time_msecs": lambda text: kinds.format_msecs(kinds.parse_msecs(text)),
}


def _field(row: tuple[str, ...], *, unset: bool = False, tuning: bool = False, old: bool = False) -> Field:
    choices = tuple(row[3].split(":")) if len(row) > 3 else ()
    made = Field(row[0], row[1], row[2], choices, unset or tuning or old, tuning, old)
    return replace(made, default=made.normal(row[2]))


def _fields(*groups: tuple[rows.Rows, bool]) -> dict[str, Field]:
    return {row[0]: _field(row, unset=unset) for group, unset in groups for row in group}


def _root() -> SectionType:
    fields: dict[str, Field] = {}
    for row in known.ROWS:
        fields[row[0]] = _field(row)
        # The others have their places in -S as well.
        if row[0] == "mail_server_admin":
            fields.update((tuning[0], _field(tuning, tuning=True)) for tuning in known.TUNING_ROWS)
        for unset in known.UNSET_AFTER.get(row[0], ()):
            fields[unset[0]] = _field(unset, unset=True)
    fields.update((row[0], _field(row, old=True)) for row in known.ROWS_22)
    mailbox = SectionType("mailbox", _fields((rows.MAILBOX, False)))
    file_listener = _fields((rows.FILE_LISTENER, False))
    listeners = {
        "unix_listener": SectionType("unix_listener", file_listener, name_key="path"),
        "fifo_listener": SectionType("fifo_listener", file_listener, name_key="path"),
        "inet_listener": SectionType("inet_listener", _fields((rows.INET_LISTENER, False))),
    }
    kinds_of_section = (
        SectionType("event_exporter", _fields((rows.EVENT_EXPORTER, False))),
        SectionType("metric", _fields((rows.METRIC, False)), name_key="metric_name"),
        SectionType("passdb", _fields((rows.PASSDB, False)), many=True),
        SectionType("userdb", _fields((rows.USERDB, False)), many=True),
        SectionType(
            "namespace",
            _fields((rows.NAMESPACE, False), (rows.NAMESPACE_UNSET, True), (rows.NAMESPACE_END, False)),
            {"mailbox": mailbox},
            rows.NAMESPACE_ALIASES,
            always=frozenset({"location", "prefix"}),
        ),
        SectionType("service", _fields((rows.SERVICE, False)), listeners),
        SectionType("plugin", free=True),
        SectionType("dict", free=True),
    )
    return SectionType("", fields, {kind.name: kind for kind in kinds_of_section}, known.ALIASES)


SCHEMA: Final = _root()

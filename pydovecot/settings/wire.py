"""The text form in which settings travel to a process, and how a view is made of it.

The lines are those of `doveconf -S`: `key=value`, `namespace=inbox other`, `namespace/inbox/prefix=x`,
`plugin/quota=...`; values are escaped for tabs and line ends. Only what differs from the defaults is sent, so
most answers have some 30 lines. After `filter` lines come the settings of single connections.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydovecot.base.tabescape import escape_text, unescape_text
from pydovecot.settings.declare import Settings
from pydovecot.settings.effective import connection_blocks, matches, merge
from pydovecot.settings.errors import ConfigError, Problem
from pydovecot.settings.known import HIDDEN
from pydovecot.settings.known.modules import MODULES
from pydovecot.settings.schema import SCHEMA
from pydovecot.settings.tree import Filter, Query, Section, Tree, Value, path_part

S = TypeVar("S", bound=Settings)

# Sections that only these modules get: passwords of a static passdb are nobody else's business.
_SECTIONS_OF: Final[Mapping[str, frozenset[str]]] = {
    "passdb": frozenset({"auth", "auth-worker"}),
    "userdb": frozenset({"auth", "auth-worker"}),
    "service": frozenset({"master"}),
    "dict": frozenset({"dict", "dict-async", "auth", "auth-worker"}),
    "metric": frozenset({"stats"}),
    "event_exporter": frozenset({"stats"}),
}
# Only those who speak TLS to clients get these; nobody else needs the files to be there.
_KEYS: Final = frozenset(
    {"ssl_cert", "ssl_key", "ssl_alt_cert", "ssl_alt_key", "ssl_key_password", "ssl_dh", "ssl_ca"}
)
_KEY_MODULES: Final = ("login", "lmtp", "doveadm", "ssl")
MAX_FILE_VALUE: Final = 2**20  # certificates and keys


def may_have(module: str, key: str) -> bool:
    """True unless the setting is a secret, or a key, of other modules."""
    if key in _KEYS:
        return module.endswith("-login") or module in _KEY_MODULES
    if key not in HIDDEN:
        return True
    return key in MODULES.get(module, frozenset())


def render(
    tree: Tree, module: str, protocol: str, *, filters: bool = False, query: Query | None = None
) -> str:
    """Settings of a module as lines. With `filters` those of single connections follow.

    Raises ConfigError when the file of a wanted `<file` value cannot be read.
    """
    merged = merge(tree, query or Query(protocol))
    lines = list(_lines(merged, module))
    if filters:
        for block in connection_blocks(tree, protocol):
            lines.append(_filter_line(block.filter))
            lines.extend(_lines(block.root, module, defaults=True))
    return "".join(f"{line}\n" for line in lines)


def _lines(root: Section, module: str, *, defaults: bool = False) -> Iterator[str]:
    for key, value in root.values.items():
        if may_have(module, key) and (defaults or value.text != SCHEMA.fields[key].default):
            yield f"{key}={escape_text(contents(key, value))}"
    names: dict[str, list[str]] = {}
    for (kind, key), section in root.sections.items():
        if module in _SECTIONS_OF.get(kind, (module,)):
            names.setdefault(kind, []).append(path_part(key))
            yield from _section_lines(f"{kind}/{path_part(key)}" if not section.type.free else kind, section)
    for kind, keys in names.items():
        if not SCHEMA.sections[kind].free:
            yield f"{kind}={' '.join(keys)}"


def _section_lines(path: str, section: Section) -> Iterator[str]:
    if section.name and section.type.name_key not in section.values:
        yield f"{path}/{section.type.name_key}={escape_text(section.name)}"
    for key, value in section.values.items():
        yield f"{path}/{path_part(key)}={escape_text(contents(key, value))}"
    for (kind, key), child in section.sections.items():
        yield from _section_lines(f"{path}/{kind}/{path_part(key)}", child)
    for kind in section.type.sections:
        keys = [path_part(child.key) for child in section.of_type(kind)]
        if keys:
            yield f"{path}/{kind}={' '.join(keys)}"


def contents(key: str, value: Value) -> str:
    """The value's text; for `<file` the file's contents. Raises ConfigError."""
    if not value.path:
        return value.text
    try:
        with open(value.path, "rb") as stream:
            data = stream.read(MAX_FILE_VALUE + 1)
    except OSError as exc:
        text = f"{key}: Can't open file {value.path}: {exc.strerror}"
        raise ConfigError([Problem(value.file, value.line, text)]) from exc
    if len(data) > MAX_FILE_VALUE:
        raise ConfigError([Problem(value.file, value.line, f"{key}: File is too large: {value.path}")])
    return data.decode("utf-8", "surrogateescape")


def _filter_line(wanted: Filter) -> str:
    parts = ["filter"]
    if wanted.local:
        parts.append(f"local={wanted.local}")
    if wanted.remote:
        parts.append(f"remote={wanted.remote}")
    if wanted.local_name:
        parts.append(f"local_name={escape_text(wanted.local_name)}")
    return "\t".join(parts)


@dataclass(slots=True)
class _Raw:
    """Lines of one context, parted into globals and paths with "/"."""

    texts: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)


class TextView:
    """A SettingsView of lines. Objects are made when they are asked for, and kept."""

    def __init__(self, texts: Mapping[str, str], paths: Mapping[str, str]) -> None:
        self._texts, self._paths = texts, paths
        self._made: dict[type[Settings], Settings] = {}
        self._sections: dict[type[Settings], Sequence[Settings]] = {}
        self._plugin: dict[str, str] | None = None

    def get(self, cls: type[S]) -> S:
        """The single instance of a settings class."""
        made = self._made.get(cls)
        if made is None:
            made = self._made[cls] = cls.from_text(self._texts)
        assert isinstance(made, cls)
        return made

    def sections(self, cls: type[S]) -> Sequence[S]:
        """All sections of that class, in file order."""
        found = self._sections.get(cls)
        if found is None:
            found = self._sections[cls] = self._build(cls, cls.section)
        return [section for section in found if isinstance(section, cls)]

    @property
    def plugin(self) -> Mapping[str, str]:
        """The keys of plugin {}."""
        if self._plugin is None:
            self._plugin = {
                _name(path[7:]): text for path, text in self._paths.items() if path.startswith("plugin/")
            }
        return self._plugin

    def with_overrides(self, overrides: Mapping[str, str]) -> "TextView":
        """A view where texts replace settings: `mail_location`, `namespace/inbox/prefix`, `plugin/quota`.

        A name without "/" that is no setting is a plugin's, as in userdb's extra fields.
        """
        texts, paths = dict(self._texts), dict(self._paths)
        for key, text in overrides.items():
            if "/" in key:
                paths[key] = text
            elif key in SCHEMA.fields:
                texts[key] = text
            elif key in SCHEMA.aliases:
                texts[SCHEMA.aliases[key]] = text
            else:
                paths[f"plugin/{key}"] = text
        return TextView(texts, paths)

    def _build(self, cls: type[Settings], path: str) -> list[Settings]:
        names = self._paths.get(path, self._texts.get(path, ""))
        return [self._one(cls, f"{path}/{key}", _name(key)) for key in names.split()]

    def _one(self, cls: type[Settings], path: str, name: str) -> Settings:
        paths = self._paths
        texts = {key: paths[f"{path}/{key}"] for key in cls.declared if f"{path}/{key}" in paths}
        children = {key: self._build(nested.cls, f"{path}/{key}") for key, nested in cls.subsections.items()}
        for key in ("name", "path", "metric_name"):
            if f"{path}/{key}" in paths:
                name = paths[f"{path}/{key}"]
                break
        else:
            # The key of an unnamed section is only a number.
            name = ""
        return cls.from_text(texts, name, children)


def _name(part: str) -> str:
    if "\\" not in part:
        return part
    out, at = [], 0
    while at < len(part):
        if part[at] == "\\":
            at += 1
            out.append({"s": "/", "e": "=", "_": " "}.get(part[at : at + 1], part[at : at + 1]))
        else:
            out.append(part[at])
        at += 1
    return "".join(out)


class ServiceSettings:
    """All that a process got: its own view, and views of connections."""

    def __init__(self, text: str) -> None:
        self._base = _Raw()
        self._blocks: list[tuple[Filter, _Raw]] = []
        current = self._base
        for line in text.split("\n"):
            if line.startswith("filter\t"):
                current = _Raw()
                self._blocks.append((_parse_filter(line), current))
                continue
            key, separator, value = line.partition("=")
            if separator:
                (current.paths if "/" in key else current.texts)[key] = (
                    unescape_text(value) if "\1" in value else value
                )
        self.view = TextView(self._base.texts, self._base.paths)
        self._cache: dict[tuple[int, ...], TextView] = {}

    @property
    def has_filters(self) -> bool:
        """True when connections may have settings of their own."""
        return bool(self._blocks)

    def view_for(self, *, local_ip: str = "", remote_ip: str = "", local_name: str = "") -> TextView:
        """The view of one connection: the process's own unless the configuration says otherwise."""
        if not self._blocks:
            return self.view
        query = Query("", local_ip, local_name, remote_ip)
        chosen = tuple(number for number, (wanted, _) in enumerate(self._blocks) if matches(wanted, query))
        if not chosen:
            return self.view
        view = self._cache.get(chosen)
        if view is None:
            view = self._cache[chosen] = self._merged(chosen)
        return view

    def _merged(self, chosen: tuple[int, ...]) -> TextView:
        texts, paths = dict(self._base.texts), dict(self._base.paths)
        for number in chosen:
            raw = self._blocks[number][1]
            for key, text in raw.texts.items():
                # A list of section names is added to; a value is replaced.
                if key in SCHEMA.sections and key in texts:
                    text = " ".join(dict.fromkeys([*texts[key].split(), *text.split()]))
                texts[key] = text
            paths.update(raw.paths)
        return TextView(texts, paths)


def _parse_filter(line: str) -> Filter:
    parts = dict(part.partition("=")[::2] for part in line.split("\t")[1:])
    local, remote = parts.get("local"), parts.get("remote")
    return Filter(
        "",
        ipaddress.ip_interface(local) if local else None,
        unescape_text(parts.get("local_name", "")),
        ipaddress.ip_interface(remote) if remote else None,
    )

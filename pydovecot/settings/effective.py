"""Which settings hold in a context: filters applied, sections merged, defaults of services filled in.

Blocks are applied from the least to the most specific one (`Filter.rank`), whatever their order in the files.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, TypeVar

from pydovecot.settings.known.services import SERVICES
from pydovecot.settings.schema import SCHEMA, SectionType
from pydovecot.settings.tree import Block, Filter, Network, Query, Section, Tree, Value


@dataclass(slots=True)
class DefaultSection:
    """A section that is there without anybody writing it."""

    texts: Mapping[str, str] = field(default_factory=dict)
    sections: dict[tuple[str, str], "DefaultSection"] = field(default_factory=dict)


def _defaults() -> DefaultSection:
    root = DefaultSection()
    for name, texts, listeners in SERVICES:
        service = DefaultSection(_normal(SCHEMA.sections["service"], texts))
        for kind, listener, values in listeners:
            texts_of_listener = _normal(SCHEMA.sections["service"].sections[kind], values)
            service.sections[kind, listener] = DefaultSection(texts_of_listener)
        root.sections["service", name] = service
    return root


def _normal(kind: SectionType, texts: Mapping[str, str]) -> dict[str, str]:
    return {key: kind.fields[key].normal(text) for key, text in texts.items()}


DEFAULTS: Final = _defaults()


def matches(wanted: Filter, query: Query) -> bool:
    """True if a block with that filter holds in the context of the query."""
    if wanted.protocol and not protocol_matches(wanted.protocol, query.protocol):
        return False
    if wanted.local and not _in_network(query.local_ip, wanted.local):
        return False
    if wanted.remote and not _in_network(query.remote_ip, wanted.remote):
        return False
    return not wanted.local_name or name_matches(wanted.local_name, query.local_name)


def protocol_matches(wanted: str, protocol: str) -> bool:
    """`protocol imap {` and `protocol !imap {`; no protocol matches neither."""
    if not protocol:
        return False
    return protocol != wanted[1:] if wanted.startswith("!") else protocol == wanted


def name_matches(wanted: str, name: str) -> bool:
    """`local_name "a.example b.example" {`; a leading "*." stands for one label."""
    lowered = name.lower()
    if not lowered:
        return False
    _, _, parent = lowered.partition(".")
    masks = _masks(wanted)
    return lowered in masks or f"*.{parent}" in masks


@lru_cache(maxsize=4096)
def _masks(wanted: str) -> frozenset[str]:
    return frozenset(wanted.lower().split())


def _in_network(text: str, network: Network) -> bool:
    address = _address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped and network.version == 4:
        address = address.ipv4_mapped
    return address is not None and address.version == network.version and address in network.network


@lru_cache(maxsize=64)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    # One query is compared with all filters of a configuration.
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def merge(tree: Tree, query: Query) -> Section:
    """The root section that holds for the query: what was written globally and in all matching blocks."""
    merged = copy(tree.root)
    for block in tree.sorted_blocks():
        if matches(block.filter, query):
            overlay(merged, block.root)
    return merged


def connection_blocks(tree: Tree, protocol: str) -> list[Block]:
    """Blocks that hold for some connections of that protocol only, in the order of application.

    Their filters have no protocol left.
    """
    return [
        replace(block, filter=replace(block.filter, protocol=""))
        for block in tree.sorted_blocks()
        if (block.filter.local or block.filter.remote or block.filter.local_name)
        and (not block.filter.protocol or protocol_matches(block.filter.protocol, protocol))
        and (block.root.values or block.root.sections)
    ]


def copy(section: Section) -> Section:
    """A copy that may be changed; values are shared."""
    return replace(
        section,
        values=dict(section.values),
        sections={key: copy(child) for key, child in section.sections.items()},
    )


def overlay(base: Section, changes: Section) -> None:
    """Put `changes` over `base`: equal sections are merged, passdb and userdb added, what is new first."""
    rest = {key: value for key, value in base.values.items() if key not in changes.values}
    base.values = {**changes.values, **rest}
    first: dict[tuple[str, str], Section] = {}
    for key, child in changes.sections.items():
        if key in base.sections and not child.type.many:
            first[key] = base.sections[key]
            overlay(first[key], child)
        else:
            first[key if key not in base.sections else (key[0], f"{key[1]}+")] = copy(child)
    base.sections = {**first, **{key: one for key, one in base.sections.items() if key not in first}}


@dataclass(frozen=True, slots=True)
class Effective:
    """A section with its defaults: `text(key)` always has an answer."""

    section: Section | None
    type: SectionType
    default: DefaultSection | None = None
    key: str = ""

    def text(self, key: str) -> str:
        """The value in force, as doveconf prints it; `<file` values unread."""
        value = self.value(key)
        return value.text if value else self.default_text(key)

    def value(self, key: str) -> Value | None:
        """What somebody wrote, with its place."""
        return self.section.values.get(key) if self.section else None

    def default_text(self, key: str) -> str:
        """The value when nobody writes one."""
        if self.default and key in self.default.texts:
            return self.default.texts[key]
        return self.type.fields[key].default

    @property
    def title(self) -> str:
        """The section's name as its own settings say it."""
        value = self.value(self.type.name_key)
        if value:
            return value.text
        return self.section.name if self.section else self.key

    def children(self, name: str) -> Iterator["Effective"]:
        """Sections inside: those with defaults first, in their order, then those that were written."""
        kind = self.type.sections[name]
        written = dict(_of_type(self.section, name)) if self.section else {}
        defaults = dict(_of_type(self.default, name)) if self.default else {}
        for key, default in defaults.items():
            yield Effective(written.pop(key, None), kind, default, key)
        for key, section in written.items():
            yield Effective(section, kind, None, key)


X = TypeVar("X", Section, DefaultSection)


def _of_type(parent: X, name: str) -> Iterator[tuple[str, X]]:
    return ((key, child) for (kind, key), child in parent.sections.items() if kind == name)


def effective(root: Section) -> Effective:
    """The root with all defaults."""
    return Effective(root, SCHEMA, DEFAULTS)

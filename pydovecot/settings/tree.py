"""A parsed configuration: what was written, where, and under which filters. Defaults are not in it."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydovecot.settings.schema import SCHEMA, SectionType

# An address with its prefix length, as written: 10.1.2.3/8 is printed so and differs from 10.0.0.0/8.
Network = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True)
class Value:
    """A setting that somebody wrote. `text` is in doveconf's normal form.

    `path` is set for `key = <file`; then `text` is "<file" as written. `before` is the value that this one
    replaced in the same section, for whoever explains. `symbolic`: "<" and "$" in the text have a meaning.
    """

    text: str
    file: str
    line: int
    path: str = ""
    before: "Value | None" = field(default=None, compare=False, repr=False)
    symbolic: bool = False


@dataclass(slots=True)
class Section:
    """What was written in one section. `key` tells equal types apart: the name, or a running number."""

    type: SectionType
    name: str = ""
    key: str = ""
    file: str = ""
    line: int = 0
    values: dict[str, Value] = field(default_factory=dict)
    sections: dict[tuple[str, str], "Section"] = field(default_factory=dict)

    def of_type(self, name: str) -> Iterator["Section"]:
        """The sections of one type inside, in file order."""
        return (section for (kind, _), section in self.sections.items() if kind == name)


@dataclass(frozen=True, slots=True)
class Filter:
    """Where settings of a block hold. An empty one holds everywhere."""

    protocol: str = ""  # may begin with "!"
    local: Network | None = None
    local_name: str = ""
    remote: Network | None = None

    @property
    def rank(self) -> tuple[bool, int, int, bool]:
        """The order in which blocks are applied and printed; the most specific comes last and wins."""
        return (
            bool(self.local_name),
            self.local.network.prefixlen if self.local else 0,
            self.remote.network.prefixlen if self.remote else 0,
            bool(self.protocol),
        )


@dataclass(frozen=True, slots=True)
class Query:
    """The context that settings are asked for. Empty parts are unknown."""

    protocol: str = ""
    local_ip: str = ""
    local_name: str = ""
    remote_ip: str = ""


@dataclass(slots=True)
class Block:
    """A filter and what was written in it."""

    filter: Filter
    root: Section
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell that does not stop anything. `level` is "Warning" or "Error"."""

    level: str
    text: str


@dataclass(slots=True)
class Tree:
    """A whole configuration. `files` are all files that were read, for whoever watches them."""

    path: str
    root: Section = field(default_factory=lambda: Section(SCHEMA))
    blocks: list[Block] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    _by_filter: dict[Filter, Block] = field(default_factory=dict)

    def sorted_blocks(self) -> list[Block]:
        """Blocks in the order in which they are applied."""
        return sorted(self.blocks, key=lambda block: block.filter.rank)

    def block(self, wanted: Filter, file: str, line: int) -> Block:
        """The block of that filter; a new one if there is none."""
        block = self._by_filter.get(wanted)
        if block is None:
            block = self._by_filter[wanted] = Block(wanted, Section(SCHEMA), file, line)
            self.blocks.append(block)
        return block


def path_part(name: str) -> str:
    """A section's name inside a path: backslash / = and blank are escaped, as in Dovecot."""
    return name.replace("\\", "\\\\").replace("/", "\\s").replace("=", "\\e").replace(" ", "\\_")

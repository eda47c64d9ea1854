"""Reads configuration files into a `Tree`.

Nothing is raised while reading: every problem is collected, with file and line, and reading goes on where
that makes sense. `parse` then raises one ConfigError with all of them. Values keep the place where they were
written.

`expand=False` leaves `$name` and `<file` as written (doveconf -n); `expand=True` replaces variables. Contents
of `<file` values are read later, by those who want them.
"""

import os
import re
from dataclasses import dataclass, field
from typing import Final

from pydovecot.settings import obsolete
from pydovecot.settings.errors import ConfigError, Problem, suggest
from pydovecot.settings.files import expand_pattern, read, relative
from pydovecot.settings.kinds import BadValue
from pydovecot.settings.known.modules import AUTH_SETTINGS
from pydovecot.settings.lines import Kind, Line, classify
from pydovecot.settings.networks import inside, nesting_refusal, parse_network
from pydovecot.settings.schema import SCHEMA, SectionType
from pydovecot.settings.tree import Filter, Note, Section, Tree, Value

MAX_INCLUDE_DEPTH: Final = 50
MAX_PROBLEMS: Final = 100  # more than that is no configuration file

FILTERS: Final = ("protocol", "local", "local_name", "remote")


@dataclass(slots=True)
class _Frame:
    """An open section or filter. `section` None: its contents are skipped. `role` is for obsolete ones."""

    key: str
    section: Section | None
    filter: Filter
    file: str
    line: int
    is_filter: bool = False
    role: str = ""


@dataclass(slots=True)
class _Input:
    """A file being read."""

    path: str
    line: int = 0
    pending: str = ""


@dataclass(slots=True)
class Parser:
    """State of one run. The public methods are for `settings.obsolete`."""

    tree: Tree
    expand: bool
    problems: list[Problem] = field(default_factory=list)
    seen_in_filters: dict[str, str] = field(default_factory=dict)
    state: obsolete.State = field(default_factory=obsolete.State)
    _frames: list[_Frame] = field(default_factory=list)
    _inputs: list[_Input] = field(default_factory=list)
    _counter: int = 0

    # What obsolete settings need.

    def error(self, text: str, hint: str = "") -> None:
        """A problem at the current line."""
        if len(self.problems) < MAX_PROBLEMS:
            here = self._inputs[-1]
            self.problems.append(Problem(here.path, here.line, text, hint))

    def note(self, text: str, level: str = "Warning") -> None:
        """Something to tell about the current line."""
        self.tree.notes.append(Note(level, text))

    def here(self) -> tuple[str, int]:
        """File and line being read."""
        return self._inputs[-1].path, self._inputs[-1].line

    @property
    def at_root(self) -> bool:
        """True outside of all sections; filters do not count."""
        return self._frame.is_filter or len(self._frames) == 1

    @property
    def filter(self) -> Filter:
        """The filter in force."""
        return self._frame.filter

    @property
    def section_key(self) -> str:
        """The word of the innermost section."""
        return self._frame.key

    def assign(self, line: Line) -> None:
        """Apply `key = value` where we are."""
        frame = self._frame
        if frame.section is not None:
            self._assign(frame, line)

    def assign_service(
        self, service: str, key: str, value: str, listener: tuple[str, str] | None = None
    ) -> None:
        """Apply a value to a service, whatever section is open."""
        section = self._child(self.tree.root, SCHEMA.sections["service"], service)
        if listener:
            section = self._child(section, section.type.sections[listener[0]], listener[1])
        self._store(section, key, value)

    def assign_root(self, key: str, value: str) -> None:
        """Apply a value to a global setting, whatever section is open."""
        self._store(self.tree.root, key, value)

    def assign_plugin(self, key: str, value: str) -> None:
        """Apply a value to plugin { }, whatever section is open."""
        self._store(self._child(self.tree.root, SCHEMA.sections["plugin"], ""), key, value)

    def begin(self, key: str, name: str) -> None:
        """Open a section or filter."""
        self._begin(Line(Kind.SECTION_BEGIN, key, name))

    def begin_skipped(self, key: str, role: str = "") -> None:
        """Open a section whose lines go to `obsolete` only, or nowhere."""
        frame = self._frame
        file, line = self.here()
        self._frames.append(_Frame(key, frame.section if role else None, frame.filter, file, line, role=role))

    @property
    def role(self) -> str:
        """The role that begin_skipped gave to the innermost section."""
        return self._frame.role

    def end(self) -> None:
        """Close the innermost section."""
        self._frames.pop()

    # Reading.

    @property
    def _frame(self) -> _Frame:
        return self._frames[-1]

    def run(self, path: str) -> None:
        """Read the main file."""
        self._frames.append(_Frame("", self.tree.root, Filter(), path, 0))
        try:
            data = read(path)
        except OSError as exc:
            raise ConfigError(text=f"open({path}) failed: {exc.strerror}") from exc
        self._read_lines(path, data)
        if len(self._frames) > 1:
            frame = self._frames[-1]
            self.problems.append(
                Problem(path, 0, f"Missing '}}' (section started at {frame.file}:{frame.line})")
            )

    def _read_lines(self, path: str, data: str) -> None:
        self.tree.files.append(path)
        current = _Input(path)
        self._inputs.append(current)
        for text in data.split("\n"):
            current.line += 1
            if len(self.problems) >= MAX_PROBLEMS:
                break
            self._take(current, text.removesuffix("\r").partition("\0")[0])
        self._inputs.pop()

    def _take(self, current: _Input, text: str) -> None:
        line = classify(text, current.pending)
        if line.ambiguous:
            self.note(
                f"Configuration file {current.path} line {current.line}: Ambiguous '#' character in line,"
                " treating it as comment. Add a space before it to remove this warning."
            )
        if line.kind is Kind.CONTINUE:
            current.pending = line.value
            return
        current.pending = ""
        if line.kind is Kind.SKIP or (self.role != "skipped" and obsolete.handle(self, line)):
            return
        match line.kind:
            case Kind.ERROR:
                self._syntax_error(line, text)
            case Kind.SECTION_BEGIN:
                self._begin(line)
            case Kind.SECTION_END:
                if len(self._frames) == 1:
                    self.error("Unexpected '}'")
                else:
                    self._frames.pop()
            case Kind.INCLUDE | Kind.INCLUDE_TRY:
                self._include(line.value, ignore=line.kind is Kind.INCLUDE_TRY)
            case _:
                self.assign(line)

    def _syntax_error(self, line: Line, text: str) -> None:
        self.error(line.value)
        # The brace would close more than was opened otherwise, and each line after it would be an error too.
        if re.search(r"\{[^}]*$", text.partition("#")[0]):
            self.begin_skipped(line.key, "")

    # Sections.

    def _begin(self, line: Line) -> None:
        frame = self._frame
        if frame.section is None:
            self.begin_skipped(line.key)
            return
        if line.key in FILTERS:
            self._begin_filter(line.key, line.value)
            return
        file, number = self.here()
        if frame.section.type.free:
            self.error("Section not allowed here")
            self.begin_skipped(line.key)
            return
        kind = frame.section.type.sections.get(line.key)
        if kind is None:
            names = [*frame.section.type.sections, *FILTERS]
            self.error(f"Unknown setting: {self._full_name(line.key, line.key)}", suggest(line.key, names))
            self.begin_skipped(line.key)
            return
        if self._in_local_remote(line.key):
            self.begin_skipped(line.key)
            return
        if kind.many and line.value and (kind.name, line.value) in frame.section.sections:
            self.error(f"{kind.name}/{line.value} already exists")
            self.begin_skipped(line.key)
            return
        section = self._child(frame.section, kind, line.value)
        self._frames.append(_Frame(line.key, section, frame.filter, file, number))

    def _child(self, parent: Section, kind: SectionType, name: str) -> Section:
        """The section of that name, merged with an earlier one; a new one if unnamed."""
        key = name if name and not kind.free else ""
        if not key and not kind.free:
            key = str(self._counter)
            self._counter += 1
        found = parent.sections.get((kind.name, key))
        if found is None:
            file, number = self.here()
            found = Section(kind, name if not kind.free else "", key, file, number)
            parent.sections[kind.name, key] = found
        return found

    def _begin_filter(self, key: str, value: str) -> None:
        frame = self._frame
        file, number = self.here()
        if not self.at_root:
            self.error(f"Unknown setting: {self._full_name(key)}")
            self.begin_skipped(key)
            return
        wanted = self._filter(key, value, frame.filter)
        if wanted is None:
            self.begin_skipped(key)
            return
        root = self.tree.block(wanted, file, number).root
        self._frames.append(_Frame(key, root, wanted, file, number, is_filter=True))

    def _filter(self, key: str, value: str, parent: Filter) -> Filter | None:
        refusal = nesting_refusal(key, parent)
        if refusal:
            self.error(refusal)
            return None
        if key == "protocol":
            return Filter(value, parent.local, parent.local_name, parent.remote)
        if key == "local_name":
            return Filter(parent.protocol, parent.local, value, parent.remote)
        try:
            network = parse_network(value)
        except BadValue as exc:
            self.error(str(exc))
            return None
        outer = parent.local if key == "local" else parent.remote
        if outer is not None and not inside(network, outer):
            self.error(f"{key} net1 {{ {key} net2 {{ .. }} }} requires net2 to be inside net1")
            return None
        if key == "local":
            return Filter(parent.protocol, network, parent.local_name, parent.remote)
        return Filter(parent.protocol, parent.local, parent.local_name, network)

    # Values.

    def _assign(self, frame: _Frame, line: Line) -> None:
        section = frame.section
        if section is None:
            return
        key = section.type.aliases.get(line.key, line.key)
        kind = section.type.fields.get(key)
        if kind is None and not section.type.free:
            hint = suggest(key, section.type.fields)
            self.error(f"Unknown setting: {self._full_name(line.key)}", hint)
            return
        self._warn_global(line.key)
        if self._in_local_remote(key):
            return
        text: str | None = line.value
        path = ""
        file, number = self.here()
        if line.kind is Kind.KEYFILE:
            path = relative(line.value, file)
            text = f"<{line.value}"
        elif line.kind is Kind.KEYVARIABLE:
            text = self._variables(key, line.value)
        if text is None:
            return
        try:
            normal = kind.normal(text) if kind is not None else text
        except BadValue as exc:
            self.error(str(exc))
            return
        symbolic = line.kind is Kind.KEYFILE or (line.kind is Kind.KEYVARIABLE and not self.expand)
        section.values[key] = Value(normal, file, number, path, section.values.get(key), symbolic)

    def _store(self, section: Section, key: str, value: str) -> None:
        """Set a value that stands for an obsolete one."""
        kind = section.type.fields.get(key)
        try:
            text = kind.normal(value) if kind is not None else value
        except BadValue as exc:
            self.error(str(exc))
            return
        section.values[key] = Value(text, *self.here(), before=section.values.get(key))

    def _variables(self, key: str, text: str) -> str | None:
        """Replace $names; without `expand` only the setting's own, so that doveconf -n can be read back."""
        words = []
        for word in text.split(" "):
            if not word:
                continue
            name = word[1:]
            if not word.startswith("$") or not (self.expand or name == key):
                words.append(word)
            elif name.startswith("ENV:"):
                words.append(os.environ.get(name[4:], ""))
            else:
                value = self._lookup(name)
                if value is None:
                    self.error(f"Unknown variable: ${name}", suggest(name, SCHEMA.fields))
                    return None
                words.append(value)
        return " ".join(words)

    def _lookup(self, name: str) -> str | None:
        """The current value of a global setting, as the open filters see it."""
        name = SCHEMA.aliases.get(name, name)
        known = SCHEMA.fields.get(name)
        if known is None:
            return None
        for frame in reversed(self._frames):
            if frame.is_filter and frame.section is not None and name in frame.section.values:
                return frame.section.values[name].text
        found = self.tree.root.values.get(name)
        if found is None and name == "protocols" and self.here()[0].endswith(".protocol"):
            # Debian's packages bring one such file each and build Dovecot with no protocols by default.
            return ""
        return found.text if found else known.default

    def _warn_global(self, key: str) -> None:
        """Tell when a global setting comes after the same one in a filter: the filter's stays in force."""
        file, number = self.here()
        path = "/".join([frame.key for frame in self._frames if not frame.is_filter] + [key])
        first = self.seen_in_filters.get(path)
        if self._frame.filter != Filter():
            if first is None:
                self.seen_in_filters[path] = f"{file} line {number}"
        elif first is not None and len(self._frames) == 1:
            self.note(
                f"{file} line {number}: Global setting {key} won't change the setting inside an earlier"
                f" filter at {first} (if this is intentional, avoid this warning by moving the global setting"
                f" before {first})"
            )

    def _in_local_remote(self, key: str) -> bool:
        """Report a setting of auth inside local, local_name or remote: auth serves all connections alike."""
        wanted = self._frame.filter
        if not (wanted.local or wanted.local_name or wanted.remote):
            return False
        names = [frame.key for frame in self._frames if not frame.is_filter and frame.key]
        if (names[0] if names else key) not in AUTH_SETTINGS:
            return False
        self.error(f"Auth settings not supported inside local/remote blocks: {key}")
        return True

    def _full_name(self, key: str, inner: str = "") -> str:
        names = [frame.key for frame in self._frames if frame.key and not frame.is_filter]
        return " { ".join([*names, *([inner] if inner else []), key])

    # Includes.

    def _include(self, pattern: str, *, ignore: bool) -> None:
        file, _ = self.here()
        paths = expand_pattern(relative(pattern, file)) if pattern else []
        if not paths and not ignore:
            self.error("No matches")
        for path in paths:
            if any(path == current.path for current in self._inputs):
                self.error(f"Recursive include file: {path}")
                return
            if len(self._inputs) >= MAX_INCLUDE_DEPTH:
                self.error(f"Includes are nested too deeply: {path}")
                return
            try:
                data = read(path)
            except OSError as exc:
                if not ignore:
                    self.error(f"Couldn't open include file {path}: {exc.strerror}")
                continue
            self._read_lines(path, data)


def parse(path: str, *, expand: bool = False) -> Tree:
    """Read a configuration. Raises ConfigError with all problems."""
    tree, problems = parse_collecting(path, expand=expand)
    if problems:
        raise ConfigError(problems)
    return tree


def parse_collecting(path: str, *, expand: bool = False) -> tuple[Tree, list[Problem]]:
    """Read a configuration and return what could be read together with the problems.

    Raises ConfigError only when the main file cannot be opened.
    """
    parser = Parser(Tree(path), expand)
    parser.run(path)
    return parser.tree, parser.problems

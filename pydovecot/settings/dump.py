"""Prints configurations as doveconf does: for people (blocks, sorted) and for programs (-S, one line each).

The order is that of the whole line `path/to/key=value`, compared byte by byte, bytes above 127 first.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pydovecot.settings.effective import Effective
from pydovecot.settings.known import HIDDEN
from pydovecot.settings.known.modules import COMMON, MODULES
from pydovecot.settings.lines import escape
from pydovecot.settings.schema import SCHEMA, Field
from pydovecot.settings.tree import Block, Filter, Value, path_part
from pydovecot.settings.wire import contents

HIDDEN_TEXT: Final = "# hidden, use -P to show it"

# Sections that a module reads; all others belong to every mail module.
_SECTION_MODULES: Final = {
    "passdb": frozenset({"auth"}),
    "userdb": frozenset({"auth"}),
    "service": frozenset({"master"}),
    "dict": frozenset({"dict"}),
    "metric": frozenset({"stats"}),
    "event_exporter": frozenset({"stats"}),
}


class Scope(Enum):
    """Which settings are shown."""

    ALL = "-a"
    HIDDEN = "-s"  # ALL and those that nobody should need
    DEFAULT = "-d"
    CHANGED = "-n"
    SET = "-N"  # CHANGED, and those that were set to their default


@dataclass(frozen=True, slots=True)
class Style:
    """How values are shown."""

    passwords: bool = False  # -P
    expand: bool = False  # -x: contents of files
    module: str = ""  # -m

    def wants(self, name: str) -> bool:
        """True if the module has that global setting or section."""
        if not self.module:
            return True
        if name in SCHEMA.sections:
            owners = _SECTION_MODULES.get(name)
            return self.module in owners if owners else "mail_location" in MODULES.get(self.module, ())
        return name in COMMON or name in MODULES.get(self.module, frozenset())


def human(root: Effective, blocks: Iterable[Block], scope: Scope, style: Style) -> Iterator[str]:
    """Lines of a dump: settings, sections, and after them the blocks of filters."""
    yield from _section(root, scope, style, 0)
    if scope is Scope.DEFAULT:
        return
    for block in blocks:
        inner = Effective(block.root, SCHEMA)
        opening = _filter_lines(block.filter)
        body = list(_section(inner, Scope.SET, style, len(opening)))
        if not body:
            continue
        for depth, line in enumerate(opening):
            yield f"{'  ' * depth}{line} {{"
        yield from body
        for depth in reversed(range(len(opening))):
            yield f"{'  ' * depth}}}"


def _filter_lines(wanted: Filter) -> list[str]:
    lines = []
    if wanted.local:
        lines.append(f"local {_network(wanted.local)}")
    if wanted.local_name:
        lines.append(f"local_name {wanted.local_name}")
    if wanted.remote:
        lines.append(f"remote {_network(wanted.remote)}")
    if wanted.protocol:
        lines.append(f"protocol {wanted.protocol}")
    return lines


def _network(network: object) -> str:
    address, _, bits = str(network).partition("/")
    return address if bits == ("128" if ":" in address else "32") else f"{address}/{bits}"


def _section(section: Effective, scope: Scope, style: Style, depth: int) -> Iterator[str]:
    """The lines inside a section, sorted; nothing if it has nothing to show."""
    indent = "  " * depth
    entries: list[tuple[list[int], list[str]]] = []
    for key, text in _values(section, scope, style):
        entries.append((_order(f"{key}="), [f"{indent}{key} = {text}"]))
    for kind in section.type.sections:
        if depth == 0 and not style.wants(kind):
            continue
        for key, child in _keyed(section, kind):
            if scope is Scope.DEFAULT and child.default is None:
                continue
            body = list(_section(child, scope, style, depth + 1))
            if body:
                lines = [_title(child, indent), *body, f"{indent}}}"]
                entries.append((_order(f"{kind}/{key}/"), lines))
    entries.sort(key=lambda entry: entry[0])
    for _, lines in entries:
        yield from lines


def _keyed(parent: Effective, kind: str) -> list[tuple[str, Effective]]:
    """The sections of a kind with their keys in paths: the escaped name; the number if there is none."""
    many = parent.type.sections[kind].many
    return [
        (str(number) if many or not child.title else path_part(child.title), child)
        for number, child in enumerate(parent.children(kind))
    ]


def _title(section: Effective, indent: str) -> str:
    name = section.title
    # Names of passdb {} and userdb {} are settings inside; plugin {} and dict {} have none.
    if section.type.many or section.type.free or not name:
        return f"{indent}{section.type.name} {{"
    # Dovecot quotes blanks only; what it prints for the others could not be read back.
    if any(char in name for char in " \t#") or name.startswith(("=", "{")):
        name = f'"{escape(name)}"'
    return f"{indent}{section.type.name} {name} {{"


def _values(section: Effective, scope: Scope, style: Style) -> Iterator[tuple[str, str]]:
    top = not section.type.name
    written = section.section.values if section.section and scope is not Scope.DEFAULT else {}
    if section.type.free:
        for key, value in written.items():
            shown = _text(key, value, value.text, style)
            yield key, quoted(shown, symbolic=shown == value.text and value.symbolic)
        return
    for key, field in section.type.fields.items():
        if key == section.type.name_key and not section.type.many:
            continue
        if top and not style.wants(key):
            continue
        found = written.get(key)
        text = _shown(section, field, found, scope)
        if text is None:
            continue
        if text and key in HIDDEN and not style.passwords:
            yield key, HIDDEN_TEXT
        else:
            shown = _text(key, found, text, style)
            # Defaults such as $default_internal_user are variables too.
            yield key, quoted(shown, symbolic=shown == text and (found is None or found.symbolic))


def _shown(section: Effective, field: Field, found: Value | None, scope: Scope) -> str | None:
    """The text to show, None to leave it out."""
    many_name = section.type.many and field.name == section.type.name_key and scope is not Scope.DEFAULT
    text = section.section.name if many_name and not found and section.section else None
    if text is None:
        text = found.text if found else section.default_text(field.name)
    match scope:
        case Scope.HIDDEN:
            shown = found is not None or not field.unset or field.tuning
        case Scope.ALL | Scope.DEFAULT:
            shown = found is not None or not field.unset
        case Scope.SET:
            shown = found is not None or many_name or field.name in section.type.always
        case Scope.CHANGED:
            # In merged sections Dovecot does not know what the default was: what was set is shown.
            if not section.type.name or section.type.many:
                shown = text != section.default_text(field.name)
            else:
                shown = found is not None
            shown = shown or field.name in section.type.always
    return text if shown else None


def _text(key: str, found: Value | None, text: str, style: Style) -> str:
    return contents(key, found) if style.expand and found and found.path else text


def quoted(text: str, *, symbolic: bool = False) -> str:
    """The value as it can be read back: in quotes where a part would be lost or mean something else.

    `symbolic` texts are `<file` or have `$variables`, which must stay outside of quotes.
    """
    if not text:
        return text
    lost = "#" in text or text[0] in " \t" or text[-1] in " \t\\"
    # A text with "$" is split at blanks; words that begin with it are variables.
    variable = "$" in text and (text[0] == "$" or " $" in text or "  " in text)
    special = text[0] == "<" or variable or (text[0] in "\"'" and text[0] == text[-1])
    if lost or (special and not symbolic):
        return f'"{escape(text)}"'
    return text


def _order(line: str) -> list[int]:
    return [byte - 256 if byte > 127 else byte for byte in line.encode("utf-8", "surrogateescape")]


# Where sections stand among the settings in -S.
_SECTIONS_AFTER: Final[dict[str, tuple[str, ...]]] = {
    "auth_worker_max_count": ("passdb", "userdb"),
    "dict_db_config": ("dict",),
    "dsync_hashed_headers": ("plugin",),
    "postmaster_address": ("namespace",),
    "default_vsz_limit": ("service",),
    "stats_http_rawlog_dir": ("metric", "event_exporter"),
}


def simple(root: Effective, style: Style) -> Iterator[str]:
    """Lines `key=value`, in the order of declaration (-S)."""
    for key, field in root.type.fields.items():
        if style.wants(key):
            found = root.value(key)
            text = _shown(root, field, found, Scope.ALL)
            if text is not None:
                yield f"{key}={_text(key, found, text, style)}"
        for kind in _SECTIONS_AFTER.get(key, ()):
            if style.wants(kind):
                yield from _simple_sections(root, kind, "", style)


def _simple(section: Effective, path: str, style: Style) -> Iterator[str]:
    written = section.section.values if section.section else {}
    if section.type.free:
        for key, value in written.items():
            yield f"{path}{key}={_text(key, value, value.text, style)}"
        return
    for key, field in section.type.fields.items():
        found = written.get(key)
        text = section.title if key == section.type.name_key else _shown(section, field, found, Scope.ALL)
        if text is not None:
            yield f"{path}{key}={_text(key, found, text, style)}"
    for kind in section.type.sections:
        yield from _simple_sections(section, kind, path, style)


def _simple_sections(parent: Effective, kind: str, path: str, style: Style) -> Iterator[str]:
    children = _keyed(parent, kind)
    if not children:
        return
    if parent.type.sections[kind].free:
        yield f"{path}{kind}="
        yield from _simple(children[0][1], f"{path}{kind}/", style)
        return
    yield f"{path}{kind}={' '.join(key for key, _ in children)}"
    for key, child in children:
        yield from _simple(child, f"{path}{kind}/{key}/", style)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name on the command line means: a section, or one value."""

    section: Effective | None = None
    value: str = ""
    found: Value | None = None
    prefix: str = ""


def lookup(root: Effective, name: str, style: Style) -> list[Answer]:
    """What `doveconf NAME` asks for; empty when there is no such thing."""
    path, slash, last = name.rpartition("/")
    sections = _resolve(root, path.split("/")) if slash else [root]
    answers = []
    for section in sections:
        if section.type.free:
            value = section.section.values.get(last) if section.section else None
            if value:
                answers.append(Answer(None, _text(last, value, value.text, style), value))
            continue
        if last in section.type.sections:
            children = sorted(_keyed(section, last), key=lambda pair: _order(f"{pair[0]}/"))
            answers.extend(Answer(child) for _, child in children)
        elif last in section.type.fields:
            found = section.value(last)
            field = section.type.fields[last]
            text = _shown(section, field, found, Scope.ALL)
            if last == section.type.name_key:
                text = section.title
            if text is not None:
                answers.append(Answer(None, _text(last, found, text, style), found))
    if not answers and slash:
        answers.extend(Answer(child) for child in _resolve(root, name.split("/")))
    return answers


def _resolve(section: Effective, parts: list[str]) -> list[Effective]:
    """Sections at a path such as service/imap/unix_listener/auth-userdb, or plugin."""
    if not parts:
        return [section]
    kind, rest = parts[0], parts[1:]
    if kind not in section.type.sections:
        return []
    children = _keyed(section, kind)
    if section.type.sections[kind].free:
        return [child for _, child in children] if not rest else []
    # Names may have "/" in them: the longest name that fits is meant.
    for length in range(len(rest), 0, -1):
        name = "/".join(rest[:length])
        for key, child in children:
            if name in (key, child.title):
                return _resolve(child, rest[length:])
    return []


def answer_lines(
    answer: Answer, name: str, style: Style, scope: Scope, show: Callable[[str, str], str]
) -> Iterator[str]:
    """Lines for one answer; `show` makes the line of a single value."""
    if answer.section is None:
        yield show(name, answer.value)
        return
    yield _title(answer.section, "")
    yield from _section(answer.section, scope, style, 1)
    yield "}"

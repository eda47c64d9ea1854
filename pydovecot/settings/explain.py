"""Says where the value of a setting comes from: `doveconf --explain NAME`."""

from collections.abc import Iterator

from pydovecot.settings.dump import quoted
from pydovecot.settings.effective import DEFAULTS, Effective, matches
from pydovecot.settings.known import HIDDEN
from pydovecot.settings.schema import SCHEMA
from pydovecot.settings.tree import Filter, Query, Section, Tree, Value


def explain(tree: Tree, name: str, query: Query) -> list[str]:
    """Lines: the value in force and all places that say something about it. Empty for an unknown name."""
    name = SCHEMA.aliases.get(name, name)
    path, _, key = name.rpartition("/")
    parts = path.split("/") if path else []
    default = _default(parts, key)
    found = list(_places(tree, parts, key, query))
    if default is None and not found:
        return []
    in_force = next((value.text for value, _, holds in reversed(found) if holds), default or "")
    lines = [f"{name} = {_shown(key, in_force)}"]
    winner = next((value for value, _, holds in reversed(found) if holds), None)
    if default is not None:
        mark = "" if winner else "  <- in force"
        lines.append(f"  default: {_shown(key, default)}{mark}")
    for value, context, holds in found:
        lines.extend(f"  {line}" for line in _replaced(key, value, context))
        mark = "  <- in force" if value is winner else "" if holds else "  (not in this context)"
        lines.append(f"  {value.file} line {value.line}{context}: {_shown(key, value.text)}{mark}")
    return lines


def _shown(key: str, text: str) -> str:
    return "(hidden)" if key in HIDDEN and text else quoted(text) or '""'


def _replaced(key: str, value: Value, context: str) -> Iterator[str]:
    chain = []
    before = value.before
    while before is not None:
        chain.append(before)
        before = before.before
    for old in reversed(chain):
        yield f"{old.file} line {old.line}{context}: {_shown(key, old.text)}  (replaced)"


def _default(parts: list[str], key: str) -> str | None:
    section: Effective | None = Effective(None, SCHEMA, DEFAULTS)
    while parts and section is not None:
        kind, parts = parts[0], parts[1:]
        if kind not in section.type.sections:
            return None
        name, parts = parts[0] if parts else "", parts[1:]
        children = list(section.children(kind))
        inner = next((child for child in children if child.key == name), None)
        section = inner or Effective(None, section.type.sections[kind])
    if section is None or section.type.free or key not in section.type.fields:
        return None
    return section.default_text(key)


def _places(tree: Tree, parts: list[str], key: str, query: Query) -> Iterator[tuple[Value, str, bool]]:
    roots: list[tuple[Section, Filter]] = [(tree.root, Filter())]
    roots.extend((block.root, block.filter) for block in tree.sorted_blocks())
    for root, wanted in roots:
        for section in _sections(root, parts):
            value = section.values.get(key)
            if value is not None:
                yield value, _context(wanted), matches(wanted, query)


def _sections(section: Section, parts: list[str]) -> Iterator[Section]:
    if not parts:
        yield section
        return
    kind, rest = parts[0], parts[1:]
    for child in section.of_type(kind):
        if child.type.free:
            yield from _sections(child, rest)
        elif not rest:
            yield child
        for length in range(1, len(rest) + 1):
            if "/".join(rest[:length]) == child.key:
                yield from _sections(child, rest[length:])


def _context(wanted: Filter) -> str:
    parts = []
    if wanted.local:
        parts.append(f"local {wanted.local}")
    if wanted.local_name:
        parts.append(f"local_name {wanted.local_name}")
    if wanted.remote:
        parts.append(f"remote {wanted.remote}")
    if wanted.protocol:
        parts.append(f"protocol {wanted.protocol}")
    return f" ({', '.join(parts)})" if parts else ""

"""Writes docs/settings.md: every known setting with its kind, defaults, place, and whether it has an effect.

python -m pydovecot.services.config.reference > docs/settings.md
"""

import sys
from collections.abc import Iterator, Mapping

from pydovecot.services.config.all_settings import classes, implemented
from pydovecot.settings.declare import Setting
from pydovecot.settings.effective import DEFAULTS, DefaultSection
from pydovecot.settings.known import DEFAULTS_22
from pydovecot.settings.known.modules import COMMON, MODULES
from pydovecot.settings.schema import SCHEMA, Field, SectionType

_HEAD = """\
# Settings

Made from the table of settings by `python -m pydovecot.services.config.reference`; do not edit.

Every setting of Dovecot 2.2.36 and 2.3 is known: it may stand in the configuration, its value is checked, and
doveconf shows it. "Yes" means that pydovecot reads it. Known settings without effect are named in a warning
when they are set to something else than the default.

Kinds: bool (yes, no), uint, octal (0600), size (B k M G T), time (secs mins hours days weeks), time_msecs,
port, enum, string, strvar (a string with % variables).
"""


def render() -> str:
    """The whole document."""
    done = implemented()
    docs = _docs()
    total = sum(1 for field in SCHEMA.fields.values() if not field.since_22_only)
    count = len(done[""] & SCHEMA.fields.keys())
    parts = [
        _HEAD,
        f"{count} of {total} global settings are implemented.\n",
        "## Global settings\n",
        *_table(SCHEMA, "", done, docs),
    ]
    for path, kind in _sections(SCHEMA, ""):
        parts.append(f"\n## {path}\n")
        if kind.free:
            parts.append("Any name is taken; its reader decides what it means.")
        else:
            parts += _table(kind, kind.name, done, docs)
    parts.append("\n## Services\n")
    parts += _services()
    return "\n".join(parts) + "\n"


def _docs() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for cls in classes():
        for name, setting in cls.declared.items():
            found.setdefault((cls.section, name), _doc(setting))
    return found


def _doc(setting: Setting[object]) -> str:
    return setting.doc.replace("|", "\\|")


def _sections(kind: SectionType, path: str) -> Iterator[tuple[str, SectionType]]:
    for name, child in kind.sections.items():
        title = f"{path} {name} {{ }} }}" if path else f"{name} {{ }}"
        yield title, child
        yield from _sections(child, f"{name} {{")


def _table(
    kind: SectionType,
    section: str,
    done: Mapping[str, frozenset[str]],
    docs: Mapping[tuple[str, str], str],
) -> Iterator[str]:
    yield "| setting | kind | default | 2.2.36 | read by | implemented | meaning |"
    yield "|---|---|---|---|---|---|---|"
    for name in sorted(kind.fields):
        field = kind.fields[name]
        read_by = _readers(name) if not section else ""
        yes = "yes" if name in done.get(section, frozenset()) else "no"
        doc = docs.get((section, name), "")
        default = _code(field.default)
        old = "only there" if field.since_22_only else ""
        if not section and name in DEFAULTS_22:
            old = _code(DEFAULTS_22[name]) or "empty"
        yield f"| `{name}` | {_kind(field)} | {default} | {old} | {read_by} | {yes} | {doc} |"


def _kind(field: Field) -> str:
    return ": ".join((field.kind, " ".join(field.choices))) if field.choices else field.kind


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _readers(name: str) -> str:
    if name in COMMON:
        return "all"
    modules = [module for module, names in MODULES.items() if name in names]
    if "mail" in modules:
        return "mail services"
    if "login" in modules:
        return "login services"
    return " ".join(modules)


def _services() -> Iterator[str]:
    yield "Defaults of services; empty limits are those of `default_*`.\n"
    yield "| service | protocol | type | user | chroot | limits | sockets |"
    yield "|---|---|---|---|---|---|---|"
    limits = ("process_limit", "process_min_avail", "client_limit", "service_count")
    for (_, name), service in sorted(DEFAULTS.sections.items()):
        texts = service.texts
        sockets = ", ".join(
            f"{listener} {default.texts['port' if kind == 'inet_listener' else 'mode']}"
            for (kind, listener), default in _with_modes(service)
        )
        shown = " ".join(f"{key}={texts[key]}" for key in limits if key in texts)
        yield (
            f"| {name} | {texts.get('protocol', '')} | {texts.get('type', '')} | {texts.get('user', '')} |"
            f" {texts.get('chroot', '')} | {shown} | {sockets} |"
        )


def _with_modes(service: DefaultSection) -> Iterator[tuple[tuple[str, str], DefaultSection]]:
    for key, default in service.sections.items():
        yield key, DefaultSection({"mode": "0600", **default.texts})


if __name__ == "__main__":
    sys.stdout.write(render())

"""Owners' declarations and the table of known settings say the same."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydovecot.services.config.all_settings import OWNERS, STORAGE_DRIVERS, classes, implemented
from pydovecot.settings import known
from pydovecot.settings.declare import Setting
from pydovecot.settings.effective import DEFAULTS
from pydovecot.settings.known.modules import AUTH_SETTINGS, COMMON, MODULES
from pydovecot.settings.schema import SCHEMA, Field, SectionType
from pydovecot.storage.drivers.registry import DRIVERS

ROOT = Path(__file__).parents[4]

# How a value is kept in memory is the owner's choice; what may be written is not.
TEXT = {"string": "text", "strvar": "text", "strlist": "text", "path": "text", "port": "uint"}

# Settings that two owners read: the login processes and auth, the mail workers and auth, POP3 and mbox.
SHARED = {
    "auth_ssl_require_client_cert",
    "auth_ssl_username_from_cert",
    "auth_verbose",
    "base_dir",
    "first_valid_uid",
    "last_valid_uid",
    "pop3_rpop",
    "pop3_uidl_format",
}


def section_type(name: str, inside: SectionType = SCHEMA) -> SectionType | None:
    if inside.name == name:
        return inside
    return next((found for child in inside.sections.values() if (found := section_type(name, child))), None)


def declared() -> Iterator[tuple[str, str, Setting[object], Field | None]]:
    for cls in classes():
        kind = section_type(cls.section)
        for name, setting in cls.declared.items():
            yield cls.section, name, setting, kind.fields.get(name) if kind else None


def test_every_declared_setting_is_known() -> None:
    assert [(section, name) for section, name, _, field in declared() if field is None] == []


def test_kinds_and_words_agree() -> None:
    wrong = [
        (name, setting.kind, field.kind)
        for _, name, setting, field in declared()
        if field
        and (
            TEXT.get(setting.kind, setting.kind) != TEXT.get(field.kind, field.kind)
            or set(setting.choices) != set(field.choices)
        )
    ]
    assert wrong == []


def test_defaults_agree() -> None:
    wrong = [
        (name, setting.default, field.default)
        for _, name, setting, field in declared()
        if field and field.normal(setting.default) != field.default
    ]
    assert wrong == []


def test_a_setting_has_one_owner() -> None:
    count = Counter((section, name) for section, name, _, _ in declared())
    doubles = {name for (section, name), times in count.items() if times > 1}
    assert doubles <= SHARED


def test_every_settings_module_is_listed() -> None:
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "pydovecot").rglob("settings.py")
    }
    assert found == {module.__name__ for module in OWNERS}


def test_implemented_names() -> None:
    names = implemented()
    assert "mail_location" in names[""]
    assert "driver" in names["passdb"]
    assert "director_servers" not in names[""]


def test_the_table_is_sound() -> None:
    rows = [*known.ROWS, *known.TUNING_ROWS, *known.ROWS_22]
    rows += [row for group in known.UNSET_AFTER.values() for row in group]
    assert len({row[0] for row in rows}) == len(rows) == len(SCHEMA.fields)
    for field in SCHEMA.fields.values():
        assert field.normal(field.default) == field.default
    assert set(known.ALIASES.values()) <= set(SCHEMA.fields)
    assert set(SCHEMA.fields) >= known.HIDDEN
    assert set(known.DEFAULTS_22) <= set(SCHEMA.fields)
    everything = set(SCHEMA.fields) | set(SCHEMA.sections)
    assert everything >= COMMON | AUTH_SETTINGS
    for names in MODULES.values():
        assert names <= everything
    assert len(DEFAULTS.sections) == 32


def test_importing_the_table_is_quick() -> None:
    """The master imports it; 0.2 s of CPU is ten times what it takes, at best of three on a busy machine."""
    code = (
        "import time; began = time.process_time();"
        "import pydovecot.settings.schema; print(time.process_time() - began)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", code]
    runs = [subprocess.run(words, capture_output=True, text=True, check=True, env=env) for _ in range(3)]
    assert min(float(done.stdout) for done in runs) < 0.2


def test_the_storage_drivers_are_those_that_exist() -> None:
    assert set(DRIVERS) == STORAGE_DRIVERS

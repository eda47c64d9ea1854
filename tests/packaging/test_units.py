"""The unit files on paper: systemd 219 knows every line, systemd-analyze has no complaint."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.systemd219 import SECTIONS, VALUES

FOLDER = Path(__file__).parents[2] / "packaging/systemd"
UNITS = sorted(path.name for path in FOLDER.iterdir() if path.is_file())
DROP_IN = "el8/pydovecot.service.d/hardening.conf"
DEBIAN = Path("/lib/systemd/system/dovecot.service")
analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def lines_of(name: str) -> Iterator[tuple[str, str, str]]:
    """Section, name and value of each line of a unit."""
    section = ""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        yield section, key, value


def test_what_units_there_are() -> None:
    assert UNITS == ["pydovecot-init.service", "pydovecot.service", "pydovecot.socket"]


@pytest.mark.parametrize("name", UNITS)
def test_systemd_219_knows_every_line(name: str) -> None:
    lost = [f"[{section}] {key}" for section, key, _value in lines_of(name) if key not in SECTIONS[section]]
    assert lost == []
    lost = [f"{key}={value}" for _s, key, value in lines_of(name) if value not in VALUES.get(key, (value,))]
    assert lost == []


@pytest.mark.parametrize("name", UNITS)
def test_systemd_219_knows_every_value(name: str) -> None:
    """Groups of system calls came with 231, prefixes of commands other than `-` and `@` with 231 as well."""
    for _section, key, value in lines_of(name):
        if key == "SystemCallFilter":
            assert "@" not in value
        if key.startswith("Exec"):
            assert re.match(r"-?@?/", value), value
        if key.startswith("Standard"):
            assert ":" not in value


def test_table_refuses_what_came_later() -> None:
    for name in ("ReadWritePaths", "StateDirectory", "ProtectKernelTunables", "OOMPolicy", "LockPersonality"):
        assert name not in SECTIONS["Service"]


def test_the_drop_in_is_for_what_219_does_not_know() -> None:
    """A line that 219 knows belongs into the unit, where RHEL 7 has it as well."""
    known = {key for _s, key, _v in lines_of(DROP_IN) if key in SECTIONS["Service"]}
    assert known == {"SystemCallFilter"}  # by groups of calls


def test_every_capability_has_its_reason() -> None:
    text = (FOLDER / "pydovecot.service").read_text(encoding="utf-8")
    lines = lines_of("pydovecot.service")
    (bounding,) = [value for _section, key, value in lines if key == "CapabilityBoundingSet"]
    reasons = set(re.findall(r"[A-Z_]{4,}", " ".join(re.findall(r"^# ([A-Z_, ]+)  +\S", text, re.M))))
    assert reasons == {name.removeprefix("CAP_") for name in bounding.split()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system with the units and the programs they name."""
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for name in UNITS:
        shutil.copy(FOLDER / name, units)
    shutil.copytree(FOLDER / "el8/pydovecot.service.d", units / "pydovecot.service.d")
    for target in ("sysinit", "basic", "shutdown", "sockets", "multi-user", "network-online"):
        (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for target in ("local-fs", "remote-fs", "nss-user-lookup", "time-sync", "sysinit"):
        (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for program in ("usr/sbin/pydovecot", "usr/libexec/dovecot/mkcert.sh", "bin/kill"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    return units


@analyze
@pytest.mark.parametrize("name", UNITS)
def test_systemd_has_no_complaint(root: Path, name: str) -> None:
    words = ["systemd-analyze", "verify", "--man=no", f"--root={root.parents[3]}", name]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def exposure(unit: Path) -> float:
    """The figure of `systemd-analyze security`: 0 is locked up, 10 is open."""
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])


@analyze
@pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's dovecot.service")
def test_less_exposed_than_dovecot(root: Path) -> None:
    debian = exposure(DEBIAN)
    shutil.rmtree(root / "pydovecot.service.d")
    alone = exposure(root / "pydovecot.service")
    assert alone < debian - 2
    shutil.copytree(FOLDER / "el8/pydovecot.service.d", root / "pydovecot.service.d")
    assert exposure(root / "pydovecot.service") < alone - 1

"""The release build: its lock file, its gate, and the build itself where its files have changed."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import container, rpmfile

HERE = rpmfile.PROJECT / "packaging/rpm"
WHY_NOT = rpmfile.why_not()
RELEASE_SECS = 1500
# What RHEL 7.9 has, by its package lists: names, and the versions of symbols in its glibc and libgcc.
GLIBC = "2.2.5 2.3 2.3.2 2.3.3 2.3.4 2.4 2.5 2.6 2.7 2.8 2.9 2.10 2.11 2.12 2.13 2.14 2.15 2.16 2.17"
GCC = "3.0 3.3 3.3.1 3.4 3.4.2 3.4.4 4.0.0 4.2.0 4.3.0 4.7.0 4.8.0"
GLIBC_LIBRARIES = (
    "libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 ld-linux-x86-64.so.2"
)
RPM_4_11 = {"CompressedFileNames", "FileDigests", "PayloadFilesHavePrefix", "PayloadIsXz"}


def state() -> str:
    words = [sys.executable, str(HERE / "state.py")]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def released() -> str:
    """The state that `make rpm-el7` has passed with."""
    file = HERE / "released"
    return file.read_text().strip() if file.exists() else ""


def test_the_lock_has_all_dependencies_with_their_hashes() -> None:
    text = (HERE / "requirements.lock").read_text()
    pins = {name.lower().replace("_", "-"): version for name, version in rpmfile.lock_pins(text).items()}
    project = tomllib.loads((rpmfile.PROJECT / "pyproject.toml").read_text())["project"]
    for wanted in project["dependencies"]:
        name, lowest = re.fullmatch(r"([\w-]+)>=([\d.]+)", wanted.replace("_", "-")).groups()  # type: ignore[union-attr]
        assert numbers(pins[name.lower()]) >= numbers(lowest), wanted
    entries = re.split(r"(?m)^(?=[A-Za-z])", text)[1:]
    assert len(entries) == len(pins)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    chosen = rpmfile.lock_pins((HERE / "requirements.in").read_text())
    assert chosen == rpmfile.lock_pins(text)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.root
@pytest.mark.slow
def test_the_gate_stops_what_rhel_7_cannot_run(rpm_file: Path, tmp_path: Path) -> None:
    """The quick package is made for this machine, and the gate says what is wrong with it."""
    rpmfile.unpack(rpm_file, tmp_path)
    words = [sys.executable, str(HERE / "elfgate.py"), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    faults = [line for line in done.stdout.splitlines() if line.startswith("FAULT ")]
    assert any(re.search(r"@GLIBC_2\.(2\d|3\d)$", fault) for fault in faults)
    assert any(re.search(r"/_ssl\..*: needs libssl\.so", fault) for fault in faults)
    wheels = [fault for fault in faults if "/site-packages/" in fault]
    assert wheels == [], "wheels of the lock must run on glibc 2.17"


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.skipif(
    state() == released() and not os.environ.get("PYDOVECOT_RELEASE"),
    reason="`make rpm-el7` has passed with these files and dependencies (PYDOVECOT_RELEASE=1: build anyway)",
)
@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(RELEASE_SECS + 60)
def test_the_release_is_built_runs_and_can_be_installed(tmp_path: Path) -> None:
    project = rpmfile.sources(tmp_path / "project")
    done = subprocess.run(
        ["make", "-s", "-C", str(project), "rpm-el7", f"PYTHON={sys.executable}"],
        capture_output=True,
        text=True,
        timeout=RELEASE_SECS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "a login by TLS and a delivery: done" in done.stdout
    package = Path(done.stdout.split()[-1])
    assert package.name.endswith(".el7.x86_64.rpm")
    assert set(re.findall(r"rpmlib\((\w+)\)", "\n".join(rpmfile.query(package, "--requires")))) <= RPM_4_11
    rpmfile.unpack(package, unpacked := tmp_path / "unpacked")
    files = [file for file in unpacked.rglob("*") if file.is_file() and not file.is_symlink()]
    cache = bytes(Path.home() / ".cache")
    assert rpmfile.names_in(files, [bytes(project), cache, b"/tmp/pydovecot-rpm.", b"/BUILDROOT/"]) == []
    if reason := container.why_not():
        pytest.skip(f"built, and not installed: {reason}")
    names = ["/bin/sh", "openssl", "shadow-utils", "systemd", "rtld(GNU_HASH)", "libpam.so.0()(64bit)"]
    for library in GLIBC_LIBRARIES.split():
        names += [f"{library}()(64bit)", *(f"{library}(GLIBC_{version})(64bit)" for version in GLIBC.split())]
    names += ["libgcc_s.so.1()(64bit)", *(f"libgcc_s.so.1(GCC_{version})(64bit)" for version in GCC.split())]
    stubs = rpmfile.make_stubs(tmp_path / "stubs", names)
    disk = container.Disk([container.debian_root()])
    try:
        rpm = rpmfile.Installer(disk.root)
        rpm("-i", str(stubs), str(package))
        assert "protocols = imap pop3 lmtp" in rpm.inside("doveconf", "-a")
        assert rpm("-V", "pydovecot").stdout == ""
    finally:
        disk.close()

"""What is in the package: files with modes and owners, what it wants and what it gives."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import rpmfile

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(rpmfile.why_not()), reason=rpmfile.why_not()),
]
PROJECT = rpmfile.PROJECT
HOME = "/usr/lib/pydovecot"
SITE = f"{HOME}/python/lib/python3.{sys.version_info.minor}/site-packages"
# Mode, owner, group, marks (c: configuration, n: noreplace, g: ghost, d: doc, m: may be missing, l: licence).
TABLE = """
d 0755 root    root    -   /etc/dovecot
d 0755 root    root    -   /etc/dovecot/conf.d
- 0644 root    root    cn  /etc/dovecot/conf.d/*.conf
- 0644 root    root    cn  /etc/dovecot/conf.d/auth-*.conf.ext
- 0644 root    root    cn  /etc/dovecot/dovecot.conf
- 0644 root    root    cn  /etc/logrotate.d/dovecot
- 0644 root    root    cn  /etc/pam.d/dovecot
d 0755 root    root    -   /etc/pki/dovecot
d 0755 root    root    -   /etc/pki/dovecot/certs
- 0600 root    root    cmng /etc/pki/dovecot/certs/dovecot.pem
- 0644 root    root    cn  /etc/pki/dovecot/dovecot-openssl.cnf
d 0700 root    root    -   /etc/pki/dovecot/private
- 0600 root    root    cmng /etc/pki/dovecot/private/dovecot.pem
d 0755 root    dovecot g   /run/dovecot
- 0755 root    root    -   /usr/bin/*
d 0755 root    root    -   /usr/lib/pydovecot
- 0644 root    root    -   /usr/lib/systemd/system-preset/95-pydovecot.preset
l 0777 root    root    -   /usr/lib/systemd/system/dovecot.service
- 0644 root    root    -   /usr/lib/systemd/system/pydovecot-init.service
- 0644 root    root    -   /usr/lib/systemd/system/pydovecot.service
d 0755 root    root    -   /usr/lib/systemd/system/pydovecot.service.d
- 0644 root    root    -   /usr/lib/systemd/system/pydovecot.service.d/hardening.conf
- 0644 root    root    -   /usr/lib/systemd/system/pydovecot.socket
- 0644 root    root    -   /usr/lib/tmpfiles.d/dovecot.conf
d 0755 root    root    -   /usr/libexec/dovecot
- 0755 root    root    -   /usr/libexec/dovecot/mkcert.sh
- 0755 root    root    -   /usr/libexec/dovecot/role
l 0777 root    root    -   /usr/libexec/dovecot/deliver
l 0777 root    root    -   /usr/sbin/dovecot
- 0755 root    root    -   /usr/sbin/pydovecot
d 0755 root    root    -   /usr/share/doc/*
- 0644 root    root    d   /usr/share/doc/*
d 0755 root    root    -   /usr/share/licenses/*
- 0644 root    root    l   /usr/share/licenses/*
- 0644 root    root    d   /usr/share/man/*
d 0750 dovecot dovecot -   /var/lib/dovecot
"""
MARKS = {1: "c", 2: "d", 8: "m", 16: "n", 64: "g", 128: "l"}  # of rpm's file flags


@dataclass(frozen=True)
class Entry:
    """One file as the package has it."""

    path: str
    mode: int
    owner: str
    group: str
    marks: str
    target: str

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        kind = {0o4: "d", 0o10: "-", 0o12: "l"}[self.mode >> 12]
        return kind, f"{self.mode & 0o7777:04o}", self.owner, self.group, self.marks


@pytest.fixture(scope="module")
def entries(rpm_file: Path) -> dict[str, Entry]:
    form = (
        "[%{FILENAMES}\\t%{FILEMODES}\\t%{FILEUSERNAME}\\t%{FILEGROUPNAME}\\t%{FILEFLAGS}\\t%{FILELINKTOS}\\n]"
    )
    found = {}
    for line in rpmfile.query(rpm_file, "--qf", form):
        path, mode, owner, group, flags, target = line.split("\t")
        marks = "".join(mark for bit, mark in MARKS.items() if int(flags) & bit) or "-"
        found[path] = Entry(path, int(mode) & 0xFFFF, owner, group, marks, target)
    return found


@pytest.fixture(scope="module")
def unpacked(rpm_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("unpacked")
    rpmfile.unpack(rpm_file, target)
    return target


def category(path: str, scripts: set[str]) -> str:
    """The row of the table that a path belongs to."""
    folder, _, name = path.rpartition("/")
    if path.startswith(("/usr/share/doc/", "/usr/share/licenses/", "/usr/share/man/")):
        return "/".join(path.split("/")[:4]) + "/*"
    if folder == "/usr/bin" and name in scripts:
        return "/usr/bin/*"
    if folder == "/usr/libexec/dovecot" and (PROJECT / "libexec" / name).exists() and name != "deliver":
        return "/usr/libexec/dovecot/role"
    if folder == "/etc/dovecot/conf.d" and (PROJECT / "etc/dovecot/conf.d" / name).exists():
        return f"{folder}/auth-*.conf.ext" if name.endswith(".ext") else f"{folder}/*.conf"
    return path


def test_files_are_those_of_the_table(entries: dict[str, Entry]) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    rows = {(path, tuple(row)) for *row, path in (line.split() for line in TABLE.strip().splitlines())}
    found = {
        (category(path, set(project["scripts"])), entry.row)
        for path, entry in entries.items()
        if not path.startswith(f"{HOME}/")
    }
    assert found == rows
    assert names("etc/dovecot", "/etc/dovecot/{}") <= set(entries)
    assert names("libexec", "/usr/libexec/dovecot/{}") <= set(entries)
    assert names("man", "/usr/share/man/man{0.suffix[1]}/{0}.gz") <= set(entries)


def names(folder: str, form: str) -> set[str]:
    """Where the project's files below `folder` belong."""
    files = (file for file in (PROJECT / folder).rglob("*") if file.is_file() and file.suffix != ".pyc")
    return {form.format(file.relative_to(PROJECT / folder)) for file in files}


def test_links(entries: dict[str, Entry]) -> None:
    links = {path: entry.target for path, entry in entries.items() if entry.target}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert links == {
        f"{HOME}/python/bin/python3": f"python{version}",
        "/usr/lib/systemd/system/dovecot.service": "pydovecot.service",
        "/usr/libexec/dovecot/deliver": "dovecot-lda",
        "/usr/sbin/dovecot": "pydovecot",
    }


def test_the_private_tree_is_roots_and_compiled(entries: dict[str, Entry]) -> None:
    private = {path: entry for path, entry in entries.items() if path.startswith(f"{HOME}/")}
    assert {(entry.owner, entry.group) for entry in private.values()} == {("root", "root")}
    assert not [path for path, entry in private.items() if entry.mode & 0o7022 and not entry.target]
    sources = {path for path in private if path.endswith(".py")}
    assert len(sources) > 1000
    assert f"{SITE}/pydovecot/services/imap/main.py" in sources
    assert sorted(path for path in sources if pyc_of(path) not in private) == []


def pyc_of(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name[:-3]}.cpython-3{sys.version_info.minor}.pyc"


def test_compiled_files_are_believed_unchecked_and_name_their_place(unpacked: Path) -> None:
    files = list((unpacked / HOME[1:]).rglob("*.pyc"))
    assert {int.from_bytes(file.read_bytes()[4:8], "little") for file in files} == {0b01}
    main = next(file for file in files if file.match("services/imap/__pycache__/main.*"))
    place = main.relative_to(unpacked).parents[1] / "main.py"
    assert f"/{place}".encode() in main.read_bytes()


def test_commands_start_the_bundled_interpreter(unpacked: Path) -> None:
    folders = ("usr/bin", "usr/sbin", "usr/libexec/dovecot")
    commands = [file for name in folders for file in (unpacked / name).iterdir()]
    first = {file.name: file.read_bytes().split(b"\n")[0] for file in commands}
    assert first.pop("mkcert.sh") == b"#!/bin/sh"
    interpreter = b"#!/usr/lib/pydovecot/python/bin/python3"
    for name in ("dovecot-lda", "deliver", "doveadm", "pydoveadm"):  # quick: cli/lda.py, cli/doveadm.py
        assert first.pop(name) == interpreter + b" -ISXutf8"
    assert set(first.values()) == {interpreter + b" -IXutf8"}


def test_nothing_names_the_build_machine(unpacked: Path) -> None:
    places = [bytes(PROJECT), bytes(Path.home() / ".cache"), b"/tmp/pydovecot-rpm.", b"/BUILDROOT/"]
    if sys.base_prefix != "/usr":
        places.append(os.fsencode(sys.base_prefix))
    files = [file for file in unpacked.rglob("*") if file.is_file() and not file.is_symlink()]
    assert len(files) > 3000
    assert rpmfile.names_in(files, places) == []


def test_what_it_wants(rpm_file: Path) -> None:
    wanted = set(rpmfile.query(rpm_file, "--requires"))
    libraries = {name for name in wanted if name.endswith("(64bit)")}
    assert "libpam.so.0()(64bit)" in libraries
    assert {re.sub(r" = .*", "", name) for name in wanted - libraries} == {
        "/bin/sh",
        "config(pydovecot)",
        "openssl",
        "rpmlib(CompressedFileNames) <= 3.0.4-1",
        "rpmlib(FileDigests) <= 4.6.0-1",
        "rpmlib(PayloadFilesHavePrefix) <= 4.0-1",
        "rtld(GNU_HASH)",
        "shadow-utils",
        "systemd",
    }
    assert rpmfile.query(rpm_file, "--conflicts") == ["dovecot"]
    assert rpmfile.query(rpm_file, "--obsoletes") == []


def test_what_it_gives(rpm_file: Path) -> None:
    given = {name: version for line in rpmfile.query(rpm_file, "--provides")
             for name, _, version in [line.partition(" = ")]}  # fmt: skip
    pins = rpmfile.lock_pins((PROJECT / "packaging/rpm/requirements.lock").read_text())
    version = given.pop("pydovecot")
    assert given.pop("pydovecot(x86-64)") == given.pop("config(pydovecot)") == version
    assert given.pop("bundled(python)").startswith("3.")
    assert given == {"imap-server": "", "pop3-server": ""} | {
        f"bundled(python3-{name.lower()})": pin for name, pin in pins.items()
    }


def test_scriptlets_are_plain_sh(rpm_file: Path) -> None:
    text = "\n".join(rpmfile.query(rpm_file, "--scripts"))
    parts = re.split(r"(?m)^(\w+) scriptlet \(using /bin/sh\):$", text)
    scripts = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert sorted(scripts) == ["postinstall", "postuninstall", "preinstall", "preuninstall"]
    for name, script in scripts.items():
        words = ["sh", "-n"]
        done = subprocess.run(words, input=script.encode(), capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr!r}"
        assert "%" not in script

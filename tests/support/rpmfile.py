"""RPM files for tests: the project's package, a newer one, and stubs that stand for the system's packages."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
BUILD_SECS: Final = 600
TOOLS: Final = ("rpm", "rpmbuild", "strip", "objdump", "unzip")
ELFDEPS: Final = "/usr/lib/rpm/elfdeps"
# What the package asks for by name: in each root of the tests, as programs and files.
NAMES: Final = {
    "openssl": "usr/bin/openssl",
    "systemd": "bin/systemctl",
    "shadow-utils": "usr/sbin/useradd",
    "/bin/sh": "bin/sh",
}
STUBS: Final = """\
Name: stubs
Version: 1
Release: 1
Summary: Stands for the packages of this system, which rpm does not know
License: MIT
BuildArch: noarch
AutoReqProv: no
{provides}
%description
It provides what is really there.
%files
"""


def why_not() -> str:
    """Why no package can be made here; empty when nothing is known against it."""
    if os.geteuid() != 0:
        return "packages are tried out as root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(missing)}" if missing else ""


def build(project: Path, release: str = "") -> Path:
    """`make rpm`, in `project`; the file in its dist/rpm."""
    words = ["make", "-s", "-C", str(project), "rpm", f"PYTHON={sys.executable}", f"RELEASE={release}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=BUILD_SECS, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    return Path(done.stdout.split()[-1])


def sources(target: Path) -> Path:
    """A copy of what the package is made from, as somebody has it who unpacked an archive."""
    names = ["pydovecot", "libexec", "man", "etc", "docs", "packaging"]
    names += ["README.md", "NEWS", "LICENSE", "pyproject.toml", "Makefile"]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *names],
        cwd=PROJECT,
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout.split(b"\0")
    for raw in listed:
        source = PROJECT / raw.decode()
        if raw and source.is_file():
            (target / raw.decode()).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / raw.decode())
    return target


def stubs(target: Path, root: Path) -> Path:
    """A package that provides what `root` has of the libraries and programs that packages may ask for."""
    found = [name for name, file in NAMES.items() if (root / file).exists()]
    libraries = sorted(path for path in root.glob("lib/x86_64-linux-gnu/*.so.*") if not path.is_symlink())
    inside = "".join(f"{path}\n" for path in libraries if path.read_bytes()[:4] == b"\x7fELF")
    done = subprocess.run(
        [ELFDEPS, "--provides"], input=inside, capture_output=True, text=True, timeout=120, check=True
    )
    return make_stubs(target, [*found, *done.stdout.split("\n"), "rtld(GNU_HASH)"])


def make_stubs(target: Path, provides: Iterable[str]) -> Path:
    """A package of nothing but promises."""
    target.mkdir(parents=True, exist_ok=True)
    spec = target / "stubs.spec"
    lines = "\n".join(f"Provides: {name}" for name in sorted(set(provides)) if name)
    spec.write_text(STUBS.format(provides=lines))
    words = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {target}", str(spec)]
    subprocess.run(words, capture_output=True, timeout=120, check=True)
    return next((target / "RPMS").rglob("*.rpm"))


def query(file: Path, *options: str) -> list[str]:
    """Lines of `rpm -qp OPTIONS FILE`."""
    words = ["rpm", "-qp", *options, str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def unpack(file: Path, target: Path) -> None:
    """The files of a package, without its scripts."""
    target.mkdir(parents=True, exist_ok=True)
    with (
        file.open("rb") as package,
        subprocess.Popen(["rpm2archive", "-"], stdin=package, stdout=subprocess.PIPE) as archive,
    ):
        subprocess.run(["tar", "xz", "-C", target], stdin=archive.stdout, timeout=120, check=True)
    if archive.returncode:
        raise AssertionError(f"{file} cannot be unpacked")


def digest(file: Path) -> str:
    """Of the whole file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


class Installer:
    """rpm, working on another root with a database of its own there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self("--initdb")

    def __call__(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run rpm. Raises AssertionError with what it says if it fails and `check` is set."""
        command = ["rpm", "--root", str(self.root), "--dbpath", "/var/lib/rpm", *words]
        if words[0] in ("-i", "-U", "-e"):
            command.append("--force-debian")  # Debian's rpm wants to hear it; RHEL's knows no such option
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    @contextlib.contextmanager
    def proc(self) -> Iterator[None]:
        """With /proc in the root, which systemd's tools want."""
        place = str(self.root / "proc")
        subprocess.run(["mount", "-t", "proc", "proc", place], timeout=60, check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", place], timeout=60, check=True)

    def inside(self, *words: str, input: str = "", check: bool = True) -> str:
        """What a command says inside the root."""
        done = subprocess.run(
            ["chroot", str(self.root), *words],
            input=input,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def lock_pins(text: str) -> dict[str, str]:
    """Name and version of each line of requirements.lock."""
    return dict(re.findall(r"(?m)^([A-Za-z][\w.-]*)==([\w.]+)", text))


def names_in(files: Sequence[Path], words: Sequence[bytes]) -> list[str]:
    """Which of the files contain one of the words."""
    pattern = re.compile(b"|".join(re.escape(word) for word in words))
    return [str(file) for file in files if pattern.search(file.read_bytes())]

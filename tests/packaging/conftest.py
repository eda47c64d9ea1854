"""Packages, each built once a run, also when several processes run the tests."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import container, rpmfile


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A directory that all processes of this run share; the first one fills it."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with open(shared / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / f"{name}.done").exists():
            shutil.rmtree(shared / name, ignore_errors=True)
            (shared / name).mkdir()
            make(shared / name)
            (shared / f"{name}.done").touch()
    return shared / name


def package_of(project: Path) -> Path:
    return next((project / "dist/rpm").glob("*.rpm"))


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package is made from, elsewhere, as of an unpacked archive; built."""
    if reason := rpmfile.why_not():
        pytest.skip(reason)
    return once(tmp_path_factory, "rpm", lambda target: rpmfile.build(rpmfile.sources(target)))


@pytest.fixture(scope="session")
def rpm_file(sources: Path) -> Path:
    """What `make rpm` makes."""
    return package_of(sources)


@pytest.fixture(scope="session")
def rpm_newer(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next release; it has another 10-logging.conf and another 10-mail.conf."""

    def make(project: Path) -> None:
        shutil.copytree(sources, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("dist"))
        for name in ("10-logging.conf", "10-mail.conf"):
            with (project / "etc/dovecot/conf.d" / name).open("a") as file:
                file.write("# A line of the next release.\n")
        rpmfile.build(project, release="2.host")

    return package_of(once(tmp_path_factory, "rpm-newer", make))


@pytest.fixture(scope="session")
def debian() -> Path:
    """The root that containers boot from."""
    if reason := container.why_not() or container.why_not_boot():
        pytest.skip(reason)
    return container.debian_root()


@pytest.fixture(scope="session")
def rpm_stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Debian root provides, as a package: then no dependency is left unchecked."""
    if reason := rpmfile.why_not() or container.why_not():
        pytest.skip(reason)
    try:
        root = container.debian_root()
    except (RuntimeError, subprocess.SubprocessError) as exc:
        pytest.skip(f"no Debian root: {exc}")
    return rpmfile.stubs(tmp_path_factory.mktemp("stubs"), root)

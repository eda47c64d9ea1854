"""Packages, each built once a run."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import container, rpmfile


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package is made from, elsewhere, as of an unpacked archive."""
    if reason := rpmfile.why_not():
        pytest.skip(reason)
    return rpmfile.sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def rpm_file(sources: Path) -> Path:
    """What `make rpm` makes."""
    return rpmfile.build(sources)


@pytest.fixture(scope="session")
def rpm_newer(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next release; it has another 10-logging.conf and another 10-mail.conf."""
    project = tmp_path_factory.mktemp("newer")
    shutil.copytree(sources, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("dist"))
    for name in ("10-logging.conf", "10-mail.conf"):
        with (project / "etc/dovecot/conf.d" / name).open("a") as file:
            file.write("# A line of the next release.\n")
    return rpmfile.build(project, release="2.host")


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

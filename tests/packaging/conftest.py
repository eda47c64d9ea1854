"""Packages, each built once a run."""

import subprocess
from pathlib import Path

import pytest

from tests.support import container, rpmfile


@pytest.fixture(scope="session")
def rpm_file() -> Path:
    """What `make rpm` makes."""
    if reason := rpmfile.why_not():
        pytest.skip(reason)
    return rpmfile.build()


@pytest.fixture(scope="session")
def rpm_newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next release; it has another 10-logging.conf and another 10-mail.conf."""
    if reason := rpmfile.why_not():
        pytest.skip(reason)
    project = rpmfile.sources(tmp_path_factory.mktemp("newer"))
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

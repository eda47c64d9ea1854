"""Running programs as an ordinary user when the tests run as root."""

import atexit
import functools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ORDINARY_USER = "nobody"
REPOSITORY = Path(__file__).resolve().parents[2]


@functools.cache
def python_for_everyone() -> tuple[list[str], dict[str, str]]:
    """An interpreter for ORDINARY_USER that finds us and our dependencies: command and environment.

    Ours if it may; else the system's of the same version with our site-packages. Where the checkout lies in a
    folder that others may not enter, with copies of both. RuntimeError with the reason when there is none.
    """
    site = next((path for path in sys.path if path.endswith("site-packages")), "")
    for repository, packages in _trees(REPOSITORY, Path(site)):
        more = {
            "PYTHONPATH": os.pathsep.join([str(repository), str(packages)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        candidates = [(sys.executable, {"PYTHONPATH": str(repository)})]
        candidates += [(f"{folder}/python3", more) for folder in ("/usr/local/bin", "/usr/bin")]
        check = "import sys, apsw, OpenSSL, pydovecot; "
        check += f"assert sys.version_info[:2] == {sys.version_info[:2]}"
        for program, env in candidates:
            if _runs([program, "-c", check], env):
                return [program], env
    raise RuntimeError(f"no Python that the user {ORDINARY_USER} may run has the dependencies")


def _trees(repository: Path, packages: Path) -> Iterator[tuple[Path, Path]]:
    """Where to import from: the checkout itself, then a copy for everybody."""
    yield repository, packages
    copies = Path(tempfile.mkdtemp(prefix="pdtree"))
    copies.chmod(0o755)
    atexit.register(shutil.rmtree, copies, ignore_errors=True)
    skip = shutil.ignore_patterns("__pycache__", "mypy", "ruff*", "*.dist-info")
    shutil.copytree(repository / "pydovecot", copies / "pydovecot", ignore=skip)
    shutil.copytree(packages, copies / "site-packages", ignore=skip)
    yield copies, copies / "site-packages"


def _runs(command: list[str], env: dict[str, str]) -> bool:
    entry = pwd.getpwnam(ORDINARY_USER)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **env},
            cwd="/",
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=[],
            capture_output=True,
            timeout=30,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0

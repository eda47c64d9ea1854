"""Running programs as an ordinary user when the tests run as root."""

import functools
import os
import pwd
import subprocess
import sys
from pathlib import Path

ORDINARY_USER = "nobody"
REPOSITORY = Path(__file__).resolve().parents[2]


@functools.cache
def python_for_everyone() -> tuple[list[str], dict[str, str]]:
    """An interpreter that ORDINARY_USER may run and that finds our dependencies: command and environment.

    Ours if it may; else the system's of the same version with our site-packages. RuntimeError with the reason
    when there is none.
    """
    site = next((path for path in sys.path if path.endswith("site-packages")), "")
    path = os.pathsep.join([str(REPOSITORY), site])
    candidates = [(sys.executable, {"PYTHONPATH": str(REPOSITORY)})]
    more = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    candidates += [(f"{folder}/python3", more) for folder in ("/usr/local/bin", "/usr/bin")]
    check = f"import sys, apsw, OpenSSL; assert sys.version_info[:2] == {sys.version_info[:2]}"
    for program, env in candidates:
        if _runs([program, "-c", check], env):
            return [program], env
    raise RuntimeError(f"no Python that the user {ORDINARY_USER} may run has the dependencies")


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

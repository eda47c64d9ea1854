"""libexec/ holds exactly the services that have a main, and the master knows them all."""

import os
import subprocess
import sys
from pathlib import Path

from pydovecot.cli.roles import ROLES

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "pydovecot" / "services"
LIBEXEC = ROOT / "libexec"


def mains() -> set[str]:
    return {path.parent.name.replace("_", "-") for path in SERVICES.glob("*/main.py")}


# What others start: MTAs.
TOOLS = {"dovecot-lda", "deliver"}


def test_one_program_for_each_main() -> None:
    programs = {path.name for path in LIBEXEC.iterdir()}
    assert programs == mains() | TOOLS
    assert all(os.access(LIBEXEC / name, os.X_OK) for name in programs)


def test_the_master_knows_each_main() -> None:
    assert set(ROLES) == mains()
    assert all(spec.name == name for name, spec in ROLES.items())


def test_a_child_program_says_what_it_is_when_started_by_hand() -> None:
    done = subprocess.run(
        [sys.executable, str(LIBEXEC / "anvil")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 64
    assert done.stderr == "anvil is started by the master process (pydovecot -F)\n"


def test_importing_roles_has_no_side_effects() -> None:
    """No thread, no event loop, no descriptor: the image is forked."""
    code = (
        "import os, threading, asyncio\n"
        "before = set(os.listdir('/proc/self/fd'))\n"
        "import pydovecot.cli.roles\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "after = set(os.listdir('/proc/self/fd'))\n"
        "assert after <= before, [os.readlink(f'/proc/self/fd/{n}') for n in after - before]\n"
        "assert asyncio._get_running_loop() is None\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

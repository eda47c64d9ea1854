"""Short doveadm commands, each a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.dovecot import SBIN
from tests.support.wire import Server

REPOSITORY: Final = Path(__file__).resolve().parents[2]
# As installed: without the folders of other packages, until they are needed.
START: Final = f"""\
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from pydovecot.cli.doveadm import main
raise SystemExit(main())
"""


def doveadm(server: Server, count: int, *args: str) -> None:
    """One command, that many times."""
    ours = [sys.executable, "-ISXutf8", "-c", START]
    command = ["doveadm"] if server.name == "dovecot" else ours
    words = [*command, "-c", str(server.place.root / "dovecot.conf"), *args]
    environment = {"PATH": f"{SBIN}:{os.environ['PATH']}"}
    for _ in range(count):
        done = subprocess.run(words, stdout=subprocess.DEVNULL, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(args)}: exit status {done.returncode}")

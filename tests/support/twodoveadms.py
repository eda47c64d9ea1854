"""Debian's doveadm and ours with the same arguments on the same running server."""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from pydovecot.admin import terminal as doveadm
from tests.support.dovecot import SBIN
from tests.support.serverconf import ServerDir

USERS = ("alice", "bob", "bobby", "carol@example.org")


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended; standard error is shown when a comparison fails, but not compared."""

    status: int
    out: bytes
    err: bytes = b""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Done) and (self.status, self.out) == (other.status, other.out)

    __hash__ = None  # type: ignore[assignment]


def theirs(conf: Path, *args: str, stdin: bytes = b"") -> Done:
    """Debian's."""
    program = shutil.which("doveadm", path=SBIN)
    assert program
    done = subprocess.run(
        [program, "-c", str(conf), *args], input=stdin, capture_output=True, timeout=60, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def ours(conf: Path, *args: str, stdin: bytes = b"") -> Done:
    """Ours, in this process."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = doveadm.main(["-c", str(conf), *args])
    out.flush()
    err.flush()
    return Done(status, out.buffer.getvalue(), err.buffer.getvalue())  # type: ignore[attr-defined]


def ours_alone(conf: Path, *args: str, stdin: bytes = b"") -> Done:
    """Ours as a process of its own: what ends in an exec, or becomes a user for good."""
    done = subprocess.run(
        [sys.executable, "-m", "pydovecot.cli.doveadm", "-c", str(conf), *args],
        input=stdin, capture_output=True, timeout=60, check=False,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def ours_forked(conf: Path, *args: str, stdin: bytes = b"") -> Done:
    """Ours in a child: it may become a user for good, and costs no start of an interpreter."""
    files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115 - closed below
    files[0].write(stdin)
    files[0].seek(0)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            for number, file in enumerate(files):
                os.dup2(file.fileno(), number)
            sys.stdin, sys.stdout, sys.stderr = (
                io.TextIOWrapper(open(number, mode, closefd=False))  # noqa: SIM115
                for number, mode in enumerate(("rb", "wb", "wb"))
            )
            status = doveadm.main(["-c", str(conf), *args])
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for file in files:
        file.seek(0)
    done = Done(status, files[1].read(), files[2].read())
    for file in files:
        file.close()
    return done


def users_conf(place: ServerDir) -> str:
    """passdb and userdb that can be listed: `USERS`, with password "wonder" and a quota rule."""
    file = place.root / "users"
    line = "{name}:{{PLAIN}}wonder:{uid}:{gid}::{home}::userdb_quota_rule=*:storage=1G\n"
    file.write_text(
        "".join(
            line.format(name=name, uid=place.mail_uid, gid=place.mail_gid, home=place.home(name))
            for name in USERS
        )
    )
    file.chmod(0o644)
    return f"""\
passdb {{
  driver = passwd-file
  args = {file}
}}
userdb {{
  driver = passwd-file
  args = {file}
}}
"""

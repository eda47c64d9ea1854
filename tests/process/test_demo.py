"""`pydovecot demo`: starts, prints what to paste, what it prints works, Ctrl-C ends everything."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.echo_master import wait_until

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A running demo in its own process group, and the file with its output."""
    output = tmp_path / "output"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "pydovecot.cli.pydovecot", "demo"],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield process, output
    if process.poll() is None:
        process.terminate()
        process.wait(20)


def test_demo(demo: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, output = demo
    wait_until(lambda: "starting up for imap, pop3" in output.read_text(), "the start", 30)
    text = output.read_text()
    folder = Path(re.search(r"The server runs in (\S+)", text)[1])  # type: ignore[index]
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    commands = [line.strip() for line in text.splitlines() if line.startswith("  ") and "curl" in line]
    assert len(commands) == 3
    if shutil.which("curl"):
        for command in commands:
            done = subprocess.run(
                command.replace("curl ", "curl -sS --max-time 20 ", 1),
                shell=True,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert done.returncode == 0, (command, done.stderr, output.read_text())
            assert "Welcome" in done.stdout or "INBOX" in done.stdout
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the whole group
    assert process.wait(20) == 0
    assert not folder.exists()
    assert "killed with signal" not in output.read_text()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)

"""The benchmark works; what it finds is for people to read."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dovecot import dovecot_missing

ROOT = Path(__file__).resolve().parents[2]


def bench(*args: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.bench", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_workloads_are_listed() -> None:
    assert "POP3" in bench("--list").stdout


def test_unknown_workload_is_refused() -> None:
    done = bench("--only", "nonsense")
    assert done.returncode == 64 and "no such workload: nonsense" in done.stderr


@pytest.mark.process
@pytest.mark.slow
def test_every_workload_runs_on_both() -> None:
    if reason := dovecot_missing():
        pytest.skip(reason)
    done = bench("--quick", "--messages", "50")
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    words = ("login, TLS", "select, first", "fetch bodies", "search body", "sort subject", "thread refs")
    for word in (*words, "append", "expunge", "POP3"):
        assert any(line.startswith(word) for line in lines), word
    assert any(line.startswith("ours: PSS") for line in lines)

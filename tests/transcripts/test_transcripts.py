"""Every transcript on every harness that it is for."""

from pathlib import Path

import pytest

from tests.support import runner
from tests.support.fixtures import Servers
from tests.support.memory import CUTS, MemoryHarness
from tests.support.transcript import Transcript, parse
from tests.support.wire import WireHarness

HERE = Path(__file__).parent
FILES = sorted(
    path.relative_to(HERE).as_posix() for kind in ("imap", "pop3") for path in HERE.glob(f"{kind}/*.{kind}")
)


def load(name: str, label: str) -> Transcript:
    """Parse, and skip by name what is not for this harness."""
    transcript = parse(HERE / name)
    if transcript.only and label not in transcript.only:
        pytest.skip(f"{name} is only for {' '.join(sorted(transcript.only))}")
    if label in transcript.skip:
        pytest.skip(f"{name}: {transcript.skip[label]}")
    if label == "memory" and transcript.stage == "login":
        pytest.skip(f"{name} begins before the login")
    return transcript


@pytest.mark.parametrize("name", FILES)
def test_in_memory_under_all_cuts(name: str) -> None:
    transcript = load(name, "memory")
    for cut in CUTS:
        harness = MemoryHarness(transcript, cut)
        try:
            runner.play(transcript, harness)
        finally:
            harness.close()


def _play(name: str, program: str, servers: Servers) -> None:
    transcript = load(name, program)
    server = servers.get(program, "".join(f"{line}\n" for line in transcript.settings))
    runner.play(transcript, WireHarness(server, transcript))


@pytest.mark.process
@pytest.mark.parametrize("name", FILES)
def test_over_the_process_tree(name: str, servers: Servers) -> None:
    _play(name, "ours", servers)


@pytest.mark.compat
@pytest.mark.parametrize("name", FILES)
def test_on_dovecot(name: str, servers: Servers) -> None:
    _play(name, "dovecot", servers)

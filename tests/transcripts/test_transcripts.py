"""Every transcript on every harness that it is for."""

from pathlib import Path

import pytest

from tests.support import runner
from tests.support.fixtures import Servers
from tests.support.memory import CUTS, MemoryHarness
from tests.support.transcript import parse
from tests.support.wire import WireHarness

HERE = Path(__file__).parent


def names(label: str) -> list[str]:
    """The transcripts that this harness plays: one that is not for it is no skipped test, but none."""
    found = []
    for path in sorted([*HERE.glob("imap/*.imap"), *HERE.glob("pop3/*.pop3"), *HERE.glob("lmtp/*.lmtp")]):
        transcript = parse(path)
        begins = label != "memory" or transcript.stage != "login"
        wanted = label in transcript.only if transcript.only else label not in transcript.skip
        if begins and wanted:
            found.append(path.relative_to(HERE).as_posix())
    return found


@pytest.mark.parametrize("name", names("memory"))
def test_in_memory_under_all_cuts(name: str) -> None:
    transcript = parse(HERE / name)
    for cut in CUTS:
        harness = MemoryHarness(transcript, cut)
        try:
            runner.play(transcript, harness)
        finally:
            harness.close()


def _play(name: str, program: str, servers: Servers) -> None:
    transcript = parse(HERE / name)
    settings = "".join(f"{line}\n" for line in transcript.settings)
    if transcript.protocol == "lmtp":
        settings = "protocols = imap pop3 lmtp\n" + settings
    server = servers.get(program, settings)
    runner.play(transcript, WireHarness(server, transcript))


@pytest.mark.process
@pytest.mark.parametrize("name", names("ours"))
def test_over_the_process_tree(name: str, servers: Servers) -> None:
    _play(name, "ours", servers)


@pytest.mark.compat
@pytest.mark.parametrize("name", names("dovecot"))
def test_on_dovecot(name: str, servers: Servers) -> None:
    _play(name, "dovecot", servers)

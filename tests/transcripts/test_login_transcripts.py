"""Conversations before the login: in memory under all cuts, on our processes, on Dovecot."""

import socket
from pathlib import Path

import pytest

from tests.support import runner
from tests.support.fixtures import Servers
from tests.support.login_memory import REMOTE, LoginMemoryHarness
from tests.support.memory import CUTS
from tests.support.transcript import Transcript, parse
from tests.support.wire import WireConnection, WireHarness

HERE = Path(__file__).parent
FILES = sorted(
    path.relative_to(HERE).as_posix()
    for kind in ("imap", "pop3")
    for path in HERE.glob(f"{kind}-login/*.{kind}")
)
# Failed logins would make the next ones from the same address slow; no part of what is compared.
NO_PENALTY = "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"


def load(name: str, label: str) -> Transcript:
    """Parse, and skip by name what is not for this harness."""
    transcript = parse(HERE / name)
    if transcript.only and label not in transcript.only:
        pytest.skip(f"{name} is only for {' '.join(sorted(transcript.only))}")
    if label in transcript.skip:
        pytest.skip(f"{name}: {transcript.skip[label]}")
    return transcript


class RemoteConnection(WireConnection):
    """A client that is not on this host, as far as the server can see."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(REMOTE, 0))


class LoginWireHarness(WireHarness):
    """Transcripts that begin with the greeting; *.remote.* from another address than the server's."""

    def open(self, conn: int) -> WireConnection:
        if ".remote." not in self._transcript.path.name:
            return super().open(conn)
        imap = self._transcript.protocol == "imap"
        return RemoteConnection(self._server.imap if imap else self._server.pop3)


@pytest.mark.parametrize("name", FILES)
def test_login_in_memory_under_all_cuts(name: str) -> None:
    transcript = load(name, "memory")
    for cut in CUTS:
        runner.play(transcript, LoginMemoryHarness(transcript, cut))


def _play(name: str, program: str, servers: Servers) -> None:
    transcript = load(name, program)
    server = servers.get(program, NO_PENALTY + "".join(f"{line}\n" for line in transcript.settings))
    runner.play(transcript, LoginWireHarness(server, transcript))


@pytest.mark.process
@pytest.mark.parametrize("name", FILES)
def test_login_over_the_process_tree(name: str, servers: Servers) -> None:
    _play(name, "ours", servers)


@pytest.mark.compat
@pytest.mark.parametrize("name", FILES)
def test_login_on_dovecot(name: str, servers: Servers) -> None:
    _play(name, "dovecot", servers)

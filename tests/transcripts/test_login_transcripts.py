"""Conversations before the login: in memory under all cuts, on our processes, on Dovecot."""

import socket
from pathlib import Path

import pytest

from tests.support import runner
from tests.support.fixtures import Servers
from tests.support.login_memory import REMOTE, LoginMemoryHarness
from tests.support.memory import CUTS
from tests.support.serverconf import NO_PENALTY
from tests.support.transcript import parse
from tests.support.wire import WireConnection, WireHarness

HERE = Path(__file__).parent
FILES = sorted(
    path.relative_to(HERE).as_posix()
    for kind in ("imap", "pop3")
    for path in HERE.glob(f"{kind}-login/*.{kind}")
)
# Failed logins would make the next ones from the same address slow; no part of what is compared.


def files_for(label: str) -> list[str]:
    """What this harness can play: STARTTLS needs sockets, and a reset loses Dovecot's last word."""
    names = []
    for name in FILES:
        transcript = parse(HERE / name)
        if label not in transcript.skip and (not transcript.only or label in transcript.only):
            names.append(name)
    return names


class RemoteConnection(WireConnection):
    """A client that is not on this host, as far as the server can see."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(REMOTE, 0))


class LoginWireHarness(WireHarness):
    """Transcripts that begin with the greeting; *.remote.* from another address than the server's."""

    def open(self, conn: int) -> WireConnection:
        if ".remote." not in self._transcript.path.name:
            return super().open(conn)
        imap = self._transcript.protocol == "imap"
        return RemoteConnection(self._server.imap if imap else self._server.pop3)


@pytest.mark.parametrize("name", files_for("memory"))
def test_login_in_memory_under_all_cuts(name: str) -> None:
    transcript = parse(HERE / name)
    for cut in CUTS:
        runner.play(transcript, LoginMemoryHarness(transcript, cut))


def _play(name: str, program: str, servers: Servers) -> None:
    transcript = parse(HERE / name)
    server = servers.get(program, NO_PENALTY + "".join(f"{line}\n" for line in transcript.settings))
    runner.play(transcript, LoginWireHarness(server, transcript))


@pytest.mark.process
@pytest.mark.parametrize("name", files_for("ours"))
def test_login_over_the_process_tree(name: str, servers: Servers) -> None:
    _play(name, "ours", servers)


@pytest.mark.compat
@pytest.mark.parametrize("name", files_for("dovecot"))
def test_login_on_dovecot(name: str, servers: Servers) -> None:
    _play(name, "dovecot", servers)

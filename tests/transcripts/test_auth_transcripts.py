"""The conversations of tests/transcripts/auth, in memory, with our process tree and with Dovecot."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import authlab
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.serverconf import ServerDir

SCRIPTS = list(authlab.scripts())
Start = Callable[[str, str], authlab.SocketAuth]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("cut", [0, 1, 7], ids=["whole", "bytes", "sevens"])
def test_in_memory(script: Path, cut: int, tmp_path: Path) -> None:
    conf = authlab.conf_of(authlab.conf_name(script), tmp_path)
    authlab.Player(script, authlab.MemoryAuth(conf, cut=cut)).play()


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """`start(program, conf name)`: a running server, kept for the other scripts of that @conf."""
    running: dict[tuple[str, str], tuple[Cluster | DovecotInstance, authlab.SocketAuth]] = {}

    def get(program: str, conf: str) -> authlab.SocketAuth:
        if (program, conf) not in running:
            place = ServerDir.make()
            text = authlab.conf_of(conf, place.root)
            made: Cluster | DovecotInstance
            if program == "dovecot":
                made = DovecotInstance(text, static_users=False, place=place)
            else:
                made = Cluster(text, static_users=False, place=place)
            made.start()
            running[program, conf] = (made, authlab.SocketAuth(program, place.run, place.log_text))
        return running[program, conf][1]

    yield get
    for server, _ in running.values():
        server.close()


@pytest.mark.process
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_ours(script: Path, start: Start) -> None:
    authlab.Player(script, start("ours", authlab.conf_name(script))).play()


@pytest.mark.compat
@pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_dovecot(script: Path, start: Start) -> None:
    authlab.Player(script, start("dovecot", authlab.conf_name(script))).play()

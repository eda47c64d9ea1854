"""No capability without its behaviour: the words that clients are told, held together with their proofs.

The table is tests/support/capabilitywords.py. Each row is proved, and proved again with its behaviour taken
away, which must fail: so the proof looks at the behaviour, and the word cannot outlive it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pydovecot.plugins.imap_quota import plugin as imap_quota
from pydovecot.sasl.registry import MECHANISMS
from pydovecot.services.imap.capability import CAPABILITIES
from pydovecot.services.imap_login import client as imap_login
from pydovecot.services.pop3 import commands as pop3
from pydovecot.services.pop3_login import client as pop3_login
from tests.support import authlab, runner
from tests.support.capabilitywords import AFTER_LOGIN, BEFORE_LOGIN, POP3, Row
from tests.support.login_memory import LoginMemoryHarness, login_client
from tests.support.memory import MemoryHarness, whole
from tests.support.transcript import parse

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
ROWS = (*AFTER_LOGIN, *BEFORE_LOGIN, *POP3)


def prove(row: Row) -> None:
    """AssertionError when the word is not true."""
    if not isinstance(row.proof, str):
        row.proof()
        return
    transcript = parse(TRANSCRIPTS / row.proof)
    assert not transcript.only or "memory" in transcript.only, f"{row.proof} is not for memory"
    login = transcript.path.parent.name.endswith("-login")
    harness = LoginMemoryHarness(transcript, whole) if login else MemoryHarness(transcript, whole)
    try:
        runner.play(transcript, harness)
    finally:
        harness.close()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_word_is_true(row: Row) -> None:
    prove(row)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_it_is_not_without_its_behaviour(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    row.take_away(monkeypatch)
    with pytest.raises(AssertionError):
        prove(row)


def imap_words() -> Iterator[str]:
    """All that IMAP clients may be told, whatever the settings; AUTH= has a test of its own."""
    yield from CAPABILITIES
    yield "LITERAL-"
    yield imap_quota.CAPABILITY
    yield from imap_login.CAPABILITIES.split()
    for settings in ({}, {"ssl": "required", "disable_plaintext_auth": "yes"}, {"imap_literal_minus": "yes"}):
        client, host, _ = login_client("imap", settings, remote="127.0.0.2")
        client.auth_ready()
        told = bytes(host.output).decode().partition("[CAPABILITY ")[2].partition("]")[0]
        yield from (word for word in told.split() if not word.startswith("AUTH="))


def pop3_words() -> Iterator[str]:
    """The first word of each line that CAPA may give."""
    yield from pop3.CAPABILITY.decode().split()
    client, host, _ = login_client("pop3", {"disable_plaintext_auth": "no"})
    client.auth_ready()
    host.output.clear()
    client.feed(b"CAPA\r\n")
    assert pop3_login.CAPABILITIES.encode() in host.output
    yield from (line.split()[0] for line in bytes(host.output).decode().splitlines()[1:-1])


def test_every_word_has_a_row() -> None:
    told = set(imap_words())
    assert {"IDLE", "LITERAL+", "STARTTLS", "LOGINDISABLED"} <= told  # the net catches something
    proved = {row.word for row in (*AFTER_LOGIN, *BEFORE_LOGIN)}
    assert told - proved == set(), "told to clients without a row in tests/support/capabilitywords.py"
    assert proved - told == set(), "rows of words that nobody is told"


def test_every_line_of_capa_has_a_row() -> None:
    told, proved = set(pop3_words()), {row.word for row in POP3}
    assert {"TOP", "STLS", "USER", "SASL"} <= told
    assert told == proved


def conversations(mechanism: str) -> list[Path]:
    """The scripts of tests/transcripts/auth that use a mechanism."""
    return [path for path in authlab.scripts() if f"\\t{mechanism}\\t" in path.read_text()]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism_has_a_conversation(
    mechanism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That fails when the name stands for another mechanism."""
    scripts = conversations(mechanism)
    assert scripts, f"no script in tests/transcripts/auth speaks {mechanism}"
    other = MECHANISMS["LOGIN" if mechanism == "APOP" else "APOP"]
    mine = MECHANISMS[mechanism]
    monkeypatch.setitem(MECHANISMS, mechanism, replace(mine, run=other.run))
    conf = authlab.conf_of(authlab.conf_name(scripts[0]), tmp_path)
    with pytest.raises(AssertionError):
        authlab.Player(scripts[0], authlab.MemoryAuth(conf, cut=0)).play()

"""The capabilities that clients are told, word by word and in the order of Dovecot's."""

import imaplib

import pytest

from pydovecot.services.imap.capability import OWN
from tests.support.fixtures import Servers
from tests.support.serverconf import PASSWORD

pytestmark = [pytest.mark.compat, pytest.mark.process]

# What Dovecot 2.3.19 has and we do not: a word goes from here as soon as it works.
NOT_YET = ("URL-PARTIAL", "CATENATE", "CONTEXT=SEARCH", "NOTIFY")

SETTINGS = {
    "plain": "",
    "special use": "namespace inbox {\n  mailbox Sent {\n    special_use = \\Sent\n  }\n}\n",
    "literal minus": "imap_literal_minus = yes\n",
    "added": "imap_capability = +XONE XTWO\n",
    "own": "imap_capability = IMAP4rev1 XONE\n",
}


def told(servers: Servers, program: str, extra: str) -> tuple[str, list[str]]:
    """The greeting, and the words after the login."""
    with imaplib.IMAP4("127.0.0.1", servers.get(program, extra).imap, timeout=60) as client:
        greeting = client.welcome.decode()
        client.login("capability", PASSWORD)
        status, lines = client.capability()
        assert status == "OK"
        return greeting, lines[-1].decode().split()


@pytest.mark.parametrize("extra", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_same_words_and_then_ours(servers: Servers, extra: str) -> None:
    greeting, ours = told(servers, "ours", extra)
    their_greeting, theirs = told(servers, "dovecot", extra)
    assert greeting.partition("]")[0] == their_greeting.partition("]")[0]
    if "= IMAP4rev1" in extra:
        assert ours == theirs
        return
    expected = [word for word in theirs if word not in NOT_YET]
    assert set(NOT_YET) <= set(theirs)
    assert not set(OWN) & set(theirs)
    assert ours == [*expected, *OWN]

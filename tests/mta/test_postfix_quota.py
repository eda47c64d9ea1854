"""Postfix asks quota-status before it takes a message, as docs/postfix.md says; LMTP has the last word."""

import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mta.virtual import VirtualHost, virtual_host
from tests.support.postfix import postfix_missing

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(bool(postfix_missing()), reason=postfix_missing() or "installed"),
]
DOVECOT_CONF = """
mail_plugins = quota
protocol imap {{
  mail_plugins = $mail_plugins imap_quota
}}
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=10k
  quota_status_success = DUNNO
  quota_status_nouser = DUNNO
  quota_status_overquota = "552 5.2.2 Mailbox is full"
}}
service quota-status {{
  executable = quota-status -p postfix
  unix_listener {root}/quota-status {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
"""
MAIN_CF = "smtpd_recipient_restrictions = check_policy_service unix:{root}/quota-status\n"
MESSAGE = b"From: a@elsewhere.test\r\nTo: alice@example.test\r\nSubject: %d\r\n\r\n" + b"x" * 900 + b"\r\n"


@pytest.fixture(scope="module")
def host() -> Iterator[VirtualHost]:
    with virtual_host(DOVECOT_CONF, MAIN_CF) as made:
        yield made


def counted(maildir: Path) -> int:
    """Messages in maildirsize; 0 when there is none yet."""
    try:
        lines = (maildir / "maildirsize").read_text().splitlines()[1:]
    except FileNotFoundError:
        return 0
    return sum(int(line.split()[1]) for line in lines)


def test_the_sender_is_told_at_once(host: VirtualHost) -> None:
    maildir = host.server.place.maildir("alice@example.test")
    with smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60) as client:
        client.ehlo("client.test")
        for number in range(20):
            client.mail("a@elsewhere.test")
            code, text = client.rcpt("alice@example.test")
            if code != 250:
                break
            assert client.data(MESSAGE % number)[0] == 250
            deadline = time.monotonic() + 60
            # Counted, too: that is what the next sender is refused by.
            while counted(maildir) <= number and time.monotonic() < deadline:
                time.sleep(0.02)
        assert (code, b"5.2.2" in text, b"Mailbox is full" in text) == (552, True, True)
        assert 5 <= number <= 10  # of a kilobyte and their trace fields
        client.rset()
        client.mail("a@elsewhere.test")
        assert client.rcpt("bob@example.test")[0] == 250  # who has room
    assert (maildir / "maildirsize").read_text().splitlines()[0] == "10240S"
    assert counted(maildir) == number

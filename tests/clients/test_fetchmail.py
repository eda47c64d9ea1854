"""fetchmail: takes all mail away by IMAP and POP3, APOP, TLS and STARTTLS."""

from pathlib import Path

import pytest

from tests.support.clients import PASSWORD, Account, Site, digests, need, run_client

pytestmark = [pytest.mark.process, pytest.mark.clients]

# name: protocol, port attribute, options of the user line
WAYS = {
    "imap": ("imap", "imap", "sslproto ''"),
    "imap starttls": ("imap", "imap", "sslproto 'TLS1.2+' no sslcertck"),
    "imaps": ("imap", "imaps", "ssl no sslcertck"),
    "pop3": ("pop3", "pop3", "sslproto ''"),
    "pop3 starttls": ("pop3", "pop3", "sslproto 'TLS1.2+' no sslcertck"),
    "pop3s": ("pop3", "pop3s", "ssl no sslcertck"),
    "apop": ("apop", "pop3", "sslproto ''"),
}


def fetchmail(account: Account, way: str, cwd: Path, options: str, server: str = "") -> list[bytes]:
    """What one run brings."""
    protocol, port, security = WAYS[way]
    inbox = cwd / "got"
    inbox.mkdir(exist_ok=True)
    deliver = cwd / "deliver"
    deliver.write_text(f'#!/bin/sh\nexec cat > "$(mktemp {inbox}/mail.XXXXXX)"\n')
    deliver.chmod(0o755)
    rc = cwd / "fetchmailrc"
    rc.touch(mode=0o600)
    rc.write_text(
        f"set invisible\n"
        f"poll 127.0.0.1 service {getattr(account.site, port)} protocol {protocol} {server}\n"
        f'  user "{account.name}" password "{PASSWORD}" {security}\n'
        f'  mda "{deliver}" no rewrite {options}\n'
    )
    # 1: there was no mail
    run_client(need("fetchmail"), "-f", str(rc), "--pidfile", str(cwd / "pid"), "-v", cwd=cwd, ok=(0, 1))
    return [path.read_bytes() for path in inbox.iterdir()]


@pytest.mark.parametrize("way", WAYS)
def test_fetchmail_takes_everything(site: Site, tmp_path: Path, way: str) -> None:
    account = site.account(known=way == "apop")
    got = fetchmail(account, way, tmp_path, "fetchall nokeep")
    assert digests(got) == digests(account.inbox)
    assert account.bodies_on_server() == []


@pytest.mark.parametrize("way", ["imap", "pop3"])
def test_fetchmail_leaves_mail_and_comes_for_the_new(site: Site, tmp_path: Path, way: str) -> None:
    account = site.account()
    uidl = "uidl" if way == "pop3" else ""
    first = fetchmail(account, way, tmp_path, "keep", uidl)
    assert digests(first) == digests(account.inbox)
    account.deliver(b"Subject: later\r\n\r\nlate\r\n")
    second = fetchmail(account, way, tmp_path, "keep", uidl)
    assert digests(second) == digests([*account.inbox, b"Subject: later\r\n\r\nlate\r\n"])
    assert len(account.bodies_on_server()) == len(account.inbox) + 1

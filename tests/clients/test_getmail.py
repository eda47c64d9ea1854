"""getmail6: fetches by POP3 and IMAP, remembers what it has by UIDL and UID, deletes when told."""

import re
from pathlib import Path

import pytest

from tests.support.clients import PASSWORD, Account, Site, digests, need, run_client

pytestmark = [pytest.mark.process, pytest.mark.clients]

# getmail writes these itself, the second one into messages that do not say where they come from.
OWN_HEADERS = re.compile(rb"^(?:X-getmail-retrieved-from-mailbox: .*|Return-Path: <unknown>)\n", re.MULTILINE)
# name: retriever, port attribute, more lines of it
WAYS = {
    "pop3": ("SimplePOP3Retriever", "pop3", ""),
    "pop3 apop": ("SimplePOP3Retriever", "pop3", "use_apop = true\n"),
    "pop3s": ("SimplePOP3SSLRetriever", "pop3s", ""),
    "imap": ("SimpleIMAPRetriever", "imap", ""),
    "imap peek": ("SimpleIMAPRetriever", "imap", "use_peek = true\n"),
    "imaps": ("SimpleIMAPSSLRetriever", "imaps", ""),
    "imap two folders": ("SimpleIMAPRetriever", "imap", 'mailboxes = ("INBOX", "Work")\n'),
}


def getmail(account: Account, way: str, cwd: Path, options: str) -> list[bytes]:
    """All messages that all runs so far have brought."""
    kind, port, more = WAYS[way]
    (cwd / "got").mkdir(exist_ok=True)
    deliver = cwd / "deliver"
    deliver.write_text(f'#!/bin/sh\nexec cat > "$(mktemp {cwd}/got/mail.XXXXXX)"\n')
    deliver.chmod(0o755)
    config = cwd / "getmailrc"
    config.touch(mode=0o600)
    config.write_text(
        f"[retriever]\ntype = {kind}\nserver = localhost\nport = {getattr(account.site, port)}\n"
        f"username = {account.name}\npassword = {PASSWORD}\n{more}\n"
        f"[destination]\ntype = MDA_external\npath = {deliver}\nallow_root_commands = true\n\n"
        f"[options]\ndelivered_to = false\nreceived = false\nverbose = 2\n{options}"
    )
    run_client(need("getmail"), "--getmaildir", str(cwd), "--rcfile", str(config), cwd=cwd)
    return [OWN_HEADERS.sub(b"", path.read_bytes()) for path in (cwd / "got").iterdir()]


@pytest.mark.parametrize("way", WAYS)
def test_getmail_takes_everything(site: Site, tmp_path: Path, way: str) -> None:
    account = site.account(known="apop" in way)
    wanted = [*account.inbox, *(account.work if "folders" in way else [])]
    assert digests(getmail(account, way, tmp_path, "delete = true\n")) == digests(wanted)
    assert account.bodies_on_server() == []
    assert len(account.bodies_on_server("Work")) == (0 if "folders" in way else len(account.work))


@pytest.mark.parametrize("way", ["pop3", "imap"])
def test_getmail_leaves_mail_and_comes_for_the_new(account: Account, tmp_path: Path, way: str) -> None:
    options = "delete = false\nread_all = false\n"
    assert digests(getmail(account, way, tmp_path, options)) == digests(account.inbox)
    later = b"Subject: later\r\n\r\n..late\r\n"
    account.deliver(later)
    assert digests(getmail(account, way, tmp_path, options)) == digests([*account.inbox, later])
    assert len(account.bodies_on_server()) == len(account.inbox) + 1


def test_getmail_deletes_what_it_has_had_before(account: Account, tmp_path: Path) -> None:
    """DELE without RETR, of messages whose UIDLs an earlier run has kept."""
    getmail(account, "pop3", tmp_path, "delete = false\nread_all = false\n")
    getmail(account, "pop3", tmp_path, "delete = true\nread_all = false\ndelete_bigger_than = 0\n")
    assert len(list((tmp_path / "got").iterdir())) == len(account.inbox)
    assert account.bodies_on_server() == []

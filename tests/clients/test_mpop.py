"""mpop: fetches by POP3 with UIDLs that it remembers, PIPELINING, TLS and STLS."""

from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.clients import PASSWORD, Account, digests, maildir_messages, need, run_client

pytestmark = [pytest.mark.process, pytest.mark.clients]

# name: port attribute, lines of the configuration
WAYS = {
    "plain": ("pop3", "auth user\ntls off\n"),
    "sasl plain": ("pop3", "auth plain\ntls off\n"),
    "sasl login": ("pop3", "auth login\ntls off\n"),
    "one command at a time": ("pop3", "auth user\ntls off\npipelining off\n"),
    "stls": ("pop3", "auth user\ntls on\ntls_starttls on\ntls_trust_file cert.pem\n"),
    "tls": ("pop3s", "auth user\ntls on\ntls_starttls off\ntls_trust_file cert.pem\n"),
}


def mpop(account: Account, way: str, cwd: Path, more: str = "") -> list[bytes]:
    """All messages that all runs so far have brought."""
    port, security = WAYS[way]
    for name in ("cur", "new", "tmp"):
        (cwd / "got" / name).mkdir(parents=True, exist_ok=True)
    (cwd / "cert.pem").write_bytes(shared_certificate().cert.read_bytes())
    config = cwd / "mpoprc"
    config.touch(mode=0o600)
    config.write_text(
        f"account default\nhost localhost\nport {getattr(account.site, port)}\nuser {account.name}\n"
        f"password {PASSWORD}\ndelivery maildir got\nuidls_file {cwd}/uidls\nreceived_header off\n"
        f"{security}{more}"
    )
    run_client(need("mpop"), "-C", "mpoprc", "-q", cwd=cwd)
    return maildir_messages(cwd / "got")


@pytest.mark.parametrize("way", WAYS)
def test_mpop_takes_everything(account: Account, tmp_path: Path, way: str) -> None:
    assert digests(mpop(account, way, tmp_path, "keep off\n")) == digests(account.inbox)
    assert account.bodies_on_server() == []


def test_mpop_leaves_mail_and_comes_for_the_new(account: Account, tmp_path: Path) -> None:
    assert digests(mpop(account, "plain", tmp_path, "keep on\n")) == digests(account.inbox)
    later = b"Subject: later\r\n\r\n.late\r\n"
    account.deliver(later)
    assert digests(mpop(account, "plain", tmp_path, "keep on\n")) == digests([*account.inbox, later])
    assert len(account.bodies_on_server()) == len(account.inbox) + 1


def test_mpop_looks_at_headers_only(account: Account, tmp_path: Path) -> None:
    """TOP and DELE: what the filter says is spam goes away unread."""
    account.deliver(b"Subject: spam\r\n\r\nbuy\r\n")
    (tmp_path / "filter").write_text("#!/bin/sh\n! grep '^Subject: spam' >/dev/null\n")
    (tmp_path / "filter").chmod(0o755)
    got = mpop(account, "plain", tmp_path, f"keep off\nfilter {tmp_path}/filter\n")
    assert digests(got) == digests(account.inbox)
    assert account.bodies_on_server() == []

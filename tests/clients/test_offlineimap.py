"""offlineimap: the same mail on both sides after changes on either."""

from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.clients import PASSWORD, Account, digests, maildir_messages, need, run_client
from tests.support.mailgen import generate

pytestmark = [pytest.mark.process, pytest.mark.clients]


def offlineimap(account: Account, cwd: Path, tls: bool) -> None:
    port = account.site.imaps if tls else account.site.imap
    trusted = f"ssl = yes\nsslcacertfile = {shared_certificate().cert}\n"
    security = trusted if tls else "ssl = no\nstarttls = no\n"
    (cwd / "rc").write_text(
        f"[general]\naccounts = a\nmetadata = {cwd}/meta\n"
        f"[Account a]\nlocalrepository = l\nremoterepository = r\n"
        f"[Repository l]\ntype = Maildir\nlocalfolders = {cwd}/mail\n"
        f"[Repository r]\ntype = IMAP\nremotehost = localhost\nremoteport = {port}\n"
        f"remoteuser = {account.name}\nremotepass = {PASSWORD}\nauth_mechanisms = PLAIN, LOGIN\n{security}"
    )
    run_client(need("offlineimap"), "-c", "rc", "-u", "basic", "-o", cwd=cwd, timeout=120)


def without_header(body: bytes) -> bytes:
    """offlineimap adds X-OfflineIMAP to what it uploads to servers without UIDPLUS."""
    return b"".join(line for line in body.splitlines(keepends=True) if not line.startswith(b"X-OfflineIMAP:"))


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_both_ways(account: Account, tmp_path: Path, tls: bool) -> None:
    offlineimap(account, tmp_path, tls)
    inbox = tmp_path / "mail" / "INBOX"
    assert digests(maildir_messages(inbox)) == digests(account.inbox)
    assert digests(maildir_messages(tmp_path / "mail" / "Work")) == digests(account.work)

    mine, theirs = generate(61, 2)
    (inbox / "new" / "1.mine").write_bytes(mine.replace(b"\r\n", b"\n"))
    account.deliver(theirs)
    read = next(path for path in (inbox / "new").iterdir() if path.name != "1.mine")
    read.rename(inbox / "cur" / f"{read.name.partition(':2,')[0]}:2,S")
    offlineimap(account, tmp_path, tls)

    here = [without_header(body) for body in maildir_messages(inbox)]
    there = [without_header(body) for body in account.bodies_on_server()]
    assert digests(here) == digests([*account.inbox, mine, theirs])
    assert digests(there) == digests(here)
    assert sum(b"\\Seen" in head for head, _ in account.on_server()) == 1

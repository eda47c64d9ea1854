"""curl: fetch, list and file mail by URL, over IMAP and POP3, with and without TLS."""

from pathlib import Path

import pytest

from tests.support.clients import PASSWORD, Account, digest, digests, need, run_client
from tests.support.mailgen import generate

pytestmark = [pytest.mark.process, pytest.mark.clients]

IMAP_URLS = {"plain": ("imap", "imap", ()), "starttls": ("imap", "imap", ("--ssl-reqd", "-k")),
             "tls": ("imaps", "imaps", ("-k",))}  # fmt: skip
POP3_URLS = {"plain": ("pop3", "pop3", ()), "starttls": ("pop3", "pop3", ("--ssl-reqd", "-k")),
             "tls": ("pop3s", "pop3s", ("-k",))}  # fmt: skip


def curl(account: Account, *args: str, cwd: Path) -> bytes:
    return run_client(need("curl"), "-sS", "-u", f"{account.name}:{PASSWORD}", *args, cwd=cwd)


def fetch_all(account: Account, *options_and_base: str, cwd: Path, separator: str) -> None:
    """Every message of INBOX in one run, over one connection."""
    *options, base = options_and_base
    url = f"{base}{separator}[1-{len(account.inbox)}]"
    curl(account, *options, "-o", f"{cwd}/got#1", url, cwd=cwd)
    got = [(cwd / f"got{number}").read_bytes() for number in range(1, len(account.inbox) + 1)]
    assert list(map(digest, got)) == list(map(digest, account.inbox))


@pytest.mark.parametrize("how", IMAP_URLS)
def test_imap_fetches_every_message(account: Account, tmp_path: Path, how: str) -> None:
    scheme, port, options = IMAP_URLS[how]
    base = f"{scheme}://127.0.0.1:{getattr(account.site, port)}"
    fetch_all(account, *options, f"{base}/INBOX;MAILINDEX", cwd=tmp_path, separator="=")
    assert b"Work" in curl(account, *options, f"{base}/", cwd=tmp_path)


def test_imap_upload(account: Account, tmp_path: Path) -> None:
    body = next(generate(77, 1))
    (tmp_path / "new.eml").write_bytes(body)
    curl(account, "-T", "new.eml", f"imap://127.0.0.1:{account.site.imap}/INBOX", cwd=tmp_path)
    assert digest(body) in digests(account.bodies_on_server())


@pytest.mark.parametrize("how", POP3_URLS)
def test_pop3_fetches_every_message(account: Account, tmp_path: Path, how: str) -> None:
    scheme, port, options = POP3_URLS[how]
    base = f"{scheme}://127.0.0.1:{getattr(account.site, port)}"
    listing = curl(account, *options, f"{base}/", cwd=tmp_path)
    assert len(listing.split(b"\r\n")) - 1 == len(account.inbox)
    fetch_all(account, *options, base, cwd=tmp_path, separator="/")

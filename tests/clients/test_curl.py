"""curl: fetch, list and file mail by URL, over IMAP and POP3, with and without TLS."""

from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.clients import PASSWORD, Account, Site, digest, digests, need, run_client
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


SECURE = {
    "imap": ("imap", ("--ssl-reqd",)),
    "imaps": ("imaps", ()),
    "pop3": ("pop3", ("--ssl-reqd",)),
    "pop3s": ("pop3s", ()),
}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("scheme", SECURE)
def test_tls_versions(account: Account, tmp_path: Path, scheme: str, version: str) -> None:
    """Just that version, and a certificate that curl checks."""
    port, options = SECURE[scheme]
    words = (*options, "--cacert", str(shared_certificate().cert), f"--tlsv{version}", "--tls-max", version)
    where = "/INBOX;MAILINDEX=1" if port.startswith("imap") else "/1"
    body = curl(account, *words, f"{scheme}://localhost:{getattr(account.site, port)}{where}", cwd=tmp_path)
    assert digest(body) == digest(account.inbox[0])


def test_old_tls_is_refused(account: Account, tmp_path: Path) -> None:
    command = (need("curl"), "-sS", "-k", "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")
    url = f"imaps://localhost:{account.site.imaps}/"
    run_client(*command, "-u", f"{account.name}:{PASSWORD}", url, cwd=tmp_path, ok=(35,))


MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5"]


@pytest.mark.parametrize("initial", [(), ("--sasl-ir",)], ids=["ask", "sasl-ir"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("scheme", ["imap", "pop3"])
def test_mechanisms(
    site: Site, tmp_path: Path, scheme: str, mechanism: str, initial: tuple[str, ...]
) -> None:
    account = site.account()
    base = f"{scheme}://127.0.0.1:{getattr(site, scheme)}/"
    options = (*initial, "--login-options", f"AUTH={mechanism}")
    if site.real_users and mechanism == "CRAM-MD5":  # PAM cannot do it, so it is not offered
        user = f"{account.name}:{PASSWORD}"
        run_client(need("curl"), "-sS", "-u", user, *options, base, cwd=tmp_path, ok=(67,))
        return
    listing = curl(account, *options, base, cwd=tmp_path)
    assert b"Work" in listing if scheme == "imap" else listing.count(b"\r\n") == len(account.inbox)


def test_imap_urls_and_commands(account: Account, tmp_path: Path) -> None:
    """UID, SECTION and a search in the URL; commands by -X."""
    base = f"imap://127.0.0.1:{account.site.imap}"
    head = curl(account, f"{base}/INBOX;UID=3/;SECTION=HEADER", cwd=tmp_path)
    assert account.inbox[2].startswith(head.rstrip(b"\r\n"))
    assert curl(account, f"{base}/INBOX?ALL", cwd=tmp_path).split()[2:] == [
        b"%d" % number for number in range(1, len(account.inbox) + 1)
    ]
    curl(account, "-X", "STORE 2 +FLAGS (\\Deleted)", f"{base}/INBOX", cwd=tmp_path)
    assert b"EXPUNGE" in curl(account, "-X", "EXPUNGE", f"{base}/INBOX", cwd=tmp_path)
    curl(account, "-X", "CREATE Made", f"{base}/", cwd=tmp_path)
    assert b"Made" in curl(account, "-X", 'LIST "" *', f"{base}/", cwd=tmp_path)
    assert digests(account.bodies_on_server()) == digests([*account.inbox[:1], *account.inbox[2:]])


def test_pop3_commands(account: Account, tmp_path: Path) -> None:
    base = f"pop3://127.0.0.1:{account.site.pop3}"
    uidls = curl(account, "-X", "UIDL", f"{base}/", cwd=tmp_path).split()[1::2]
    assert len(set(uidls)) == len(account.inbox)
    top = curl(account, "-X", "TOP 2 0", f"{base}/", cwd=tmp_path)
    assert account.inbox[1].startswith(top.rstrip(b"\r\n"))
    curl(account, "-X", "DELE", "-I", f"{base}/2", cwd=tmp_path)
    assert digests(account.bodies_on_server()) == digests([*account.inbox[:1], *account.inbox[2:]])

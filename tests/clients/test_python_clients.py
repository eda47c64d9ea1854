"""Python's imaplib and poplib: everything both ways, on all ports."""

import imaplib
import poplib
import ssl
from collections.abc import Callable

import pytest

from tests.support.clients import PASSWORD, Account, Site, digests
from tests.support.mailgen import generate

pytestmark = [pytest.mark.process, pytest.mark.clients]


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def imap_plain(site: Site) -> imaplib.IMAP4:
    return imaplib.IMAP4("127.0.0.1", site.imap, timeout=60)


def imap_starttls(site: Site) -> imaplib.IMAP4:
    client = imap_plain(site)
    client.starttls(trusting())
    return client


def imap_tls(site: Site) -> imaplib.IMAP4:
    return imaplib.IMAP4_SSL("127.0.0.1", site.imaps, ssl_context=trusting(), timeout=60)


@pytest.fixture(autouse=True)
def _long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """poplib refuses lines above 2048 octets, which mail does have."""
    monkeypatch.setattr(poplib, "_MAXLINE", 100_000)


def pop3_plain(site: Site) -> poplib.POP3:
    return poplib.POP3("127.0.0.1", site.pop3, timeout=60)


def pop3_starttls(site: Site) -> poplib.POP3:
    client = pop3_plain(site)
    client.stls(trusting())
    return client


def pop3_tls(site: Site) -> poplib.POP3:
    return poplib.POP3_SSL("127.0.0.1", site.pop3s, context=trusting(), timeout=60)


@pytest.mark.parametrize("connect", [imap_plain, imap_starttls, imap_tls])
def test_imaplib(account: Account, connect: Callable[[Site], imaplib.IMAP4]) -> None:
    client = connect(account.site)
    assert client.login(account.name, PASSWORD)[0] == "OK"
    assert client.select()[1] == [str(len(account.inbox)).encode()]
    _, answer = client.fetch("1:*", "(BODY.PEEK[])")
    assert digests([part[1] for part in answer if isinstance(part, tuple)]) == digests(account.inbox)
    new = list(generate(5, 2))
    assert client.create("Other")[0] == "OK"
    for body in new:
        assert client.append("Other", r"(\Seen)", None, body)[0] == "OK"
    assert client.copy("1:3", "Other")[0] == "OK"
    client.store("1", "+FLAGS", r"(\Deleted)")
    assert client.expunge()[1] == [b"1"]
    assert client.search(None, "DELETED")[1] == [b""]
    client.logout()
    assert digests(account.bodies_on_server("Other")) == digests([*new, *account.inbox[:3]])
    assert digests(account.bodies_on_server()) == digests(account.inbox[1:])
    assert all(rb"\Seen" in head for head, _ in account.on_server("Other")[:2])


@pytest.mark.parametrize("connect", [pop3_plain, pop3_starttls, pop3_tls])
def test_poplib(account: Account, connect: Callable[[Site], poplib.POP3]) -> None:
    client = connect(account.site)
    client.user(account.name)
    client.pass_(PASSWORD)
    count, size = client.stat()
    assert count == len(account.inbox)
    assert size == sum(int(line.split()[1]) for line in client.list()[1])
    uidls = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(uidls)) == count
    got = [b"\r\n".join(client.retr(number)[1]) for number in range(1, count + 1)]
    assert digests(got) == digests(account.inbox)
    client.dele(2)
    client.quit()
    assert digests(account.bodies_on_server()) == digests([*account.inbox[:1], *account.inbox[2:]])


def test_poplib_apop(site: Site) -> None:
    account = site.account(known=True)
    client = pop3_plain(account.site)
    client.apop(account.name, PASSWORD)
    assert client.stat()[0] == len(account.inbox)
    client.quit()


def test_imaplib_cram_md5(site: Site) -> None:
    account = site.account(known=True)
    client = imap_plain(account.site)
    if site.real_users:
        # PAM cannot do it, so it is not configured, and the server must not offer it.
        assert not any("CRAM-MD5" in word for word in client.capabilities)
        client.logout()
        return
    assert client.login_cram_md5(account.name, PASSWORD)[0] == "OK"
    client.logout()

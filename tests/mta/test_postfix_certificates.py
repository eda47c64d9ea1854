"""Postfix and client certificates: EXTERNAL cannot work with it, certificates themselves can.

Postfix 3.7 tells the auth service `service nologin lip rip [secured] resp` and nothing of a certificate
(xsasl_dovecot_server.c), so EXTERNAL has no name to go by. Since 3.6 it offers EXTERNAL only if told so
(smtpd_sasl_mechanism_filter). Who may relay by a certificate, it decides itself: docs/postfix.md.
"""

import base64
import hashlib
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pydovecot.sasl.registry import MECHANISMS
from tests.mta.test_postfix_virtual import PASSWORD, USER
from tests.mta.virtual import VirtualHost, virtual_host
from tests.support.authority import Authority
from tests.support.cert import CertFiles, shared_certificate
from tests.support.postfix import postfix_missing

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(bool(postfix_missing()), reason=postfix_missing() or "installed"),
]
# Those that test_postfix_virtual relays with, and those that are nothing for Postfix.
RELAYING = {"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"}
CLOSED = {"ANONYMOUS", "EXTERNAL", "APOP"}
DOVECOT_CONF = """\
auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop anonymous external
auth_ssl_username_from_cert = yes
"""
MAIN_CF = """\
smtpd_tls_security_level = may
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_CAfile = {folder}/ca.pem
smtpd_tls_ask_ccert = yes
smtpd_tls_fingerprint_digest = sha256
relay_clientcerts = texthash:{folder}/relay_clientcerts
smtpd_relay_restrictions = permit_sasl_authenticated, permit_tls_clientcerts, reject_unauth_destination
"""


@dataclass
class Host:
    """A running host, and certificates of an authority that it trusts. `known` may relay."""

    virtual: VirtualHost
    known: CertFiles
    unknown: CertFiles

    def smtp(self, files: CertFiles | None) -> smtplib.SMTP:
        """A connection with TLS."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if files is not None:
            context.load_cert_chain(files.cert, files.key)
        client = smtplib.SMTP("127.0.0.1", self.virtual.postfix.port, timeout=60)
        client.starttls(context=context)
        client.ehlo("client.test")
        return client


def fingerprint(files: CertFiles) -> str:
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(files.cert.read_text())).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def started(folder: Path, more: str) -> Iterator[Host]:
    authority = Authority(folder)
    (folder / "ca.pem").write_bytes(authority.pem())
    known, unknown = authority.issue(USER), authority.issue("bob@example.test")
    (folder / "relay_clientcerts").write_text(f"{fingerprint(known)} {USER}\n")
    server = shared_certificate()
    main_cf = MAIN_CF.format(cert=server.cert, key=server.key, folder=folder)
    with virtual_host(DOVECOT_CONF, main_cf + more) as made:
        yield Host(made, known, unknown)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    yield from started(tmp_path_factory.mktemp("certs"), "")


@pytest.fixture(scope="module")
def offering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A Postfix that was told to offer whatever the auth service has."""
    yield from started(tmp_path_factory.mktemp("certs2"), "smtpd_sasl_mechanism_filter = static:rest\n")


def offered(client: smtplib.SMTP) -> set[str]:
    return set(client.esmtp_features["auth"].split())


def may_relay(client: smtplib.SMTP) -> bool:
    client.mail(USER)
    code, text = client.rcpt("somebody@other.test")
    assert code == 250 or b"Relay access denied" in text
    return bool(code == 250)


def test_every_mechanism_is_looked_at() -> None:
    assert set(MECHANISMS) == RELAYING | CLOSED


def test_postfix_offers_what_it_can_serve(host: Host) -> None:
    with host.smtp(None) as client:
        assert offered(client) == RELAYING
        for name in sorted(CLOSED):
            code, text = client.docmd("AUTH", f"{name} {base64.b64encode(b'x').decode()}")
            assert code == 535, (name, text)
        assert not may_relay(client)


def test_external_is_refused_even_with_a_certificate(offering: Host) -> None:
    # Not more often: the third would wait so long, as somebody who guesses, that Postfix gives up.
    for response in ("=", base64.b64encode(USER.encode()).decode()):
        with offering.smtp(offering.known) as client:
            assert "EXTERNAL" in offered(client)
            code, text = client.docmd("AUTH", f"EXTERNAL {response}")
            assert (code, b"authentication failed" in text) == (535, True), text
    offering.virtual.server.wait_log("external(?,127.0.0.1): username not known")


def test_a_certificate_that_postfix_knows_may_relay(host: Host) -> None:
    with host.smtp(host.known) as client:
        assert may_relay(client)
    for files in (None, host.unknown):
        with host.smtp(files) as client:
            assert not may_relay(client)


def test_a_password_is_as_good_with_a_certificate(host: Host) -> None:
    with host.smtp(host.unknown) as client:
        client.login(USER, PASSWORD)
        assert may_relay(client)

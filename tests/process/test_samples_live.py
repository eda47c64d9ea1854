"""The shipped sample configuration runs: login processes in fast mode, special-use mailboxes, TLS."""

import imaplib
import poplib
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cert import shared_certificate
from tests.support.cluster import Cluster

pytestmark = pytest.mark.process

SAMPLES = Path(__file__).parents[2] / "etc" / "dovecot"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    place = tmp_path_factory.mktemp("samples") / "dovecot"
    shutil.copytree(SAMPLES, place)
    cert = shared_certificate()
    local = f"ssl_cert = <{cert.cert}\nssl_key = <{cert.key}\nmail_location = memory:\n"
    (place / "local.conf").write_text(local)
    with Cluster(f"!include {place}/dovecot.conf\n") as running:
        yield running


def test_imap_with_the_mailboxes_of_the_sample(cluster: Cluster) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = imaplib.IMAP4_SSL("127.0.0.1", cluster.imaps, ssl_context=context, timeout=60)
    client.login("alice", "wonder")
    client.create("Trash")
    status, lines = client.list()
    assert status == "OK"
    assert any(b"\\Trash" in line for line in lines if isinstance(line, bytes))
    client.logout()


def test_pop3(cluster: Cluster) -> None:
    client = poplib.POP3("127.0.0.1", cluster.pop3, timeout=60)
    client.user("bob")
    client.pass_("wonder")
    assert client.stat() == (0, 0)
    client.quit()


def test_login_processes_stand_ready_and_stay(cluster: Cluster) -> None:
    before = set(cluster.pids("imap-login"))
    assert len(before) == 2
    for _ in range(5):
        with imaplib.IMAP4("127.0.0.1", cluster.imap, timeout=60) as client:
            client.login("carol", "wonder")
    assert set(cluster.pids("imap-login")) >= before

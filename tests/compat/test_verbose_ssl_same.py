"""verbose_ssl = yes: the steps of handshakes and the alerts in the log are Dovecot's."""

import re
import socket
import ssl
import time
from contextlib import suppress
from itertools import groupby

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing

pytestmark = [
    pytest.mark.compat,
    pytest.mark.process,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "-"),
]
WAIT_SECS = 60.0
CONF = "verbose_ssl = yes\nservice imap-login {\n  service_count = 0\n  process_min_avail = 1\n}\n"


def steps(server: Cluster | DovecotInstance, version: ssl.TLSVersion, trusted: bool) -> list[str]:
    """The lines of one handshake. Calls that found nothing to read (ret=-1) depend on the packets."""
    start = len(server.place.log_text())
    context = ssl.create_default_context()
    context.maximum_version = version
    if not trusted:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with (
        suppress(ssl.SSLError),
        socket.create_connection(("127.0.0.1", server.imaps), WAIT_SECS) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.recv(4096)
        sock.sendall(b"a logout\r\n")
        sock.recv(4096)
    end = time.monotonic() + WAIT_SECS
    while not re.search(r"imap-login: Info: Disconnected.*TLS", log := server.place.log_text()[start:]):
        assert time.monotonic() < end, log
        time.sleep(0.02)
    lines = re.findall(r"imap-login: Debug: (SSL(?: alert)?: where=.*)$", log, re.MULTILINE)
    return [line for line, _ in groupby(one for one in lines if "ret=-1" not in one)]


@pytest.mark.parametrize("trusted", [False, True], ids=["taken", "refused by the client"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_steps(version: ssl.TLSVersion, trusted: bool) -> None:
    with DovecotInstance(CONF) as dovecot:
        theirs = steps(dovecot, version, trusted)
    with Cluster(CONF) as cluster:
        ours = steps(cluster, version, trusted)
    assert ours == theirs
    assert ("fatal unknown CA" in "".join(ours)) == trusted

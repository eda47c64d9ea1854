"""Filters reach running processes: greetings by protocol and address, mail settings of a protocol."""

import imaplib
import socket
from collections.abc import Iterator

import pytest

from pydovecot.settings.client import fetch
from tests.support.cluster import Cluster

pytestmark = pytest.mark.process

EXTRA = """
mail_location = memory:
login_greeting = Everywhere.
protocol pop3 {
  login_greeting = Post office.
}
local 127.0.0.2 {
  login_greeting = Second address.
}
local 127.0.0.0/8 {
  protocol pop3 {
    login_greeting = Post office, local.
  }
}
remote 192.0.2.0/24 {
  login_greeting = Never here.
}
listen = 127.0.0.1, 127.0.0.2
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(EXTRA) as running:
        yield running


def greeting(address: str, port: int) -> bytes:
    with socket.create_connection((address, port), 60) as sock:
        return sock.recv(1000)


def test_the_most_specific_greeting(cluster: Cluster) -> None:
    assert greeting("127.0.0.1", cluster.imap).endswith(b"] Everywhere.\r\n")
    assert greeting("127.0.0.2", cluster.imap).endswith(b"] Second address.\r\n")
    assert b"Post office, local." in greeting("127.0.0.1", cluster.pop3)
    assert b"Second address." in greeting("127.0.0.2", cluster.pop3)


def test_sessions_work_with_filters(cluster: Cluster) -> None:
    client = imaplib.IMAP4("127.0.0.2", cluster.imap, timeout=60)
    client.login("alice", "wonder")
    assert client.select()[0] == "OK"
    client.logout()


def test_the_config_socket_answers_as_the_file_says(cluster: Cluster) -> None:
    settings = fetch(str(cluster.place.run / "config"), service="imap-login", protocol="imap")
    assert settings.has_filters
    assert settings.view_for(local_ip="127.0.0.1") is settings.view

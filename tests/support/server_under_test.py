"""Our server, or Dovecot in its place with PYDOVECOT_CLIENTS_SERVER=dovecot, to prove a test."""

import os

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance


def server_under_test(extra: str = "") -> Cluster | DovecotInstance:
    """A running server; the caller closes it."""
    if os.environ.get("PYDOVECOT_CLIENTS_SERVER") == "dovecot":
        return DovecotInstance(extra).start()
    return Cluster(extra).start()

"""The run directory: the same sockets with the same modes and owners as Dovecot's."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing

pytestmark = [
    pytest.mark.compat,
    pytest.mark.process,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "-"),
]

# Services of Dovecot that this version does not have: their sockets do not exist.
NOT_YET = {
    "auth-token-secret.dat", "dict", "dict-async", "director-admin", "dns-client",
    "imap-hibernate", "imap-urlauth", "imap-urlauth-worker", "indexer", "indexer-worker", "ipc",
    "login/dns-client", "login/ipc-proxy", "login/stats-writer", "old-stats", "old-stats-mail",
    "old-stats-user", "replication-notify", "replication-notify-fifo", "replicator", "stats-reader",
    "stats-writer", "token-login/imap-urlauth",
}  # fmt: skip


def listing(root: Path) -> dict[str, tuple[str, int, int]]:
    """Path: (type and mode, uid, gid)."""
    found = {}
    for path in (root, *root.rglob("*")):
        info = path.lstat()
        name = str(path.relative_to(root))
        mode = stat.filemode(info.st_mode)
        found[name] = (mode, info.st_uid, info.st_gid)
    return found


def test_sockets_modes_and_owners() -> None:
    with DovecotInstance() as dovecot:
        theirs = listing(dovecot.place.run)
    with Cluster() as cluster:
        ours = listing(cluster.place.run)
        assert os.readlink(cluster.place.run / "dovecot.conf") == str(cluster.conf)
    theirs.pop("master.pid", None)
    ours.pop("master.pid", None)
    assert ours.pop("lda")[0] == "srw-rw-rw-"  # our own service
    assert {name: facts for name, facts in theirs.items() if name not in NOT_YET} == ours

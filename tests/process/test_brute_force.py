"""A thousand wrong passwords from one address: others log in meanwhile, and the log has all of them."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.password import schemes
from tests.bench.client import Imap
from tests.support.bruteforce import Attack
from tests.support.cluster import Cluster
from tests.support.serverconf import ServerDir

pytestmark = pytest.mark.process
FAIL2BAN_FILTER = Path("/etc/fail2ban/filter.d/dovecot.conf")
WRONG = 1000
GOOD = 20
LOG_SECS = 120.0
CONF = """\
auth_verbose = yes
auth_failure_delay = 2 s
auth_worker_max_count = 2
default_client_limit = 2000
service imap-login {
  service_count = 0
  client_limit = 1200
  process_min_avail = 2
}
passdb {
  driver = passwd-file
  args = %(root)s/users
}
userdb {
  driver = static
  args = uid=%(uid)s gid=%(uid)s home=%(root)s/mail/%%u
}
"""
MISMATCH = ",127.6.6.6,"
# Wrong ones that are checked while a good one is on its way; in order of arrival it would be twice as many.
MOST_BEFORE = 80


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    place = ServerDir.make()
    # Each check is about 10 ms of work for an auth-worker: all of them are more than the good logins need.
    hashed = schemes.generate("SHA512-CRYPT", b"right", user="", random=os.urandom, rounds=20000)
    users = [f"user{number}" for number in range(30)]
    (place.root / "users").write_text("".join(f"{user}:{hashed}\n" for user in users))
    (place.root / "users").chmod(0o644)
    conf = CONF % {"root": place.root, "uid": place.mail_uid}
    with Cluster(conf, static_users=False, place=place) as made:
        yield made


def mismatches(cluster: Cluster) -> int:
    lines = cluster.place.log_text().splitlines()
    return sum(MISMATCH in line and ": Password mismatch" in line for line in lines)


def good_logins(cluster: Cluster) -> list[int]:
    """For each the number of wrong ones that were checked meanwhile; raises Refused if one is not let in."""
    between = []
    for number in range(GOOD):
        before = mismatches(cluster)
        client = Imap(cluster.imap, f"user{number}", "right")
        between.append(mismatches(cluster) - before)
        client.logout()
    return between


def test_an_attack_does_not_keep_others_out(cluster: Cluster) -> None:
    users = [f"user{number}" for number in range(30)]
    with Attack(cluster.imap, users, count=WRONG) as attack:
        attack.wait_sent(WRONG // 2, 60)
        between = good_logins(cluster)
        # Who came later did not wait for all who came first; a busy machine may hold up a client or two.
        assert sorted(between)[-3] < MOST_BEFORE, between
        assert 0 < mismatches(cluster) < WRONG
        deadline = time.monotonic() + LOG_SECS
        while mismatches(cluster) < WRONG:
            assert time.monotonic() < deadline, (attack.sent, mismatches(cluster))
            time.sleep(0.2)
        assert attack.let_in == 0
    if shutil.which("fail2ban-regex") and FAIL2BAN_FILTER.exists():
        found = subprocess.run(
            ["fail2ban-regex", str(cluster.place.log), str(FAIL2BAN_FILTER)],
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout  # fmt: skip
        matched = int(found.rpartition("Lines: ")[2].partition(" matched")[0].rpartition(", ")[2])
        assert matched >= WRONG


def test_connections_that_do_not_log_in_make_room_for_others() -> None:
    """A process for each client, as by default: an attacker who holds all of them loses the oldest."""
    conf = "auth_failure_delay = 60 s\nservice imap-login {\n  process_limit = 5\n}\n"
    with Cluster(conf) as cluster:
        with Attack(cluster.imap, ["alice"], count=40) as attack:
            attack.wait_sent(5, 60)
            for number in range(5):
                Imap(cluster.imap, f"user{number}", "wonder").logout()
            assert attack.let_in == 0
        assert "Disconnected: Connection queue full" in cluster.place.log_text()
        assert cluster.place.log_text().count(": Login: user=<user") == 5

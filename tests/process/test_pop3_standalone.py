"""libexec/pop3 on stdin and stdout, without a master: the debugger's front door."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.process
LIBEXEC = Path(__file__).resolve().parents[2] / "libexec"


def test_a_user_is_served_on_stdin(tmp_path: Path) -> None:
    with Cluster() as cluster:
        box = cluster.place.maildir("joe") / "new"
        box.mkdir(parents=True)
        (box / "1.first").write_bytes(b"Subject: one\n\n.dot\n")
        cluster.place.give_to_mail_user(cluster.place.home("joe"))
        done = subprocess.run(
            [sys.executable, str(LIBEXEC / "pop3"), "-c", str(cluster.conf), "-u", "joe"],
            input=b"STAT\r\nRETR 1\r\nQUIT\r\n",
            capture_output=True,
            timeout=60,
            check=True,
            env={**os.environ, "IP": "192.0.2.9"},
        )
        owner = cluster.place.maildir("joe").joinpath("dovecot-uidlist").stat().st_uid
    answers = done.stdout.split(b"\r\n")
    assert answers[0].startswith(b"+OK 1 ")
    assert b"..dot" in answers and answers[-2] == b"+OK Logging out."
    assert b"pop3(joe)" in done.stderr and b"Disconnected: Logged out top=0/0, retr=1/" in done.stderr
    assert owner == cluster.place.mail_uid

"""mail_log with deliveries: also the second recipient, who shares the file, has a whole line."""

import re
import socket
import time

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.process
WAIT_SECS = 20.0
LINE = re.compile(r"lmtp\((\w+)\)<.*: Info: (save: .*)")
CONF = """
protocols = imap pop3 lmtp
mail_plugins = notify mail_log
plugin {
  mail_log_fields = uid box msgid size vsize from subject flags
}
"""
MESSAGE = (
    b"From: Ada <ada@example.org>\r\nSubject: for both\r\nMessage-ID: <both@example.org>\r\n\r\n"
    + b"text\r\n" * 9
)


def test_every_recipient_has_a_whole_line() -> None:
    with Cluster(CONF) as cluster:
        with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rwb") as stream:
            sock.settimeout(WAIT_SECS)
            sock.connect(str(cluster.place.run / "lmtp"))
            stream.write(b"LHLO mx\r\nMAIL FROM:<ada@example.org>\r\n")
            stream.write(b"RCPT TO:<alice>\r\nRCPT TO:<bob>\r\nDATA\r\n")
            stream.write(MESSAGE + b".\r\nQUIT\r\n")
            stream.flush()
            assert stream.read().count(b"Saved") == 2
        end = time.monotonic() + WAIT_SECS
        while len(lines := LINE.findall(log := cluster.place.log_text())) < 2:
            assert time.monotonic() < end, log
            time.sleep(0.02)
        stored = {
            user: next((cluster.place.maildir(user) / "new").iterdir()).read_bytes()
            for user in ("alice", "bob")
        }
    rest = "from=Ada <ada@example.org>, subject=for both, flags=()"
    for (who, line), (user, body) in zip(lines, stored.items(), strict=True):
        size, vsize = len(body), len(body) + body.count(b"\n")
        facts = f"uid=1, msgid=<both@example.org>, size={size}, vsize={vsize}"
        assert (who, line) == (user, f"save: box=INBOX, {facts}, {rest}")

"""mbox on a running server: the spool directory belongs to the group mail, as /var/mail does.

LMTP delivers with its processes killed at any moment, IMAP reads, and the spool file tells others the same.
"""

import grp
import imaplib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_lmtp import Server
from tests.support.cluster import Cluster
from tests.support.killing import deliver_under_kills

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a spool directory of another group"),
]

CONF = """\
mail_location = mbox:~/mail:INBOX=%h/../../spool/%n
mail_privileged_group = mail
"""
KILLS = int(os.environ.get("PYDOVECOT_DELIVERY_KILLS", "20"))


def text_of(ident: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % ident + b"line of %d\r\n" % ident * (ident % 40) + b"end %d\r\n" % ident


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("ours", CONF)
    spool = made.place.root / "spool"
    spool.mkdir()
    mail = grp.getgrnam("mail").gr_gid
    os.chown(spool, 0, mail)
    spool.chmod(0o2775)
    box = spool / "alice"
    box.touch()
    os.chown(box, made.place.mail_uid, mail)
    box.chmod(0o660)
    yield made
    made.running.close()


def login(server: Server, user: str) -> imaplib.IMAP4:
    imap = imaplib.IMAP4("127.0.0.1", server.running.imap)
    imap.login(user, "x")
    assert imap.select("INBOX")[0] == "OK"
    return imap


def contents(imap: imaplib.IMAP4) -> list[bytes]:
    status, data = imap.fetch("1:*", "(BODY.PEEK[])")
    assert status == "OK"
    return [part[1] for part in data if isinstance(part, tuple)]


def spool_of(server: Server, user: str) -> Path:
    return server.place.root / "spool" / user


def test_mail_comes_in_and_is_read(server: Server) -> None:
    client = server.unix()
    client.say("LHLO h")
    for answer in client.deliver("alice", "bob", message=text_of(3)):
        assert answer.startswith("250 "), (answer, server.place.log_text())
    client.close()
    for user in ("alice", "bob"):  # bob's mailbox is made in a directory where he himself may make nothing
        imap = login(server, user)
        (text,) = contents(imap)
        assert text.endswith(text_of(3))
        imap.store("1", "+FLAGS", "(\\Flagged Work)")
        imap.create("Archive/2026")
        assert imap.copy("1", "Archive/2026")[0] == "OK"
        imap.append("INBOX", "", "", text_of(4))  # type: ignore[arg-type]
        assert len(contents(imap)) == 2
        imap.logout()
        data = spool_of(server, user).read_bytes()
        assert data.startswith(b"From ") and data.count(b"\nX-UID: ") == 2 and b"X-Status: F" in data
        assert (server.place.home(user) / "mail/Archive/2026").read_bytes().count(b"\nFrom ") == 0
        assert not spool_of(server, user + ".lock").exists()
    assert not re.search("Error|Panic|Fatal", server.place.log_text()), server.place.log_text()


@pytest.mark.slow
def test_lmtp_killed_at_any_moment(server: Server) -> None:
    assert isinstance(server.running, Cluster)
    acked = deliver_under_kills(server.running, server.unix, ["alice"], text_of, kills=KILLS, seed=4)["alice"]
    imap = login(server, "alice")
    found = []
    for text in contents(imap):
        match = re.search(rb"^Subject: (\d+)\r$", text, re.MULTILINE)
        assert match and text.endswith(text_of(int(match[1]))), f"not whole: {text!r}"
        found.append(int(match[1]))
    imap.logout()
    assert acked <= set(found), f"lost: {acked - set(found)}"
    assert len(found) == len(set(found)), "doubled"

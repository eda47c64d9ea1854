"""mbox on a running server: the spool directory belongs to the group mail, as /var/mail does.

LMTP delivers with its processes killed at any moment, IMAP reads, and the spool file tells others the same.
"""

import grp
import imaplib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.test_lmtp import Server
from tests.support.cluster import Cluster
from tests.support.echo_master import wait_until
from tests.support.killing import deliver_under_kills
from tests.support.ordinary import ORDINARY_USER, python_for_everyone

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


@contextmanager
def own_spool() -> Iterator[Path]:
    """A spool directory like /var/mail, and beside it a place for mail of ORDINARY_USER."""
    root = Path(tempfile.mkdtemp(prefix="pdspool"))
    root.chmod(0o755)
    entry = pwd.getpwnam(ORDINARY_USER)
    for name, uid, gid, mode in (
        ("spool", 0, grp.getgrnam("mail").gr_gid, 0o2775), ("mail", entry.pw_uid, entry.pw_gid, 0o700),
    ):  # fmt: skip
        (root / name).mkdir()
        os.chown(root / name, uid, gid)
        (root / name).chmod(mode)
    try:
        yield root
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize("exists", [True, False], ids=["exists", "new"])
def test_a_user_delivers_to_itself(exists: bool) -> None:
    """An MTA starts dovecot-lda as the recipient, who may make no lock there: the server does it for him."""
    entry = pwd.getpwnam(ORDINARY_USER)
    python, more = python_for_everyone()

    def deliver(conf: Path) -> subprocess.CompletedProcess[bytes]:
        command = [*python, "-m", "pydovecot.cli.lda", "-c", str(conf), "-f", "joe@example", "-e"]
        return subprocess.run(
            command, input=text_of(1), capture_output=True, timeout=60, check=False, cwd="/",
            user=entry.pw_uid, group=entry.pw_gid, extra_groups=[],
            env={**os.environ, **more, "USER": entry.pw_name, "HOME": entry.pw_dir},
        )  # fmt: skip

    with own_spool() as root:
        location = f"mail_location = mbox:{root}/mail:INBOX={root}/spool/%u\nmail_privileged_group = mail\n"
        box = root / "spool" / entry.pw_name
        if exists:
            box.touch()
            os.chown(box, entry.pw_uid, entry.pw_gid)
            box.chmod(0o660)
        server = Server("ours", location)
        try:
            server.place.log.touch()
            server.place.log.chmod(0o666)
            # Without the server: the reason is in the log, and the MTA tries again.
            alone = server.place.root / "alone.conf"
            other = f"base_dir = {root}/nobody\nmail_uid =\nmail_gid =\n"
            alone.write_text(server.running.conf.read_text() + other)
            done = deliver(alone)
            assert done.returncode == 75, done
            server.wait_log("missing .w perm.*we're not in group .*mail_privileged_group has no effect")
            assert not box.exists() or box.stat().st_size == 0
            done = deliver(server.running.conf)
            assert done.returncode == 0, (done, server.place.log_text())
            data = box.read_bytes()
            assert data.startswith(b"From joe@example  ") and b"\nSubject: 1\n" in data
            assert box.stat().st_uid == entry.pw_uid and not box.with_name(box.name + ".lock").exists()
        finally:
            server.running.close()


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
        # A session says its last words before it closes its files.
        lock = spool_of(server, user + ".lock")
        wait_until(lambda lock=lock: not lock.exists(), "the lock is gone")
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

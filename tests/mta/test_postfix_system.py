"""Postfix with system users, as docs/postfix.md says: PAM says who may send, mailbox_command delivers."""

import imaplib
import os
import shutil
import smtplib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from pydovecot.authdb import libpam
from tests.support.clients import make_system_user
from tests.support.cluster import Cluster
from tests.support.ordinary import python_for_everyone
from tests.support.postfix import Postfix, postfix_missing
from tests.support.serverconf import NO_PENALTY, PASSWORD, ServerDir
from tests.support.systemusers import remove_system_user

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(bool(postfix_missing()), reason=postfix_missing() or "installed"),
    pytest.mark.skipif(shutil.which("useradd") is None, reason="useradd is not installed"),
    pytest.mark.skipif(not libpam.available(), reason="this system has no PAM (libpam.so.0)"),
]
NAMES = ("pdpostfix1", "pdpostfix2")
DOVECOT_CONF = """\
protocols = imap pop3 lmtp
mail_uid =
mail_gid =
auth_mechanisms = plain login
passdb {{
  driver = pam
}}
userdb {{
  driver = passwd
}}
service auth {{
  unix_listener {root}/postfix-auth {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
"""
MAIN_CF = """\
mydestination = example.test
local_recipient_maps = proxy:unix:passwd.byname
mailbox_command = {root}/dovecot-lda -c {root}/dovecot.conf -f "$SENDER" -a "$RECIPIENT"
smtpd_sasl_type = dovecot
smtpd_sasl_path = {root}/postfix-auth
smtpd_sasl_auth_enable = yes
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""


@dataclass
class SystemHost:
    """Both servers, running, and users with a password each."""

    server: Cluster
    postfix: Postfix


@contextmanager
def system_host(mail_location: str) -> Iterator[SystemHost]:
    """`mail_location`: where the users' mail is."""
    place = ServerDir.make()
    made: list[str] = []
    try:
        for name in NAMES:
            make_system_user(name, place.root / "homes")
            made.append(name)
        place.log.touch()
        place.log.chmod(0o666)
        python, env = python_for_everyone()
        words = " ".join([*(f"{key}={value}" for key, value in env.items()), *python])
        program = place.root / "dovecot-lda"
        program.write_text(f'#!/bin/sh\nexec env {words} -m pydovecot.cli.lda "$@"\n')
        program.chmod(0o755)
        conf = DOVECOT_CONF.format(root=place.root) + f"mail_location = {mail_location}\n" + NO_PENALTY
        main_cf = MAIN_CF.format(root=place.root)
        with Cluster(conf, static_users=False, place=place) as server, Postfix(main_cf) as postfix:
            yield SystemHost(server, postfix)
    finally:
        for name in made:
            remove_system_user(name)


# In a spool folder that belongs to root nobody may make a dotlock: the lock is in the file.
LOCATIONS = {
    "maildir": "maildir:~/Maildir",
    "mbox": "mbox:~/mail:INBOX={spool}/%u\nmbox_read_locks = fcntl\nmbox_write_locks = fcntl",
}


@pytest.fixture(scope="module", params=LOCATIONS)
def host(request: pytest.FixtureRequest) -> Iterator[SystemHost]:
    with tempfile.TemporaryDirectory(prefix="pdspool") as spool:
        os.chmod(spool, 0o1777)
        with system_host(LOCATIONS[request.param].format(spool=spool)) as made:
            yield made


MESSAGE = (
    b"From: a@b\r\nSubject: local\r\nMessage-ID: <l@x>\r\nDate: Tue, 24 Nov 2026 06:00:00 +0000\r\n"
    b"\r\n.\r\nbody\r\n"
)


def test_mail_is_delivered_by_the_user_itself(host: SystemHost) -> None:
    idle = imaplib.IMAP4("127.0.0.1", host.server.imap, timeout=60)
    idle.login(NAMES[0], PASSWORD)
    idle.select("INBOX")
    idle.send(b"i IDLE\r\n")
    assert idle.readline().startswith(b"+")
    with smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60) as client:
        client.sendmail("sender@elsewhere.test", [f"{name}@example.test" for name in NAMES], MESSAGE)
    assert idle.readline() == b"* 1 EXISTS\r\n"
    idle.send(b"DONE\r\n")
    idle.shutdown()
    for name in NAMES:
        end = time.monotonic() + 60
        while True:
            with imaplib.IMAP4("127.0.0.1", host.server.imap, timeout=60) as imap:
                imap.login(name, PASSWORD)
                if int(imap.select("INBOX")[1][0] or 0):
                    answer = imap.fetch("1", "(BODY.PEEK[])")[1][0]
                    break
            assert time.monotonic() < end, host.postfix.log
        assert isinstance(answer, tuple)
        assert answer[1].endswith(MESSAGE)
        home = host.server.place.root / "homes" / name
        if (home / "Maildir").exists():
            files = [path for sub in ("new", "cur") for path in (home / "Maildir" / sub).iterdir()]
            assert len(files) == 1 and files[0].stat().st_uid == os.stat(home).st_uid
        host.server.wait_log(f"lda({name})")


def test_relaying(host: SystemHost) -> None:
    with smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60) as client:
        client.ehlo("client.test")
        client.mail("a@b.test")
        assert b"Relay access denied" in client.rcpt("somebody@other.test")[1]
        client.rset()
        client.login(NAMES[0], PASSWORD)
        client.mail("a@b.test")
        assert client.rcpt("somebody@other.test")[0] == 250
    client = smtplib.SMTP("127.0.0.1", host.postfix.port, timeout=60)
    with client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login(NAMES[0], "wrong")

"""Sendmail, as docs/sendmail.md says: it delivers through lmtp, and through dovecot-lda."""

import imaplib
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cluster import REPOSITORY, Cluster
from tests.support.ports import free_ports, wait_for_greeting
from tests.support.serverconf import ServerDir
from tests.support.unpacked import missing, root

PROGRAM = "usr/libexec/sendmail/sendmail"
MACROS = "usr/share/sendmail/cf"
pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(bool(missing(PROGRAM)), reason=missing(PROGRAM) or "there"),
    pytest.mark.skipif(shutil.which("m4") is None, reason="m4 is not installed"),
]
PASSWORD = "wonder"
DOVECOT_CONF = """\
protocols = imap pop3 lmtp
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {root}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {root}/users
  default_fields = uid={uid} gid={gid} home={root}/mail/%n
}}
service lmtp {{
  unix_listener {spool}/lmtp {{
    mode = 0600
  }}
}}
"""
HOST_MC = """\
OSTYPE(`linux')dnl
define(`confPID_FILE', `{spool}/pid')dnl
define(`QUEUE_DIR', `{spool}/queue')dnl
define(`ALIAS_FILE', `{spool}/aliases')dnl
define(`STATUS_FILE', `{spool}/statistics')dnl
define(`HELP_FILE', `')dnl
LOCAL_DOMAIN(`example.test')dnl
define(`confDOMAIN_NAME', `mx.example.test')dnl
define(`confTO_IDENT', `0')dnl
define(`confSERVICE_SWITCH_FILE', `{spool}/service.switch')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Name=MTA,Family=inet,Addr=127.0.0.1,Port={port}')dnl
"""
LMTP_MC = """\
FEATURE(`local_lmtp', `[IPC]', `FILE {spool}/lmtp')dnl
MODIFY_MAILER_FLAGS(`LOCAL', `-w')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
"""
LDA_MC = """\
FEATURE(`local_procmail', `{spool}/dovecot-lda', `dovecot-lda -d $u -f $f')dnl
MODIFY_MAILER_FLAGS(`LOCAL', `-fw')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
"""


@dataclass
class Host:
    server: Cluster
    port: int


@contextmanager
def sendmail_host(delivery: str) -> Iterator[Host]:
    """Both servers; `delivery`: how Sendmail hands mail over."""
    place = ServerDir.make()
    (place.root / "users").write_text(f"alice:{PASSWORD}::::::\nbob:{PASSWORD}::::::\n")
    (place.root / "users").chmod(0o644)
    # Sendmail trusts no folder that others may write to, nor what is below one.
    spool = Path(tempfile.mkdtemp(prefix="pdsendmail", dir="/run"))
    (spool / "queue").mkdir(mode=0o700)
    (spool / "aliases").write_text("postmaster: alice\n")
    (spool / "service.switch").write_text("hosts\tfiles\naliases\tfiles\n")
    program = spool / "dovecot-lda"
    ours = f"{sys.executable} -m pydovecot.cli.lda -c {place.root}/dovecot.conf"
    program.write_text(f'#!/bin/sh\nexec env PYTHONPATH={REPOSITORY} {ours} "$@"\n')
    program.chmod(0o755)
    (port,) = free_ports(1)
    macros = root() / MACROS
    text = (HOST_MC + delivery).format(root=place.root, spool=spool, port=port)
    made = subprocess.run(
        ["m4", f"-D_CF_DIR_={macros}/", str(macros / "m4" / "cf.m4"), "-"],
        input=f"divert(0)dnl\n{text}", capture_output=True, text=True, check=True,
    )  # fmt: skip
    (spool / "sendmail.cf").write_text(made.stdout)
    conf = DOVECOT_CONF.format(root=place.root, spool=spool, uid=place.mail_uid, gid=place.mail_gid)
    try:
        running = Cluster(conf, static_users=False, place=place)
        with running as server, (spool / "output").open("wb") as output:
            # It waits a minute at its start for a host name with a dot: it gets one of its own.
            program = f"{root() / PROGRAM} -C {spool}/sendmail.cf"
            command = f"hostname mx.example.test; {program} -bi; exec {program} -bD -q5s"
            process = subprocess.Popen(
                ["unshare", "--uts", "sh", "-c", command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
            try:
                wait_for_greeting(port)
                yield Host(server, port)
            except TimeoutError as exc:
                said = (spool / "output").read_text()
                raise AssertionError(f"Sendmail did not start: {said}") from exc
            finally:
                process.terminate()
                process.wait(20)
    finally:
        shutil.rmtree(spool, ignore_errors=True)


MESSAGE = (
    b"Subject: by Sendmail\r\nMessage-ID: <s@x>\r\nFrom: a@b.test\r\n"
    b"Date: Tue, 24 Nov 2026 06:00:00 +0000\r\n\r\n.\r\nx\r\n"
)


def arrived(host: Host, user: str) -> bytes:
    """The one message of a user, once it is there."""
    end = time.monotonic() + 60
    while True:
        with imaplib.IMAP4("127.0.0.1", host.server.imap, timeout=60) as imap:
            imap.login(user, PASSWORD)
            if int(imap.select("INBOX")[1][0] or 0):
                answer = imap.fetch("1", "(BODY.PEEK[])")[1][0]
                assert isinstance(answer, tuple)
                return bytes(answer[1])
        assert time.monotonic() < end, host.server.place.log_text()[-3000:]
        time.sleep(0.1)


WAYS = [(LMTP_MC, "lmtp(alice)"), (LDA_MC, "lda(alice)")]


@pytest.mark.parametrize(("delivery", "logged"), WAYS, ids=["lmtp", "lda"])
def test_mail_arrives(delivery: str, logged: str) -> None:
    with sendmail_host(delivery) as host:
        with smtplib.SMTP("127.0.0.1", host.port, timeout=60) as client:
            client.sendmail("sender@elsewhere.test", ["alice@example.test", "bob@example.test"], MESSAGE)
        for user in ("alice", "bob"):
            text = arrived(host, user)
            assert b"Subject: by Sendmail\r\n" in text
            assert text.endswith(b"\r\n\r\n.\r\nx\r\n")
        host.server.wait_log(logged)

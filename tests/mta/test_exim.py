"""Exim, as docs/exim.md says: its dovecot authenticator asks us, its lmtp transport hands us the mail."""

import imaplib
import os
import shutil
import smtplib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.ports import free_ports, wait_for_greeting
from tests.support.serverconf import NO_PENALTY, ServerDir
from tests.support.unpacked import SystemUser, missing, root

PROGRAM = "usr/sbin/exim4"
pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(bool(missing(PROGRAM)), reason=missing(PROGRAM) or "there"),
]
USER, PASSWORD = "alice@example.test", "wonder"
DOVECOT_CONF = """\
protocols = imap pop3 lmtp
auth_mechanisms = plain login cram-md5
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%u
}}
service auth {{
  unix_listener {root}/exim-auth {{
    mode = 0600
    user = Debian-exim
  }}
}}
service lmtp {{
  unix_listener {root}/exim-lmtp {{
    mode = 0600
    user = Debian-exim
  }}
}}
"""
EXIM_CONF = """\
exim_path = {program}
deliver_drop_privilege = true
primary_hostname = mx.example.test
domainlist local_domains = example.test
acl_smtp_rcpt = check_rcpt
spool_directory = {spool}
log_file_path = {spool}/%slog
pid_file_path = {spool}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
disable_ipv6 = true
tls_advertise_hosts =
host_lookup =
keep_environment =

begin acl

check_rcpt:
  accept authenticated = *
  accept domains = +local_domains
  deny message = relay not permitted

begin routers

virtual_users:
  driver = accept
  domains = +local_domains
  transport = dovecot_lmtp

elsewhere:
  driver = redirect
  data = :blackhole:

begin transports

dovecot_lmtp:
  driver = lmtp
  socket = {root}/exim-lmtp
  batch_max = 100

begin retry

* * F,1h,1m

begin authenticators

dovecot_plain:
  driver = dovecot
  public_name = PLAIN
  server_socket = {root}/exim-auth
  server_set_id = $auth1

dovecot_login:
  driver = dovecot
  public_name = LOGIN
  server_socket = {root}/exim-auth
  server_set_id = $auth1

dovecot_cram_md5:
  driver = dovecot
  public_name = CRAM-MD5
  server_socket = {root}/exim-auth
  server_set_id = $auth1
"""


@dataclass
class Host:
    server: Cluster
    port: int
    spool: Path

    def log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.spool.glob("*[nc]log")))


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    place = ServerDir.make()
    (place.root / "users").write_text(f"{USER}:{PASSWORD}\nbob@example.test:{PASSWORD}\n")
    (place.root / "users").chmod(0o644)
    spool = Path(tempfile.mkdtemp(prefix="pdexim"))
    spool.chmod(0o755)
    (port,) = free_ports(1)
    with SystemUser("Debian-exim") as owner:
        os.chown(spool, owner.pw_uid, owner.pw_gid)
        conf = NO_PENALTY + DOVECOT_CONF.format(root=place.root, uid=place.mail_uid, gid=place.mail_gid)
        with Cluster(conf, static_users=False, place=place) as server:
            exim_conf = place.root / "exim.conf"
            # Exim starts itself anew as its own user, who may not enter the folder of unpacked programs.
            program = str(shutil.copy(root() / PROGRAM, spool / "exim4"))
            exim_conf.write_text(EXIM_CONF.format(root=place.root, spool=spool, port=port, program=program))
            exim_conf.chmod(0o644)
            with (spool / "output").open("wb") as output:
                process = subprocess.Popen(
                    [program, "-C", str(exim_conf), "-bdf", "-q30s"],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                )  # fmt: skip
            try:
                wait_for_greeting(port)
                yield Host(server, port, spool)
            except TimeoutError as exc:
                raise AssertionError(f"Exim did not start: {(spool / 'output').read_text()}") from exc
            finally:
                process.terminate()
                process.wait(20)
    shutil.rmtree(spool, ignore_errors=True)


MESSAGE = (
    b"Subject: by Exim\r\nMessage-ID: <e@x>\r\nFrom: a@b\r\nDate: Tue, 24 Nov 2026 06:00:00 +0000\r\n"
    b"\r\n.\r\nx\r\n"
)


def test_relaying_without_login_is_refused(host: Host) -> None:
    with smtplib.SMTP("127.0.0.1", host.port, timeout=60) as client:
        client.ehlo("client.test")
        client.mail("a@b.test")
        code, text = client.rcpt("somebody@other.test")
        assert (code, text) == (550, b"relay not permitted")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_relaying_after_login(host: Host, mechanism: str) -> None:
    with smtplib.SMTP("127.0.0.1", host.port, timeout=60) as client:
        assert mechanism.encode() in client.ehlo("client.test")[1]
        client.user, client.password = USER, PASSWORD
        spoken = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login, "CRAM-MD5": client.auth_cram_md5}
        assert client.auth(mechanism, spoken[mechanism])[0] == 235
        assert client.mail("a@b.test")[0] == 250
        assert client.rcpt("somebody@other.test")[0] == 250
        client.rset()
    with smtplib.SMTP("127.0.0.1", host.port, timeout=60) as client:
        client.ehlo("client.test")
        client.user, client.password = USER, "wrong"
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.auth("PLAIN", client.auth_plain)


def test_mail_arrives(host: Host) -> None:
    with smtplib.SMTP("127.0.0.1", host.port, timeout=60) as client:
        client.sendmail("sender@elsewhere.test", [USER, "bob@example.test"], MESSAGE)
    for user in (USER, "bob@example.test"):
        end = time.monotonic() + 60
        while True:
            with imaplib.IMAP4("127.0.0.1", host.server.imap, timeout=60) as imap:
                imap.login(user, PASSWORD)
                if int(imap.select("INBOX")[1][0] or 0):
                    answer = imap.fetch("1", "(BODY.PEEK[])")[1][0]
                    break
            assert time.monotonic() < end, host.log()
            time.sleep(0.1)
        assert isinstance(answer, tuple)
        assert answer[1].endswith(b"\r\n\r\n.\r\nx\r\n")
        assert answer[1].startswith(b"Return-Path: <sender@elsewhere.test>\r\n")
        assert b"Subject: by Exim\r\n" in answer[1]


def test_an_unknown_user_bounces(host: Host) -> None:
    with smtplib.SMTP("127.0.0.1", host.port, timeout=60) as client:
        client.sendmail("alice@example.test", ["nobody@example.test"], MESSAGE)
    end = time.monotonic() + 60
    while "User doesn't exist: nobody@example.test" not in host.log():
        assert time.monotonic() < end, host.log()
        time.sleep(0.1)

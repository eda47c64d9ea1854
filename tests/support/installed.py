"""A machine with our package: what an administrator and a client of it do."""

import hashlib
import imaplib
import os
import poplib
import re
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.container import Container, Disk

USER, PASSWORD = "bob", "wonder-4-land"
LETTER = "From: a@example.com\nTo: bob@example.com\nSubject: welcome\n\nHello Bob.\n"
WAIT_SECS = 60
DATABASE = "/var/lib/rpm"
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


class _Imap(imaplib.IMAP4):
    """IMAP on a socket that is there already."""

    def __init__(self, sock: socket.socket) -> None:
        self._given = sock
        super().__init__()

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._given


class _Pop(poplib.POP3):
    """POP3 on a socket that is there already."""

    def __init__(self, sock: socket.socket) -> None:
        self._given = sock
        super().__init__("")

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._given


class Machine(Container):
    """A container in which pydovecot.service is known to systemd."""

    def __init__(self, layers: Sequence[Path]) -> None:
        super().__init__(Disk(layers))

    def close(self) -> None:
        """Switch it off, forget its disk."""
        if self.leader:
            print(self.journal())  # shown when the test has failed
        self.poweroff()
        self.disk.close()

    def add_user(self) -> None:
        """A user with a mail spool, as RHEL's useradd makes one, a message in it, the server told where."""
        self.sh(f"useradd -m -s /bin/sh {USER}; echo {USER}:{PASSWORD} | chpasswd")
        self.run("tee", f"/var/mail/{USER}", input=f"From a@example.com Thu Jan  1 12:00:00 2026\n{LETTER}\n")
        self.sh(f"chown {USER}:mail /var/mail/{USER}; chmod 660 /var/mail/{USER}")
        where = "mail_location = mbox:~/mail:INBOX=/var/mail/%u"
        group = "mail_privileged_group = mail"
        self.sh(f"sed -i 's|^#mail_location = *$|{where}\\n{group}|' /etc/dovecot/conf.d/10-mail.conf")

    def property(self, name: str, unit: str = "pydovecot") -> str:
        """One property of a unit, as `systemctl show` has it."""
        return self.run("systemctl", "show", "-p", name, "--value", unit).stdout.strip()

    def rpm(self, action: str, what: Path | str, *, check: bool = True) -> str:
        """An action of rpm on a package or a package's file; Debian's rpm wants to be asked twice."""
        words = ["rpm", "--dbpath", DATABASE, "--force-debian", action]
        if isinstance(what, Path):
            shutil.copy(what, self.disk.root / "root" / what.name)
            what = f"/root/{what.name}"
        done = self.run(*words, what, check=check)
        return done.stdout + done.stderr

    def database(self, name: str) -> dict[int, str]:
        """Names of users or groups by their numbers."""
        rows = [line.split(":") for line in self.run("getent", name).stdout.splitlines()]
        return {int(row[2]): row[0] for row in rows}

    def journal(self) -> str:
        """All that the service and systemd about it have written since this machine was switched on."""
        return self.sh("journalctl -b --no-pager -o cat -u pydovecot")

    def wait_for(self, what: str, ready: Callable[[], object]) -> None:
        """Wait for a state that stays."""
        end = time.monotonic() + WAIT_SECS
        while not ready():
            assert time.monotonic() < end, f"{what}: not in {WAIT_SECS} s\n{self.journal()[-3000:]}"
            time.sleep(0.05)

    def tls(self, port: int) -> ssl.SSLSocket:
        """A TLS connection to a port."""
        return CONTEXT.wrap_socket(self.connect(port))

    def certificate(self, port: int = 993) -> str:
        """SHA-256 of the certificate that a port shows."""
        with self.tls(port) as sock:
            return hashlib.sha256(sock.getpeercert(binary_form=True) or b"").hexdigest()

    def certificate_file(self) -> str:
        """SHA-256 of the certificate in its file."""
        text = self.sh("openssl x509 -in /etc/pki/dovecot/certs/dovecot.pem -noout -fingerprint -sha256")
        return text.strip().partition("=")[2].replace(":", "").lower()

    def imap(self) -> imaplib.IMAP4:
        """A session of the user over TLS, logged in."""
        client = _Imap(self.tls(993))
        client.login(USER, PASSWORD)
        return client

    def subjects(self) -> list[str]:
        """What IMAP shows of INBOX."""
        client = self.imap()
        try:
            client.select("INBOX", readonly=True)
            _ok, rows = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            found = [row[1] for row in rows if isinstance(row, tuple)]
            return [text.decode().removeprefix("Subject: ").strip() for text in found]
        finally:
            client.logout()

    def pop3(self) -> poplib.POP3:
        """A session of the user over TLS, logged in."""
        client = _Pop(self.tls(995))
        client.user(USER)
        client.pass_(PASSWORD)
        return client

    def pop3_count(self) -> int:
        """How many messages POP3 shows."""
        client = self.pop3()
        try:
            return client.stat()[0]
        finally:
            client.quit()

    def greets(self, port: int) -> bool:
        """True when a server says hello on a port in the clear."""
        try:
            with self.connect(port) as sock:
                return bool(sock.recv(100))
        except ConnectionError:
            return False

    def hold(self, path: str) -> socket.socket:
        """A connection to a UNIX socket inside: a process serves it."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(WAIT_SECS)
        client.connect(f"{self.inside}{path}")
        return client

    def host_pid(self, pid: int) -> int:
        """Our number of a process that has the number `pid` inside."""
        space = os.readlink(f"/proc/{self.leader}/ns/pid")
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdigit() or os.readlink(entry / "ns/pid") != space:
                    continue
                status = (entry / "status").read_text()
            except OSError:
                continue  # it has ended
            if re.search(rf"^NSpid:.*\s{pid}$", status, re.M):
                return int(entry.name)
        raise LookupError(f"no process {pid} inside")

    def tree(self) -> set[int]:
        """Process ids of the service, as the container counts them."""
        group = "/sys/fs/cgroup/system.slice/pydovecot.service"
        return set(map(int, self.sh(f"cat {group}/cgroup.procs").split()))

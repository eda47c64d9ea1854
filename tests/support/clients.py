"""Sites for real mail clients: our server as root with system users, and as an ordinary user.

PYDOVECOT_CLIENTS_SERVER=dovecot runs the same tests against the installed Dovecot: so they are proven.
"""

import hashlib
import imaplib
import itertools
import os
import pwd
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.mailgen import generate
from tests.support.ordinary import python_for_everyone
from tests.support.serverconf import ServerDir
from tests.support.systemusers import add_system_user, remove_system_user

_serial = itertools.count(1)
_known = itertools.count()
PASSWORD = "wonder"
# APOP needs the password itself, which PAM cannot tell: these users are in a file as well.
KNOWN_NAMES = [f"pdknown{os.getpid() % 10000}x{number}" for number in range(16)]
MESSAGES = 12
WORK_MESSAGES = 5


def digest(message: bytes) -> str:
    """What a message is compared by: line ends and a missing last one are the client's affair."""
    return hashlib.sha256(message.replace(b"\r\n", b"\n").rstrip(b"\n")).hexdigest()


def digests(messages: list[bytes]) -> Counter[str]:
    return Counter(map(digest, messages))


@dataclass(slots=True)
class Account:
    """One user's mail and where it is."""

    site: "Site"
    name: str
    maildir: Path
    uid: int
    gid: int
    inbox: list[bytes] = field(default_factory=list)  # CRLF, as delivered
    work: list[bytes] = field(default_factory=list)

    def deliver(self, body: bytes, folder: str = "") -> None:
        """As a delivery agent does: tmp, then new."""
        box = self.maildir / folder if folder else self.maildir
        for name in ("tmp", "new", "cur"):
            self._mkdir(box / name)
        if folder and not (box / "maildirfolder").exists():
            self._write(box / "maildirfolder", b"")
        name = f"{1_600_000_000 + next(_serial)}.M{next(_serial)}P{os.getpid()}.clients"
        self._write(box / "tmp" / name, body.replace(b"\r\n", b"\n"))
        (box / "tmp" / name).rename(box / "new" / name)

    def _mkdir(self, path: Path) -> None:
        if not path.exists():
            if path.parent != path and not path.parent.exists():
                self._mkdir(path.parent)
            path.mkdir(mode=0o700)
            os.chown(path, self.uid, self.gid)

    def _write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        os.chown(path, self.uid, self.gid)

    def fill(self) -> None:
        """INBOX and the folder Work."""
        self.inbox = list(generate(next(_serial), MESSAGES))
        self.work = list(generate(next(_serial), WORK_MESSAGES))
        for body in self.inbox:
            self.deliver(body)
        for body in self.work:
            self.deliver(body, ".Work")

    def imap(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.site.imap, timeout=60)
        client.login(self.name, PASSWORD)
        return client

    def on_server(self, folder: str = "INBOX") -> list[tuple[bytes, bytes]]:
        """Flags and content of all messages of a folder, over IMAP."""
        with self.imap() as client:
            typ, _ = client.select(folder, readonly=True)
            assert typ == "OK"
            typ, answer = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
            assert typ == "OK"
        parts: list[Any] = [part for part in answer if isinstance(part, tuple)]
        return [(head, body) for head, body in parts]

    def bodies_on_server(self, folder: str = "INBOX") -> list[bytes]:
        return [body for _, body in self.on_server(folder)]

    def wait_for(self, folder: str, bodies: list[bytes], seconds: float = 60) -> None:
        """Until a folder has just these messages: clients show what they will do before they do it."""
        end = time.monotonic() + seconds
        while (seen := digests(self.bodies_on_server(folder))) != digests(bodies):
            assert time.monotonic() < end, f"{folder} has {seen}"
            time.sleep(0.1)

    def wait_for_flag(self, folder: str, subject: bytes, flag: bytes, seconds: float = 60) -> None:
        """Until the message with a subject (as it is in the header) has a flag."""
        end = time.monotonic() + seconds
        while True:
            seen = next(head for head, body in self.on_server(folder) if b"Subject: " + subject in body)
            if flag in seen:
                return
            assert time.monotonic() < end, seen
            time.sleep(0.1)


@dataclass(slots=True)
class Site:
    """A running server and its kind of users."""

    server: Cluster | DovecotInstance
    real_users: bool
    made: list[str] = field(default_factory=list)

    @property
    def imap(self) -> int:
        return self.server.imap

    @property
    def imaps(self) -> int:
        return self.server.imaps

    @property
    def pop3(self) -> int:
        return self.server.pop3

    @property
    def pop3s(self) -> int:
        return self.server.pop3s

    def account(self, *, known: bool = False, empty: bool = False) -> Account:
        """A new user with mail. `known`: with a password that APOP and CRAM-MD5 can use."""
        place = self.server.place
        if self.real_users:
            name = KNOWN_NAMES[next(_known)] if known else f"pdclient{os.getpid() % 10000}x{next(_serial)}"
            make_system_user(name, place.root / "homes")
            self.made.append(name)
            entry = pwd.getpwnam(name)
            account = Account(self, name, Path(entry.pw_dir) / "Maildir", entry.pw_uid, entry.pw_gid)
        else:
            name = f"client{next(_serial)}"
            home = place.home(name)
            home.mkdir(mode=0o700)
            os.chown(home, place.mail_uid, place.mail_gid)
            account = Account(self, name, home / "Maildir", place.mail_uid, place.mail_gid)
        if not empty:
            account.fill()
        return account

    def close(self) -> None:
        self.server.close()
        for name in self.made:
            remove_system_user(name)


def make_system_user(name: str, homes: Path) -> None:
    """A throw-away user with a password; the home directory goes with the server's directory."""
    homes.mkdir(exist_ok=True)
    homes.chmod(0o755)
    home = homes / name
    add_system_user(name, "--create-home", "--home-dir", str(home), password=PASSWORD)


def real_users_conf(place: ServerDir) -> str:
    """System users by PAM. No CRAM-MD5: clients would take it for users of PAM too, who cannot use it."""
    known = place.root / "passwords"
    # All of them before the start: a server may look only once a second whether the file has changed.
    known.write_text("".join(f"{name}:{{PLAIN}}{PASSWORD}\n" for name in KNOWN_NAMES))
    known.chmod(0o644)
    return f"""\
mail_uid =
mail_gid =
auth_mechanisms = plain login apop
passdb {{
  driver = passwd-file
  args = {known}
}}
passdb {{
  driver = pam
}}
userdb {{
  driver = passwd
}}
"""


def start(kind: str) -> Site:
    """Kinds: real-users (root), ordinary-user."""
    on_dovecot = os.environ.get("PYDOVECOT_CLIENTS_SERVER") == "dovecot"
    if on_dovecot and (reason := dovecot_missing()):
        pytest.skip(reason)
    program = DovecotInstance if on_dovecot else Cluster
    if kind == "real-users":
        if os.geteuid() != 0:
            pytest.skip("system users need root")
        if not all(map(shutil.which, ("useradd", "userdel", "chpasswd"))):
            pytest.skip("useradd, userdel or chpasswd is not installed")
        if not Path("/etc/pam.d/dovecot").exists():
            pytest.skip("PAM has no service dovecot")
        place = ServerDir.make()
        server = program(real_users_conf(place), static_users=False, place=place)
        return Site(server.start(), real_users=True)
    if on_dovecot:
        return Site(DovecotInstance().start(), real_users=False)
    if os.geteuid() == 0:
        try:
            python_for_everyone()
        except RuntimeError as exc:
            pytest.skip(str(exc))
    return Site(Cluster(ordinary_user=True).start(), real_users=False)


def need(program: str) -> str:
    """The path of a client, or skip by its name."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed")
    return found


def run_client(
    *command: str, cwd: Path, stdin: bytes = b"", timeout: float = 120, ok: tuple[int, ...] = (0,)
) -> bytes:
    """Run a mail client with its own HOME; its output. Fails with everything it said."""
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    done = subprocess.run(
        command, cwd=cwd, env=env, input=stdin, capture_output=True, timeout=timeout, check=False
    )
    assert done.returncode in ok, f"{command[0]}: {done.returncode}\n{done.stdout!r}\n{done.stderr!r}"
    return done.stdout


def maildir_messages(path: Path) -> list[bytes]:
    """Contents of a client's Maildir."""
    return [file.read_bytes() for name in ("cur", "new") for file in sorted((path / name).glob("*"))]

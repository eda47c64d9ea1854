"""The configuration that both servers get in tests: a temp directory, high ports, virtual users.

`ServerDir` is the directory and `render` the text; DovecotInstance and Cluster only differ in the program.
"""

import grp
import os
import pwd
import shutil
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cert import shared_certificate
from tests.support.ports import free_ports

# As root the mail belongs to an uid of no one else; it needs no passwd entry.
ROOT_MAIL_UID = 45017
PASSWORD = "wonder"
# Without the penalty of an address, which adds seconds to each failed login after the first.
NO_PENALTY = "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"
SHOWN_CHARS = 6000  # of a log, when a test fails

_open: "list[ServerDir]" = []
_closed: deque[tuple[float, str, str]] = deque(maxlen=4)  # when, which, the end of its log


def last_lines(since: float) -> list[tuple[str, str]]:
    """The ends of the logs of servers that wrote or ended since a time: which, and the text."""
    running = [
        (str(place.root), place.log_text()[-SHOWN_CHARS:])
        for place in _open
        if place.log.exists() and place.log.stat().st_mtime >= since - 1
    ]
    return running + [(name, text) for ended, name, text in _closed if ended >= since and text]


@dataclass(slots=True)
class ServerDir:
    """One server's files and ports. `close` removes the directory."""

    root: Path
    imap: int
    imaps: int
    pop3: int
    pop3s: int
    mail_uid: int = field(default=0)
    mail_gid: int = field(default=0)

    @classmethod
    def make(cls) -> "ServerDir":
        """A short path that other users may enter: pytest's own tmp_path is closed to the mail user."""
        root = Path(tempfile.mkdtemp(prefix="pd"))
        root.chmod(0o755)
        uid, gid = (ROOT_MAIL_UID, ROOT_MAIL_UID) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        made = cls(root, *free_ports(4), uid, gid)
        mail = root / "mail"
        mail.mkdir()
        os.chown(mail, uid, gid)
        _open.append(made)
        return made

    def home(self, user: str) -> Path:
        return self.root / "mail" / user

    def maildir(self, user: str) -> Path:
        return self.home(user) / "Maildir"

    @property
    def run(self) -> Path:
        """base_dir."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    def log_text(self) -> str:
        """Everything logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def give_to_mail_user(self, path: Path) -> None:
        """chown a tree to the mail user, when root."""
        if os.geteuid() == 0:
            os.chown(path, self.mail_uid, self.mail_gid)
            for found in path.rglob("*"):
                os.lchown(found, self.mail_uid, self.mail_gid)

    def close(self) -> None:
        _closed.append((time.time(), str(self.root), self.log_text()[-SHOWN_CHARS:]))
        if self in _open:
            _open.remove(self)
        shutil.rmtree(self.root, ignore_errors=True)


def render(place: ServerDir, extra: str = "", *, static_users: bool = True) -> str:
    """dovecot.conf for `place`. `extra` goes last and so wins.

    static_users: any user name exists, with password "wonder" and a home below `mail/`.
    """
    cert = shared_certificate()
    text = f"""\
base_dir = {place.run}
state_dir = {place.root}/state
log_path = {place.log}
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{cert.cert}
ssl_key = <{cert.key}
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 apop
auth_failure_delay = 0
first_valid_uid = 1
mail_uid = {place.mail_uid}
mail_gid = {place.mail_gid}
mail_location = maildir:~/Maildir
mail_max_userip_connections = 1000
service imap-login {{
  inet_listener imap {{
    port = {place.imap}
  }}
  inet_listener imaps {{
    port = {place.imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {place.pop3}
  }}
  inet_listener pop3s {{
    port = {place.pop3s}
    ssl = yes
  }}
}}
namespace inbox {{
  inbox = yes
}}
"""
    if os.geteuid() != 0:
        text += ordinary_user_conf()
    if static_users:
        text += f"""\
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={place.mail_uid} gid={place.mail_gid} home={place.root}/mail/%u
}}
"""
    return text + extra


def ordinary_user_conf() -> str:
    """What lets Dovecot run without root: no other users, no chroot."""
    me, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    users = f"default_internal_user = {me}\ndefault_login_user = {me}\ndefault_internal_group = {group}\n"
    jailed = ("anvil", "imap-login", "pop3-login", "stats")
    return users + "".join(f"service {name} {{\n  chroot =\n}}\n" for name in jailed)

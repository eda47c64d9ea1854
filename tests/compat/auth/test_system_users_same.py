"""Real system users and the limits on who may have mail: our answers and log lines are Dovecot's."""

import contextlib
import grp
import imaplib
import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.authduel import Ask, Duel, Login, Question
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.serverconf import ServerDir
from tests.support.systemusers import add_system_user, one_at_a_time, remove_system_user

pytestmark = [
    pytest.mark.process,
    pytest.mark.compat,
    pytest.mark.root,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("useradd") is None, reason="needs root, useradd and groupadd"
    ),
]
LOG_SECS = 20.0


@dataclass
class People:
    """System users: one with the password tiger, one whose password is locked; `group` has the first one."""

    name: str
    locked: str
    group: str

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    @property
    def gid(self) -> int:
        return pwd.getpwnam(self.name).pw_gid

    @property
    def group_gid(self) -> int:
        return grp.getgrnam(self.group).gr_gid


@pytest.fixture(scope="module")
def people() -> Iterator[People]:
    mark = secrets.token_hex(3)
    made = People(f"pda{mark}", f"pdb{mark}", f"pdg{mark}")
    try:
        for name in (made.name, made.locked):
            password = "tiger" if name == made.name else ""
            add_system_user(name, "--no-create-home", "-d", f"/srv/{name}", password=password)
        with one_at_a_time():
            subprocess.run(["groupadd", made.group], check=True)
            subprocess.run(["usermod", "-a", "-G", made.group, made.name], check=True)
        yield made
    finally:
        for name in (made.name, made.locked):
            remove_system_user(name)
        with one_at_a_time():
            subprocess.run(["groupdel", made.group], check=False, capture_output=True)


DRIVERS = {
    "shadow": "passdb {\n  driver = shadow\n}\nuserdb {\n  driver = passwd\n}\n",
    "shadow, not blocking": "passdb {\n  driver = shadow\n}\nuserdb {\n  driver = passwd\n"
    "  args = blocking=no\n  override_fields = home=/mail/%u gid=9 mail=mbox:~/x\n}\n",
    "passwd": "passdb {\n  driver = passwd\n}\nuserdb {\n  driver = passwd\n"
    "  default_fields = quota_rule=*:storage=1M\n}\n",
    "passwd, not blocking": "passdb {\n  driver = passwd\n  args = blocking=no\n}\n"
    "userdb {\n  driver = passwd\n  args = blocking=no\n}\n",
}


@pytest.mark.parametrize("name", DRIVERS)
def test_drivers(people: People, name: str) -> None:
    questions: list[Question] = [
        *(Login(user, "tiger") for user in (people.name, people.locked, "root", "daemon", "no-such-user-x")),
        *(Login(user, "wrong") for user in (people.name, people.locked, "root")),
        Login(people.name.upper(), "tiger", mech="LOGIN"),
        Login(people.name, "tiger", mech="SCRAM-SHA-1"),
        *(Ask(what, user) for what in ("USER", "PASS") for user in (people.name, "daemon", "no-such-user-x")),
    ]
    with Duel() as duel:
        theirs, mine = duel.ask(DRIVERS[name], questions)
        assert list(zip(questions, mine.answers, strict=True)) == list(
            zip(questions, theirs.answers, strict=True)
        )
        assert mine.log == theirs.log
        users = duel.ask("first_valid_uid = 1000\n" + DRIVERS[name], [Ask("LIST")])
    assert users[1].answers == users[0].answers
    assert people.name in users[1].answers[0]
    assert "\troot " not in users[1].answers[0]


# -- who may have mail

CONF = """\
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = scheme=PLAIN %(root)s/users
}
userdb {
  driver = prefetch
}
userdb {
  driver = passwd-file
  args = %(root)s/users
}
"""
# The fields of a user; HOME and GROUP are directories.
LIMITS = {
    "ok": "",
    "mailuid": "- userdb_first_valid_uid=99999",
    "mailgid": "- userdb_last_valid_gid=5",
    "lowuid": "userdb_first_valid_uid=99999",
    "highuid": "userdb_last_valid_uid=500",
    "lowgid": "userdb_first_valid_gid=99999",
    "highgid": "userdb_last_valid_gid=5",
    "anygid": "userdb_first_valid_gid=0 userdb_gid=0",
    "root": "userdb_uid=0",
    "rootgroup": "userdb_gid=0",
    "rootname": "userdb_uid=root",
    "nouid": "userdb_uid= userdb_mail_uid=",
    "nogroup": "userdb_mail=maildir:GROUP/a",
    "group": "userdb_mail=maildir:GROUP/b userdb_mail_access_groups=%(group)s",
    "groupnumber": "userdb_mail=maildir:GROUP/c userdb_mail_access_groups=%(group_gid)d",
    "badgroup": "userdb_mail_access_groups=no-such-group-x",
    "system": "userdb_mail=maildir:GROUP/d userdb_system_groups_user=%(name)s",
    "limited": "userdb_mail=maildir:GROUP/e userdb_system_groups_user=%(name)s userdb_last_valid_gid=%(gid)d",
    "nosystem": "userdb_system_groups_user=no-such-user-x",
    "chroot": "userdb_chroot=HOME",
    "badchroot": "userdb_chroot=HOME userdb_valid_chroot_dirs=/srv",
    "goodchroot": "userdb_chroot=HOME userdb_valid_chroot_dirs=/srv:HOME userdb_home=/goodchroot",
    "nearchroot": "userdb_chroot=HOMEx userdb_valid_chroot_dirs=HOME",
    "upchroot": "userdb_chroot=HOME/../x userdb_valid_chroot_dirs=HOME",
    "dotchroot": "userdb_home=HOME/./dotchroot userdb_valid_chroot_dirs=HOME",
    "relative": "userdb_home=relative",
    "nohome": "userdb_home=",
    "nice": "userdb_nice=5",
}
_HEAD = re.compile(r"^.{16}")
# Ours names the session in lines about a user whom it refuses.
_VARIES = re.compile(
    r"(?<=\))<\d+>(<[^>]*>)?|session=<[^>]*>|m?pid=\d+|rport=\d+| \([\d.+ ]+secs\)|\[MAILBOXID \(\w+\)\] |"
    r"\[20[-\d]+ [\d:]+\]|(in|out)=\d+|[a-z_]+=\d+\([^)]*\)"
)
# Refused by both, each in its own words.
OWN_WORDS = {
    "badgroup": "no-such-group-x",
    "nouid": "Invalid UID value ''",
    "nohome": "Home directory not set for user",
    "nogroup": "Permission denied",
    "limited": "Permission denied",
}


class Server:
    """One of the two, with the users of LIMITS."""

    def __init__(self, kind: type[Cluster] | type[DovecotInstance], people: People) -> None:
        self.place = ServerDir.make()
        homes, shared = self.place.root / "homes", self.place.root / "shared"
        for path, mode, gid in ((homes, 0o777, 0), (shared, 0o770, people.group_gid)):
            path.mkdir()
            path.chmod(mode)
            os.chown(path, 0, gid)
        facts = {"name": people.name, "group": people.group, "group_gid": people.group_gid, "gid": people.gid}
        lines = []
        for user, fields in LIMITS.items():
            (homes / user).mkdir()
            os.chown(homes / user, people.uid, people.gid)
            own = (fields % facts).replace("HOME", str(homes)).replace("GROUP", str(shared))
            head = f"userdb_uid={people.uid} userdb_gid={people.gid} userdb_home={homes / user}"
            if own.startswith("- "):  # mail_uid and mail_gid decide
                head, own = f"userdb_home={homes / user}", own[2:]
            lines.append(f"{user}:x::::::{head} {own}\n")
        (self.place.root / "users").write_text("".join(lines))
        (self.place.root / "users").chmod(0o644)
        self._made = kind(CONF % {"root": self.place.root}, static_users=False, place=self.place).start()

    def close(self) -> None:
        self._made.close()

    def _shown(self, text: str) -> str:
        return _VARIES.sub("", text.replace(str(self.place.root), "ROOT"))

    def session(self, user: str) -> list[str]:
        """What a client is told, and what the log has about it."""
        before = len(self.place.log_text())
        said = []
        client = imaplib.IMAP4("127.0.0.1", self._made.imap, timeout=60)
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            said.append(repr(client.login(user, "x")[0]))
            said.append(repr(client.create("new")))
            said.append(repr(client.logout()[0]))
        with contextlib.suppress(OSError):
            client.shutdown()
        deadline = time.monotonic() + LOG_SECS
        while not _is_whole(self.place.log_text()[before:]):
            assert time.monotonic() < deadline, self.place.log_text()[before:]
            time.sleep(0.05)
        log = self.place.log_text()[before:].splitlines()
        return [self._shown(one) for one in (*said, *sorted(_HEAD.sub("", line) for line in log))]


def _is_whole(log: str) -> bool:
    """Both processes have said what they say."""
    return "imap-login: " in log and re.search(r"imap(\(|: )", log.replace("imap-login: ", "")) is not None


@pytest.fixture(scope="module")
def servers(people: People) -> Iterator[tuple[Server, Server]]:
    with contextlib.ExitStack() as stack:
        made = []
        for kind in (DovecotInstance, Cluster):
            made.append(Server(kind, people))
            stack.callback(made[-1].close)
        yield made[0], made[1]


@pytest.mark.parametrize("user", LIMITS)
def test_limits(servers: tuple[Server, Server], user: str) -> None:
    theirs, mine = (server.session(user) for server in servers)
    if user in OWN_WORDS:
        assert OWN_WORDS[user] in str(mine) and OWN_WORDS[user] in str(theirs)
        assert "Create completed" not in str(mine) + str(theirs)
    else:
        assert mine == theirs


def test_files_belong_to_whom_they_should(servers: tuple[Server, Server], people: People) -> None:
    """What was made in test_limits, with its owner, is the same too."""
    found = []
    for server in servers:
        for user in ("ok", "group", "system", "goodchroot"):
            server.session(user)
        one: dict[str, tuple[int, int, int]] = {}
        for folder in ("homes", "shared"):
            for path in (server.place.root / folder).rglob("*"):
                name = str(path.relative_to(server.place.root))
                if not re.search("index|mailbox.log|subscriptions|uidvalidity|maildirfolder", name):
                    status = path.stat()
                    one[name] = (status.st_uid, status.st_gid, status.st_mode)
        found.append(one)
    both = found[0].keys() & found[1].keys()
    assert any("shared/" in name for name in both) and any("Maildir/.new/cur" in name for name in both)
    assert {name: found[1][name] for name in both} == {name: found[0][name] for name in both}

"""The auth service in the whole tree: workers, PAM, system users, the log that fail2ban reads, its death."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.authdb import libpam
from pydovecot.ipc.auth_master import AuthMaster
from pydovecot.password import schemes
from tests.support.authlab import SocketAuth, SocketConnection
from tests.support.cluster import REPOSITORY, Cluster
from tests.support.serverconf import ServerDir, render
from tests.support.systemusers import add_system_user, remove_system_user

pytestmark = pytest.mark.process
FAIL2BAN_FILTER = Path("/etc/fail2ban/filter.d/dovecot.conf")
LINE_SECS = 60.0


@contextlib.contextmanager
def running(conf: str, users: str = "") -> Iterator[tuple[Cluster, SocketAuth]]:
    """Our server; `{dir}` in `conf` is the folder of the file `users`."""
    place = ServerDir.make()
    (place.root / "users").write_text(users)
    (place.root / "users").chmod(0o644)
    cluster = Cluster(conf.replace("{dir}", str(place.root)), static_users=False, place=place)
    cluster.start()
    try:
        yield cluster, SocketAuth("ours", place.run, place.log_text)
    finally:
        cluster.close()


def hello(auth: SocketAuth, where: str = "auth-client") -> SocketConnection:
    connection = auth.connect(where)
    while not (auth.line(connection, LINE_SECS) or b"DONE").startswith(b"DONE"):
        pass
    connection.send(b"VERSION\t1\t2\nCPID\t%d\n" % os.getpid())
    return connection


def login(auth: SocketAuth, user: str, password: str, rip: str = "192.0.2.7") -> bytes:
    connection = hello(auth)
    resp = b64encode(f"\0{user}\0{password}".encode()).decode()
    connection.send(f"AUTH\t1\tPLAIN\tservice=imap\trip={rip}\tno-penalty\tresp={resp}\n".encode())
    line = auth.line(connection, LINE_SECS)
    connection.close()
    assert line
    return line.rstrip(b"\n")


FILE_CONF = """\
auth_mechanisms = plain login
auth_verbose = yes
auth_cache_size = 1M
passdb {
  driver = passwd-file
  args = {dir}/users
}
userdb {
  driver = passwd
}
userdb {
  driver = passwd-file
  args = {dir}/users
}
"""


def stored(scheme: str) -> str:
    return schemes.generate(scheme, b"costly", user="x", random=os.urandom, rounds=4)


def users_file() -> str:
    names = ("BLF-CRYPT", "SHA512-CRYPT", "ARGON2ID", "PBKDF2", "PLAIN")
    return "".join(f"{name.lower()}:{stored(name)}:1000:1000::/h::\n" for name in names)


def test_workers_check_costly_hashes_and_look_up_system_users() -> None:
    with running(FILE_CONF, users_file()) as (cluster, auth):
        for name in ("blf-crypt", "sha512-crypt", "argon2id", "pbkdf2", "plain"):
            assert login(auth, name, "costly") == f"OK\t1\tuser={name}".encode()
            assert login(auth, name, "wrong") == f"FAIL\t1\tuser={name}".encode()
        assert cluster.pids("auth-worker"), "nobody was asked"
        with AuthMaster(str(cluster.place.run / "auth-master")) as master:
            found = master.user("daemon", service="lmtp")
            assert found is not None and found.fields["system_groups_user"] == "daemon"
            assert master.user("plain", service="lmtp") is not None
            assert "plain" in list(master.users(service="doveadm"))
            assert master.cache_flush() > 0


def test_death_of_auth_and_workers_is_noticed_and_repaired() -> None:
    with running(FILE_CONF, users_file()) as (cluster, auth):
        assert login(auth, "sha512-crypt", "costly").startswith(b"OK")
        for pid in cluster.pids("auth-worker"):
            os.kill(pid, signal.SIGKILL)
        assert login(auth, "blf-crypt", "costly").startswith(
            (b"OK", b"FAIL\t1\tuser=blf-crypt\tcode=temp_fail")
        )
        assert login(auth, "argon2id", "costly").startswith(b"OK")
        [pid] = cluster.pids("auth")
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(AssertionError, OSError):
                assert login(auth, "plain", "costly").startswith(b"OK")
                break
            assert time.monotonic() < deadline, cluster.place.log_text()
        assert cluster.pids("auth") != [pid]


def test_a_mechanism_that_no_passdb_can_serve_stops_the_start() -> None:
    place = ServerDir.make()
    conf = place.root / "dovecot.conf"
    conf.write_text(render(place, "!include auth.conf\n", static_users=False))
    (place.root / "auth.conf").write_text(
        "# who may come in\nauth_mechanisms = plain cram-md5\npassdb {\n  driver = pam\n}\n"
    )
    words = [sys.executable, "-m", "pydovecot.cli.pydovecot", "-c", str(conf)]
    try:
        server = subprocess.run(
            [*words, "-F"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
        )
        where = f"{place.root}/auth.conf line 2"
        text = "CRAM-MD5 mechanism can't be supported with given passdbs"
        wanted = f"doveconf: Fatal: Error in configuration file {where}: {text}\n"
        assert (server.returncode, server.stderr) == (89, wanted)
        assert not place.run.exists()
        shown = subprocess.run([*words, "-n"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        assert f"doveconf: Warning: {where}: {text}: the server will not start\n" in shown.stderr
    finally:
        place.close()


def test_a_reload_that_auth_would_not_survive_changes_nothing() -> None:
    with running(FILE_CONF, users_file()) as (cluster, auth):
        before = cluster.pids("auth")
        cluster.write_conf(cluster.extra.replace("plain login", "plain no-such-mechanism"))
        cluster.reload()
        cluster.wait_log("Unknown authentication mechanism 'NO-SUCH-MECHANISM'")
        assert login(auth, "plain", "costly").startswith(b"OK")
        assert not before or cluster.pids("auth") == before


@pytest.mark.skipif(
    shutil.which("fail2ban-regex") is None or not FAIL2BAN_FILTER.exists(), reason="fail2ban is not installed"
)
def test_fail2ban_finds_each_failed_attempt() -> None:
    with running(FILE_CONF, users_file()) as (cluster, auth):
        login(auth, "plain", "wrong", "192.0.2.10")
        login(auth, "argon2id", "wrong", "192.0.2.11")
        login(auth, "nobody", "wrong", "2001:db8::12")
        login(auth, "plain", "costly", "192.0.2.13")
        found = subprocess.run(
            ["fail2ban-regex", "--print-all-matched", str(cluster.place.log), str(FAIL2BAN_FILTER)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    matched = re.search(r"(\d+) matched", found.stdout)
    assert matched and int(matched[1]) == 3, found.stdout
    assert all(ip in found.stdout for ip in ("192.0.2.10", "192.0.2.11", "2001:db8::12"))


@pytest.fixture
def system_user() -> Iterator[tuple[str, str]]:
    """A real user of this system, with a password; removed afterwards."""
    name = "pd" + secrets.token_hex(3)
    add_system_user(name, "--no-create-home", "--home-dir", f"/srv/{name}", password="tiger")
    try:
        yield name, "tiger"
    finally:
        remove_system_user(name)


@pytest.fixture
def pam_service() -> Iterator[str]:
    """A PAM service of this test."""
    path = Path("/etc/pam.d") / ("pdtest" + secrets.token_hex(3))
    path.write_text("auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
    yield path.name
    path.unlink()


PAM_CONF = """\
auth_mechanisms = plain login
auth_verbose = yes
passdb {
  driver = pam
  args = failure_show_msg=yes %s
}
userdb {
  driver = passwd
  override_fields = mail=maildir:~/Maildir
}
"""


@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or not libpam.available() or shutil.which("useradd") is None,
    reason="needs root, PAM and useradd",
)
def test_pam(system_user: tuple[str, str], pam_service: str) -> None:
    name, password = system_user
    with running(PAM_CONF % pam_service) as (cluster, auth):
        assert login(auth, name, password) == f"OK\t1\tuser={name}\t".encode()
        assert login(auth, name, "wrong").startswith(f"FAIL\t1\tuser={name}".encode())
        assert login(auth, "no-such-user-here", "x").startswith(b"FAIL\t1\tuser=no-such-user-here")
        with AuthMaster(str(cluster.place.run / "auth-master")) as master:
            found = master.user(name, service="imap")
            assert found is not None
            assert (found.fields["home"], found.fields["mail"]) == (f"/srv/{name}", "maildir:~/Maildir")
        log = cluster.place.log_text()
    where = r"auth-worker\(\d+\): Info: conn unix:auth-worker \(pid=\d+,uid=\d+\): auth-worker<\d+>: "
    refused = r"pam_authenticate\(\) failed: Authentication failure \(Password mismatch\?\)"
    assert re.search(where + rf"pam\({name},192\.0\.2\.7\): " + refused, log), log
    assert password not in log.replace(str(cluster.place.root), "")


SHADOW_CONF = """\
auth_mechanisms = plain cram-md5
passdb {
  driver = shadow
}
userdb {
  driver = passwd
}
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("useradd") is None, reason="needs root and useradd")
def test_shadow(system_user: tuple[str, str]) -> None:
    name, password = system_user
    with running(SHADOW_CONF) as (_cluster, auth):
        assert login(auth, name, password) == f"OK\t1\tuser={name}\t".encode()
        assert login(auth, name, "wrong") == f"FAIL\t1\tuser={name}".encode()
        assert login(auth, "daemon", "").startswith(b"FAIL")

"""passdb pam with its arguments: what PAM is asked to do, and what clients are told, as by Dovecot."""

import os
import secrets
import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.authdb import libpam
from tests.support import authlab
from tests.support.cluster import Cluster
from tests.support.dovecot import DovecotInstance, dovecot_missing
from tests.support.serverconf import ServerDir
from tests.support.systemusers import add_system_user, remove_system_user

pytestmark = [
    pytest.mark.process,
    pytest.mark.compat,
    pytest.mark.root,
    pytest.mark.skipif(bool(dovecot_missing()), reason=dovecot_missing() or "installed"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not libpam.available() or shutil.which("useradd") is None,
        reason="needs root, PAM and useradd",
    ),
]
CONF = """\
auth_failure_delay = 0
auth_verbose = yes
auth_mechanisms = plain
auth_cache_size = 1M
passdb {
  driver = pam
  args = %s
}
userdb {
  driver = passwd
}
"""
# Steps leave marks.
STACK = """\
auth required pam_unix.so nodelay
account required pam_unix.so
account optional pam_exec.so /usr/bin/touch {marks}/account
session required pam_permit.so
session optional pam_exec.so type=open_session /usr/bin/touch {marks}/opened
session optional pam_exec.so type=close_session /usr/bin/touch {marks}/closed
"""
BROKEN = STACK.replace("session required pam_permit.so", "session required pam_deny.so")
REFUSING = """\
auth optional pam_echo.so Not %u, not today
auth required pam_deny.so
account required pam_unix.so
"""


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """A system user with the password tiger."""
    name = "pd" + secrets.token_hex(3)
    add_system_user(name, "--no-create-home", "--home-dir", f"/srv/{name}", password="tiger")
    try:
        yield name
    finally:
        remove_system_user(name)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """The name of a PAM service whose steps leave marks in tmp_path; NAMEno and NAMEbroken are others."""
    name = "pdtest" + secrets.token_hex(3)
    paths = [Path("/etc/pam.d") / f"{name}{more}" for more in ("", "no", "broken")]
    paths[0].write_text(STACK.format(marks=tmp_path))
    paths[1].write_text(REFUSING)
    paths[2].write_text(BROKEN.format(marks=tmp_path))
    yield name
    for path in paths:
        path.unlink()


def login(lab: authlab.SocketAuth, user: str, password: str, service: str) -> str:
    connection = lab.connect("auth-client")
    try:
        while lab.line(connection, 10.0) not in (b"DONE\n", b"", None):
            pass
        response = b64encode(f"\0{user}\0{password}".encode()).decode()
        line = f"AUTH\t1\tPLAIN\tservice={service}\trip=10.0.0.1\tno-penalty\tresp={response}\n"
        connection.send(f"VERSION\t1\t2\nCPID\t{os.getpid()}\n{line}".encode())
        answer = lab.line(connection, 20.0)
        assert answer
        return answer.decode().rstrip("\n")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("args", "marks"),
    [
        ("{}", {"account"}),
        ("session=yes {}", {"account", "opened", "closed"}),
        ("-session setcred=yes max_requests=2 {}", {"account", "opened", "closed"}),
        ("cache_key=%u {}", {"account"}),
        ("*", {"account"}),  # the name of the service that the client names
        ("failure_show_msg=yes {}no", set()),
        ("{}no", set()),
        ("session=yes {}broken", {"account", "opened"}),
    ],
)
def test_arguments(user: str, service: str, tmp_path: Path, args: str, marks: set[str]) -> None:
    said, left, failed = [], [], []
    for kind in (DovecotInstance, Cluster):
        place = ServerDir.make()
        server = kind(CONF % args.format(service), static_users=False, place=place)
        try:
            server.start()
            lab = authlab.SocketAuth("", place.run, place.log_text)
            known = [login(lab, user, "tiger", service), login(lab, user, "wrong", service)]
            said.append([*known, login(lab, "no-such-user-here", "x", service)])
            left.append({path.name for path in tmp_path.iterdir()})
            for path in tmp_path.iterdir():
                path.unlink()
            again = login(lab, user, "tiger", service)
            failed.append((again, {path.name for path in tmp_path.iterdir()}))
            for path in tmp_path.iterdir():
                path.unlink()
        finally:
            server.close()
    assert said[1] == said[0]
    assert left == [marks, marks]
    assert failed[1] == failed[0]  # with cache_key PAM is not asked a second time
    refused = args.endswith(("no", "broken"))
    assert said[1][0].startswith("FAIL" if refused else "OK")

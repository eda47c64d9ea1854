"""RPOP (RFC 1081) on the whole server: ids from passwd-file, costly hashes, the cache, the log, fetchmail."""

import contextlib
import os
import poplib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pydovecot.password import schemes
from pydovecot.services.auth import penalty
from tests.support.clients import need
from tests.support.cluster import Cluster
from tests.support.ports import wait_for_greeting
from tests.support.serverconf import NO_PENALTY, ServerDir

pytestmark = pytest.mark.process

PASSWORD, ID = "secret-password", "secret-id"
CONF = """\
pop3_rpop = yes
auth_verbose = yes
auth_debug = yes
auth_cache_size = 1M
passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%u
}}
"""
# Failed logins would make the next ones from the same address slow.
REFUSED = b"-ERR [AUTH] Authentication failed."


def users() -> str:
    """own: an id of its own. hashed: a hash of it. none: only a password. any: no password at all."""
    costly = schemes.generate("SHA512-CRYPT", ID.encode(), user="hashed", random=os.urandom, rounds=1000)
    lines = {
        "own": f"{{PLAIN}}{PASSWORD}::::::rpop_id={ID}",
        "hashed": f"{{PLAIN}}{PASSWORD}::::::rpop_id={costly}",
        "none": f"{{PLAIN}}{PASSWORD}::::::",
        "any": f"::::::nopassword=y rpop_id={ID}",
        "far": f"{{PLAIN}}{PASSWORD}::::::rpop_id={ID} allow_nets=192.0.2.0/24",
        "empty": f"{{PLAIN}}{PASSWORD}::::::rpop_id=",
    }
    return "".join(f"{name}:{rest}\n" for name, rest in lines.items())


@contextlib.contextmanager
def running(extra: str = "", *, penalties: bool = False) -> Iterator[Cluster]:
    place = ServerDir.make()
    path = place.root / "users"
    path.write_text(users())
    path.chmod(0o644)
    conf = CONF.format(users=path, uid=place.mail_uid, gid=place.mail_gid, root=place.root)
    extra += "" if penalties else NO_PENALTY
    cluster = Cluster(conf + extra, static_users=False, place=place)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.close()


def attempt(
    server: Cluster, user: str, command: str, secret: str, source: tuple[str, int] | None = None
) -> bytes:
    """The answer to `command secret`."""
    with socket.create_connection(("127.0.0.1", server.pop3), timeout=60, source_address=source) as sock:
        stream = sock.makefile("rb")
        stream.readline()
        for line in (f"USER {user}", f"{command} {secret}"):
            sock.sendall(line.encode() + b"\r\n")
            answer = stream.readline()
        stream.close()
    return answer.rstrip(b"\r\n")


def test_who_gets_in() -> None:
    with running() as server:
        for user in ("own", "hashed", "any"):
            for _ in range(2):  # the second time the password may come out of the cache
                assert attempt(server, user, "RPOP", ID) == b"+OK Logged in.", user
                assert attempt(server, user, "RPOP", PASSWORD) == REFUSED, user
        assert attempt(server, "none", "RPOP", PASSWORD) == b"+OK Logged in."
        assert attempt(server, "none", "RPOP", ID) == REFUSED
        for user in ("own", "hashed", "none", "far"):
            # PASS knows nothing of ids.
            assert attempt(server, user, "PASS", ID) == REFUSED, user
        assert attempt(server, "own", "PASS", PASSWORD) == b"+OK Logged in."
        assert attempt(server, "far", "RPOP", ID) == REFUSED
        for secret in ("", " ", PASSWORD, ID):
            assert attempt(server, "empty", "RPOP", secret) == REFUSED, secret
        server.wait_log("user=<empty>, method=RPOP")
        log = server.place.log_text()
    assert "Login: user=<own>, method=RPOP" in log
    assert "passwd-file(own,127.0.0.1,<" in log and "Password mismatch" in log
    assert re.search(r"Aborted login|auth failed", log)
    assert PASSWORD not in log and ID not in log and "$6$" not in log


def test_wrong_ids_count_as_wrong_passwords_do() -> None:
    """For the client's address, either after the other. A lower bound: the answer may not come earlier."""

    def second_takes(first: str, second: str, source: str) -> float:
        assert attempt(server, "own", first, "wrong", (source, 0)) == REFUSED
        began = time.monotonic()
        assert attempt(server, "own", second, "wrong", (source, 0)) == REFUSED
        return time.monotonic() - began

    with running(penalties=True) as server, ThreadPoolExecutor(2) as pool:
        times = [
            pool.submit(second_takes, "RPOP", "PASS", "127.0.0.3"),
            pool.submit(second_takes, "PASS", "RPOP", "127.0.0.4"),
        ]
        assert min(taken.result() for taken in times) >= penalty.seconds(1) > 0


def test_reserved_ports() -> None:
    if os.geteuid() != 0:
        pytest.skip("a client port below 1024 needs root")
    with running("pop3_rpop_reserved_port = yes\n") as server:
        assert attempt(server, "own", "RPOP", ID) == b"-ERR [AUTH] RPOP is for clients with a reserved port."
        port = low_port()
        assert attempt(server, "own", "RPOP", ID, ("127.0.0.1", port)) == b"+OK Logged in."
        server.wait_log("RPOP failed: Client port ")


def test_not_with_tls_missing() -> None:
    with running("disable_plaintext_auth = yes\nssl = required\n") as server:
        # 127.0.0.2 is another host than 127.0.0.1, as far as the server can see.
        answer = attempt(server, "own", "RPOP", ID, ("127.0.0.2", 0))
        assert answer.startswith(b"-ERR [AUTH] Plaintext authentication disallowed")
        client = poplib.POP3_SSL("127.0.0.1", server.pop3s, timeout=60)
        client.user("own")
        assert client._shortcmd(f"RPOP {ID}") == b"+OK Logged in."  # type: ignore[attr-defined]
        client.quit()


def low_port() -> int:
    """A free port below 1024."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.skip("no free port below 1024")


@pytest.mark.clients
def test_fetchmail_with_rpop(tmp_path: Path) -> None:
    """fetchmail speaks RPOP only to servers with a port below 1024."""
    program = need("fetchmail")
    if os.geteuid() != 0:
        pytest.skip("a server port below 1024 needs root")
    port = low_port()
    listener = f"service pop3-login {{\n  inet_listener low {{\n    port = {port}\n  }}\n}}\n"
    with running(listener) as server:
        wait_for_greeting(port)
        box = server.place.maildir("own") / "new"
        box.mkdir(parents=True)
        (box / "1600000000.M1P1.rpop").write_bytes(b"Subject: by RPOP\n\nbody\n")
        server.place.give_to_mail_user(server.place.home("own"))
        rc = tmp_path / "fetchmailrc"
        rc.touch(mode=0o600)
        rc.write_text(
            f"set invisible\npoll 127.0.0.1 service {port} protocol RPOP\n"
            f"  user own password {ID} sslproto ''\n"
            f'  mda "cat > {tmp_path}/got" no rewrite fetchall nokeep\n'
        )
        done = subprocess.run(
            [program, "-f", str(rc), "--pidfile", str(tmp_path / "pid"), "-v"],
            capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        server.wait_log("method=RPOP")
    assert b"Subject: by RPOP" in (tmp_path / "got").read_bytes()
    assert "RPOP *" in done.stdout

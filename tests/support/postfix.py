"""A private Postfix on loopback: own queue, own configuration, own port. Needs root, as Postfix does.

    with Postfix("virtual_transport = lmtp:unix:/run/lmtp\\n") as postfix:
        smtplib.SMTP("127.0.0.1", postfix.port)
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.support.ports import free_ports, wait_for_greeting

PROGRAM: Final = "/usr/sbin/postfix"
STOP_SECS: Final = 60.0
SERVICES: Final = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log
maillog_file_prefixes = {root}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
# Loopback is nobody special here: who relays must say who he is.
mynetworks = 192.0.2.1/32
local_recipient_maps =
alias_maps =
biff = no
default_transport = discard
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
minimal_backoff_time = 1s
queue_run_delay = 1s
"""


def postfix_missing() -> str:
    """Why there is no Postfix to test with; empty when there is."""
    if not Path(PROGRAM).exists():
        return "Postfix is not installed"
    return "" if os.geteuid() == 0 else "Postfix needs root"


class Postfix:
    """Postfix in a temporary directory."""

    def __init__(self, extra: str) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pdpostfix"))
        self.root.chmod(0o755)
        (self.port,) = free_ports(1)
        owner = pwd.getpwnam("postfix")
        for name in ("conf", "queue", "data"):
            (self.root / name).mkdir()
        os.chown(self.root / "data", owner.pw_uid, owner.pw_gid)
        (self.root / "conf" / "main.cf").write_text(MAIN.format(root=self.root) + extra)
        (self.root / "conf" / "master.cf").write_text(SERVICES.format(port=self.port))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What Postfix said."""
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> "Postfix":
        """Start and wait for the greeting."""
        with (self.root / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [PROGRAM, "-c", str(self.root / "conf"), "start-fg"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for_greeting(self.port)
        except TimeoutError as exc:
            said = (self.root / "output").read_text() + self.log
            self.close()
            raise AssertionError(f"Postfix did not start: {said}") from exc
        return self

    def wait_log(self, text: str, seconds: float = 60) -> None:
        """Wait for a line in its log."""
        end = time.monotonic() + seconds
        while text not in self.log:
            if time.monotonic() > end:
                raise AssertionError(f"Postfix did not log {text}:\n{self.log[-3000:]}")
            time.sleep(0.05)

    def close(self) -> None:
        """Stop it and remove its files."""
        process, self._process = self._process, None
        if process is not None:
            subprocess.run(
                [PROGRAM, "-c", str(self.root / "conf"), "stop"], capture_output=True, timeout=30, check=False
            )
            try:
                process.wait(STOP_SECS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> "Postfix":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

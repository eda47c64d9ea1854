"""A private instance of the installed Dovecot, for comparison.

    with DovecotInstance("pop3_enable_last = yes\\n") as dovecot:
        imaplib.IMAP4("127.0.0.1", dovecot.imap).login("anyone", "wonder")

Own base_dir, own ports, own log; any user name exists (see serverconf). Stopped and removed at the end.
"""

import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.support.ports import wait_for_greeting
from tests.support.serverconf import ServerDir, render

SBIN = "/usr/sbin:/usr/bin:/sbin:/bin"


def dovecot_missing() -> str:
    """Why Dovecot cannot be compared with; empty when it can."""
    return "" if shutil.which("dovecot", path=SBIN) else "Dovecot is not installed"


class DovecotInstance:
    """The installed Dovecot on a `ServerDir`."""

    name = "dovecot"

    def __init__(self, extra: str = "", *, static_users: bool = True, place: ServerDir | None = None) -> None:
        self.place = place or ServerDir.make()
        self.extra = extra
        self._static_users = static_users
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def imap(self) -> int:
        return self.place.imap

    @property
    def imaps(self) -> int:
        return self.place.imaps

    @property
    def pop3(self) -> int:
        return self.place.pop3

    @property
    def pop3s(self) -> int:
        return self.place.pop3s

    @property
    def conf(self) -> Path:
        return self.place.root / "dovecot.conf"

    @property
    def master_pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "DovecotInstance":
        """Write the configuration and wait until the IMAP and POP3 ports greet."""
        self.conf.write_text(render(self.place, self.extra, static_users=self._static_users))
        program = shutil.which("dovecot", path=SBIN)
        assert program, "Dovecot is not installed"
        with (self.place.root / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [program, "-F", "-c", str(self.conf)], stdin=subprocess.DEVNULL, stderr=stderr
            )
        try:
            wait_for_greeting(self.imap)
            wait_for_greeting(self.pop3)
        except TimeoutError as exc:
            problems = (self.place.root / "stderr").read_text() + self.place.log_text()
            self.stop()
            raise AssertionError(f"Dovecot did not start: {problems}") from exc
        return self

    def doveadm(self, *args: str) -> str:
        """Standard output of a doveadm command on this instance; raises on failure."""
        program = shutil.which("doveadm", path=SBIN)
        assert program
        done = subprocess.run(
            [program, "-c", str(self.conf), *args], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def doveconf(self, *args: str) -> str:
        program = shutil.which("doveconf", path=SBIN)
        assert program
        done = subprocess.run(
            [program, "-c", str(self.conf), *args], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def reload(self) -> None:
        """SIGHUP."""
        assert self._process
        self._process.send_signal(signal.SIGHUP)
        time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server, keep its files."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop the server and remove its files."""
        self.stop()
        self.place.close()

    def __enter__(self) -> "DovecotInstance":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

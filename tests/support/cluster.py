"""Our server as a whole: the real process tree in a temporary directory on free ports.

    with Cluster("verbose_proctitle = yes\\n") as cluster:
        imaplib.IMAP4("127.0.0.1", cluster.imap).login("anyone", "wonder")

The same configuration and the same attributes as DovecotInstance. Runs as whoever runs the tests; when that
is root, `ordinary_user=True` makes it run as somebody else.
"""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from tests.support.ordinary import ORDINARY_USER, python_for_everyone
from tests.support.ports import wait_for_greeting
from tests.support.serverconf import ServerDir, render

REPOSITORY = Path(__file__).resolve().parents[2]
STOP_SECS = 60
RELOAD_SECS, LEAVE_SECS = 20, 2


class Cluster:
    """pydovecot on a `ServerDir`."""

    name = "ours"

    def __init__(
        self,
        extra: str = "",
        *,
        static_users: bool = True,
        place: ServerDir | None = None,
        ordinary_user: bool = False,
    ) -> None:
        self.place = place or ServerDir.make()
        self.extra = extra
        self._static_users = static_users
        self._process: subprocess.Popen[bytes] | None = None
        self._user: int | None = None
        self._group: int | None = None
        if ordinary_user and os.geteuid() == 0:
            entry = pwd.getpwnam(ORDINARY_USER)
            self._user, self._group = entry.pw_uid, entry.pw_gid
            self.place.mail_uid, self.place.mail_gid = entry.pw_uid, entry.pw_gid
            os.chown(self.place.root, entry.pw_uid, entry.pw_gid)
            os.chown(self.place.root / "mail", entry.pw_uid, entry.pw_gid)

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

    def write_conf(self, extra: str | None = None) -> None:
        """(Re)write dovecot.conf; call `reload` after it."""
        if extra is not None:
            self.extra = extra
        self.conf.write_text(render(self.place, self.extra, static_users=self._static_users))
        self.conf.chmod(0o644)

    def start(self, env: dict[str, str] | None = None) -> "Cluster":
        """Start and wait until the IMAP and POP3 ports greet."""
        self.write_conf()
        python, more = ([sys.executable], {}) if self._user is None else python_for_everyone()
        with (self.place.root / "stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                [*python, "-m", "pydovecot.cli.pydovecot", "-F", "-c", str(self.conf)],
                cwd=REPOSITORY if self._user is None else "/",
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, **more, **(env or {})},
                user=self._user,
                group=self._group,
                extra_groups=[] if self._user is not None else None,
            )
        try:
            wait_for_greeting(self.imap)
            wait_for_greeting(self.pop3)
        except TimeoutError as exc:
            problems = (self.place.root / "stderr").read_text() + self.place.log_text()
            self.stop()
            raise AssertionError(f"pydovecot did not start: {problems}") from exc
        return self

    def reload(self) -> None:
        """SIGHUP; returns when it was heard and login processes of before take no more clients."""
        heard = self.place.log_text().count("SIGHUP received")
        old = {pid for protocol in ("imap", "pop3") for pid in self.pids(f"{protocol}-login")}
        self._send(signal.SIGHUP)
        end = time.monotonic() + RELOAD_SECS
        while self.place.log_text().count("SIGHUP received") == heard and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.2)
        end = time.monotonic() + LEAVE_SECS
        # One that has TLS sessions stays for them.
        while old & set(self.titles()) and time.monotonic() < end:
            time.sleep(0.02)

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def pids(self, service: str) -> list[int]:
        """Processes of one service, from their titles."""
        title = f"pydovecot/{service}"
        return [pid for pid, shown in self.titles().items() if shown.split(" ")[0] == title]

    def titles(self) -> dict[int, str]:
        """Titles of all processes below the master: its children, and those of its templates."""
        found: dict[int, str] = {}
        todo = [self.master_pid]
        while todo:
            parent = todo.pop()
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
                todo += map(int, children.split())
                if parent != self.master_pid:
                    found[parent] = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")[0].decode()
        return dict(sorted(found.items()))

    def wait_log(self, text: str, seconds: float = 60.0) -> None:
        """Wait for a line in the log."""
        end = time.monotonic() + seconds
        while text not in self.place.log_text():
            if time.monotonic() > end:
                raise AssertionError(f"not logged: {text}\n{self.place.log_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server, keep its files."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop the server and remove its files."""
        self.stop()
        self.place.close()

    def __enter__(self) -> "Cluster":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

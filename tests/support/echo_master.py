"""Starts the toy server of echo_roles in a directory of its own, and talks to it."""

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pydovecot.settings.master import Configuration, Listener, ServiceConfig

START_SECS = 20


def wait_until(check: Callable[[], object], what: str, seconds: float = 60.0) -> object:
    """Poll until `check` gives something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = check()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"timed out waiting for {what}")


class Toys:
    """One toy master. `configure` before `start`, or before `reload`."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pdm"))
        self.root.chmod(0o755)
        self.run = self.root / "run"
        self.config = self.root / "config.json"
        self.process: subprocess.Popen[bytes] | None = None
        self.settings: dict[str, str] = {
            "log_path": str(self.root / "log"),
            "default_login_user": "" if os.geteuid() else "nobody",
        }

    def unix(self, name: str, **more: object) -> Listener:
        """A UNIX listener below base_dir."""
        return Listener("unix", name, path=str(self.run / name), **more)  # type: ignore[arg-type]

    def service(self, name: str, role: str = "", **more: object) -> ServiceConfig:
        """A service with one UNIX listener of its name, unless `listeners` says otherwise."""
        more.setdefault("listeners", (self.unix(name),))
        return ServiceConfig(name=name, executable=role or name, **more)  # type: ignore[arg-type]

    def configure(self, *services: ServiceConfig) -> None:
        """Write the configuration: log, anvil, and these."""
        log = self.service("log", type="log", process_limit=1, listeners=(self.unix("log-errors"),))
        anvil = self.service(
            "anvil",
            type="anvil",
            process_limit=1,
            process_min_avail=1,
            idle_kill=0xFFFFFFFF,
            listeners=(self.unix("anvil"), self.unix("anvil-auth-penalty")),
        )
        configuration = Configuration(
            path=str(self.config),
            base_dir=str(self.run),
            state_dir=str(self.root / "state"),
            libexec_dir="/nowhere",
            instance_name="toys",
            protocols=("toy",),
            settings=self.settings,
            services=(log, anvil, *services),
        )
        self.config.write_text(configuration.to_json())

    def start(self, env: dict[str, str] | None = None, pass_fds: tuple[int, ...] = ()) -> None:
        """Start the master and wait until it says so."""
        with (self.root / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.echo_roles", str(self.config)],
                env={**os.environ, **(env or {})},
                pass_fds=pass_fds,
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )
        self.wait_log("starting up for")

    def log(self) -> str:
        """All that was logged."""
        path = self.root / "log"
        return path.read_text() if path.exists() else ""

    def stderr(self) -> str:
        """What went to stderr."""
        return (self.root / "stderr").read_text()

    def wait_log(self, text: str, seconds: float = START_SECS) -> None:
        """Wait for a log line with `text`."""

        def there() -> bool:
            if self.process is not None and self.process.poll() is not None and text not in self.log():
                raise AssertionError(f"the master has ended: {self.stderr()}{self.log()}")
            return text in self.log()

        try:
            wait_until(there, text, seconds)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.log()}") from None

    def signal(self, number: int) -> None:
        """Signal the master."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """TERM; returns the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.process.wait(20)

    def close(self) -> None:
        """Stop and remove everything."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def connect(self, name: str) -> "Talk":
        """Connect to a UNIX socket below base_dir."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(60)
        sock.connect(str(self.run / name))
        return Talk(sock)

    def ask(self, name: str, line: str) -> str:
        """One line on a new connection."""
        with self.connect(name) as talk:
            return talk.ask(line)

    def status(self, command: str = "SERVICE-STATUS") -> dict[str, list[str]]:
        """Rows of the master socket by their first field."""
        with self.connect("master") as talk:
            talk.sock.sendall(b"VERSION\tmaster-client\t1\t0\n" + command.encode() + b"\n")
            data = b""
            while not data.endswith(b"\n\n"):
                more = talk.sock.recv(65536)
                assert more, data
                data += more
        rows = [row.split("\t") for row in data.decode().splitlines()[1:] if row]
        return {row[0]: row[1:] for row in rows}

    def pids(self, service: str) -> list[int]:
        """Processes of a service."""
        with self.connect("master") as talk:
            talk.sock.sendall(f"VERSION\tmaster-client\t1\t0\nPROCESS-STATUS\t{service}\n".encode())
            data = b""
            while not data.endswith(b"\n\n"):
                data += talk.sock.recv(65536)
        return [int(row.split("\t")[1]) for row in data.decode().splitlines()[1:] if row]


@dataclasses.dataclass
class Talk:
    """One connection, closed on exit."""

    sock: socket.socket

    def ask(self, line: str) -> str:
        """Send a line, return the answer without its LF; "" when the peer closed."""
        self.sock.sendall(line.encode() + b"\n")
        return self.line()

    def line(self) -> str:
        """The next line."""
        data = b""
        while not data.endswith(b"\n"):
            try:
                more = self.sock.recv(1)
            except ConnectionResetError:
                break
            if not more:
                break
            data += more
        return data.decode().rstrip("\n")

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

"""Debian's Roundcube in PHP's own web server, with a configuration and a database of its own."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.support.cert import shared_certificate
from tests.support.ports import free_ports

PROGRAM = Path("/var/lib/roundcube")
SCHEMA = PROGRAM / "SQL" / "sqlite.initial.sql"
DEFAULTS = Path("/etc/roundcube")
NEEDED_MODULES = ("pdo_sqlite", "mbstring", "intl", "xml")


def roundcube_missing() -> str:
    """What is not installed; empty when all is."""
    php = shutil.which("php")
    if not php:
        return "php"
    if not SCHEMA.exists() or not (DEFAULTS / "defaults.inc.php").exists():
        return "Roundcube"
    modules = subprocess.run([php, "-m"], capture_output=True, text=True, check=True).stdout.lower().split()
    return ", ".join(f"PHP's {name}" for name in NEEDED_MODULES if name not in modules)


class Roundcube:
    """A running Roundcube for one IMAP server; ends with the `with` block.

    `host` is Roundcube's form: `127.0.0.1:143`, `tls://localhost:143`, `ssl://localhost:993`.
    """

    def __init__(self, home: Path, host: str) -> None:
        self.home, self.port = home, free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("config", "temp", "logs"):
            (home / name).mkdir()
        for name in ("defaults.inc.php", "mimetypes.php"):
            (home / "config" / name).symlink_to(DEFAULTS / name)
        with sqlite3.connect(home / "roundcube.db") as database:
            database.executescript(SCHEMA.read_text())
        database.close()
        settings = {
            "db_dsnw": f"'sqlite:///{home}/roundcube.db?mode=0600'",
            "imap_host": f"'{host}'",
            "imap_conn_options": f"['ssl' => ['cafile' => '{shared_certificate().cert}']]",
            "imap_cache": "'db'",
            "messages_cache": "'db'",
            "imap_debug": "true",
            "smtp_host": "'127.0.0.1:9'",
            "des_key": "'a key of 24 characters..'",
            "temp_dir": f"'{home}/temp'",
            "log_dir": f"'{home}/logs'",
            "plugins": "[]",
            "language": "'en_US'",
            "enable_installer": "false",
            "create_default_folders": "true",
            "check_all_folders": "true",
            "preview_pane_mark_read": "0",
            "enable_spellcheck": "false",
            "session_lifetime": "60",
        }
        lines = "".join(f"$config['{name}'] = {value};\n" for name, value in settings.items())
        (home / "config" / "config.inc.php").write_text(f"<?php\n{lines}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def conversation(self) -> str:
        """What Roundcube and the IMAP server said to each other so far."""
        return (self.home / "logs" / "imap.log").read_text(errors="replace")

    def __enter__(self) -> "Roundcube":
        program = shutil.which("php")
        assert program
        env = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8",
            "ROUNDCUBE_CONFIG_DIR": str(self.home / "config"), "PHP_CLI_SERVER_WORKERS": "3",
        }  # fmt: skip
        options = ("display_errors=0", f"session.save_path={self.home}/temp", "date.timezone=UTC")
        words = [word for option in options for word in ("-d", option)]
        with (self.home / "php.out").open("wb") as output:
            self._process = subprocess.Popen(
                [program, *words, "-S", f"127.0.0.1:{self.port}", "-t", str(PROGRAM)],
                cwd=self.home, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 60
        while b"started" not in (self.home / "php.out").read_bytes():
            assert time.monotonic() < end and self._process.poll() is None, "PHP did not start"
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The server and its workers, which are its process group."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

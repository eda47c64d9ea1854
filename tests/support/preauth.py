"""The installed Dovecot's imap process on a pipe, already logged in, over a Maildir of given messages."""

import grp
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

IMAP = "/usr/lib/dovecot/imap"
CONF = """base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/log
mail_location = maildir:{root}/Maildir
ssl = no
imap_max_line_length = 1M
passdb {{
  driver = static
}}
userdb {{
  driver = static
}}
"""
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_FETCH = re.compile(rb"\* (\d+) FETCH \(")
_TIMING = re.compile(rb" \([^()]* secs\)\.?")


class DovecotEndedError(Exception):
    """The imap process went away instead of answering; the text is the end of its log."""


def missing() -> str:
    """Why there is nothing to compare with; empty when there is."""
    return "" if os.access(IMAP, os.X_OK) else "Dovecot is not installed"


class PreauthImap:
    """One IMAP session in PREAUTH state with INBOX selected; messages have sequence numbers 1, 2, …"""

    def __init__(self, messages: Sequence[bytes], zone: str = "UTC") -> None:
        self.root = Path(tempfile.mkdtemp(prefix="preauth-"))
        for sub in ("run", "Maildir/cur", "Maildir/new", "Maildir/tmp"):
            (self.root / sub).mkdir(parents=True)
        for number, message in enumerate(messages):
            name = f"{1600000000 + number}.M{number:06d}.host:2,S"
            (self.root / "Maildir/cur" / name).write_bytes(message)
        (self.root / "dovecot.conf").write_text(CONF.format(root=self.root))
        self._zone = zone
        self._as_user: dict[str, object] = {}
        if os.getuid() == 0:
            user, group = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("nogroup").gr_gid
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, user, group)
            self._as_user = {"user": user, "group": group, "extra_groups": []}
        self._start()

    def _start(self) -> None:
        env = {"HOME": str(self.root), "USER": "nobody", "PATH": "/usr/sbin:/usr/bin:/bin", "TZ": self._zone}
        self._process = subprocess.Popen(  # type: ignore[call-overload]
            [IMAP, "-c", str(self.root / "dovecot.conf")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            **self._as_user,
        )
        self._count = 0
        self._process.stdout.readline()
        self.command(b"SELECT INBOX")

    def restart(self) -> None:
        """A new process on the same mailbox, when the old one ended."""
        self._stop()
        self._start()

    def command(self, text: bytes) -> list[bytes]:
        """Send one command (literals as `{n+}`); return the untagged responses whole, literals inside."""
        *responses, status = self.ask(text)
        assert status.startswith(b"OK"), status
        return responses

    def ask(self, text: bytes) -> list[bytes]:
        """As `command`, but any status will do: it is the last one, without tag and timing."""
        self._count += 1
        tag = b"t%d" % self._count
        try:
            self._process.stdin.write(tag + b" " + text + b"\r\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise DovecotEndedError(self._log()) from None
        responses: list[bytes] = []
        while True:
            response = self._line()
            if response.startswith(tag + b" "):
                responses.append(_TIMING.sub(b"", response.partition(b" ")[2]).rstrip(b"\r\n"))
                return responses
            last = response
            while (found := _LITERAL.search(last)) is not None:
                response += self._process.stdout.read(int(found[1]))
                last = self._line()
                response += last
            responses.append(response)

    def _line(self) -> bytes:
        line: bytes = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise DovecotEndedError(self._log()[-1000:])
        return line

    def _log(self) -> str:
        log = self.root / "log"
        return log.read_text() if log.exists() else ""

    def fetch(self, items: bytes, seqs: bytes = b"1:*") -> dict[int, bytes]:
        """Sequence number to what stands between the parentheses."""
        answers: dict[int, bytes] = {}
        for response in self.command(b"FETCH " + seqs + b" (" + items + b")"):
            if (found := _FETCH.match(response)) is not None:
                answers[int(found[1])] = response[found.end() : -3]
        return answers

    def search(self, key: bytes, text: str | None = None) -> list[int]:
        """SEARCH with an optional last string."""
        if text is not None:
            data = text.encode()
            key += b" {%d+}\r\n%b" % (len(data), data)
        (answer,) = [r for r in self.command(b"SEARCH CHARSET UTF-8 " + key) if r.startswith(b"* SEARCH")]
        return [int(number) for number in answer.split()[2:]]

    def close(self) -> None:
        """End the process and remove its files."""
        self._stop()
        shutil.rmtree(self.root)

    def _stop(self) -> None:
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def __enter__(self) -> "PreauthImap":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""Debian's imap process, already logged in on a pipe, over a Maildir that others use as well."""

import os
import re
import subprocess
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

IMAP = "/usr/lib/dovecot/imap"
NOBODY = 65534
CONF = """base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/log
mail_location = {location}
ssl = no
first_valid_uid = 1
mail_fsync = never
passdb {{
  driver = static
}}
userdb {{
  driver = static
}}
"""
_ROW = re.compile(
    rb"\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) BODY\[HEADER.FIELDS \(SUBJECT\)\] \{\d+\}\r\n"
    rb"(?:Subject: (\d+)\r\n)?\r\n\)"
)
NO_LOG = "without a line in its log"


def missing() -> str:
    """Why there is nothing to compare with; empty when there is."""
    return "" if os.access(IMAP, os.X_OK) else "Dovecot is not installed"


def as_ordinary_user(work: Callable[[], None]) -> None:
    """Run `work` in a child that is no root (Dovecot serves no root mail); its failure is ours."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - told to the parent
            os.write(writing, traceback.format_exc().encode()[-60000:])
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as stream:
        trouble = stream.read().decode()
    _, status = os.waitpid(pid, 0)
    assert status == 0 and not trouble, trouble or f"the child ended with {status}"


def user_directory() -> Path:
    """A directory that belongs to the user of `as_ordinary_user`."""
    path = Path(tempfile.mkdtemp(prefix="coexist-"))
    if os.getuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return path


class DovecotImap:
    """One session with INBOX selected."""

    def __init__(
        self, root: Path, maildir: Path, name: str = "d", *, location: str = "", more: str = ""
    ) -> None:
        place = root / name
        (place / "run").mkdir(parents=True, exist_ok=True)
        text = CONF.format(root=place, location=location or f"maildir:{maildir}") + more
        (place / "dovecot.conf").write_text(text)
        self._log = place / "log"
        self._process = subprocess.Popen(
            [IMAP, "-c", str(place / "dovecot.conf")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"HOME": str(root), "USER": "nobody", "PATH": "/usr/sbin:/usr/bin:/bin"},
        )
        self._last = b""
        self._line()
        self.command(b"SELECT INBOX")

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._end()
        self._last = line
        return line

    def _end(self) -> AssertionError:
        """Why there is no more answer: what it logged and how its process ended."""
        status = self._process.wait(10)
        log = self._log.read_text().strip() if self._log.exists() else ""
        return AssertionError(f"Dovecot ended: {log or NO_LOG} (status {status}, at last {self._last!r})")

    def command(self, text: bytes, literal: bytes | None = None) -> bytes:
        """All that is answered up to the tagged line, which must be OK."""
        answer = self.ask(text, literal)
        assert re.search(rb"^t OK", answer, re.MULTILINE), answer
        return answer

    def ask(self, text: bytes, literal: bytes | None = None) -> bytes:
        """All that is answered up to the tagged line."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(
            b"t " + text + (b" {%d+}\r\n%s" % (len(literal), literal) if literal else b"") + b"\r\n"
        )
        self._process.stdin.flush()
        answer = b""
        while True:
            line = self._line()
            answer += line
            if match := re.search(rb"\{(\d+)\}\r\n\Z", line):
                answer += self._process.stdout.read(int(match[1]))
            if line.startswith(b"t "):
                return answer

    def append(self, text: bytes, flags: bytes = b"") -> int:
        """APPEND to INBOX; the UID."""
        answer = self.command(b"APPEND INBOX (" + flags + b")", text)
        match = re.search(rb"\[APPENDUID \d+ (\d+)\]", answer)
        assert match, answer
        return int(match[1])

    def rows(self) -> dict[int, tuple[int, frozenset[str]]]:
        """Subject number and flags (no Recent) of all messages by UID."""
        self.command(b"NOOP")
        answer = self.command(b"UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        return {
            int(match[1]): (int(match[3] or 0), frozenset(match[2].decode().split()) - {"\\Recent"})
            for match in _ROW.finditer(answer)
        }

    def trouble(self) -> list[str]:
        """Lines of its log that are worse than a remark."""
        if not self._log.exists():
            return []
        return [
            line
            for line in self._log.read_text().splitlines()
            if re.search("Error|Panic|Fatal|Warning", line)
        ]

    def close(self) -> None:
        """Log out."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.read()
        self._process.stdout.close()
        self._process.wait(10)

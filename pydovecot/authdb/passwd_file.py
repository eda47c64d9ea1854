"""Files of users: `user:password:uid:gid:gecos:home:shell:extra fields` (features E-33).

A file is read whole and again when it changed. Lines are only cut at the first colon then; the rest is
taken apart when its user is asked for, so that a file of 100,000 users is read in a fraction of a second.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pydovecot.authdb import userdb_fields
from pydovecot.event.event import Event

MAX_FILE_BYTES: Final = 1 << 30
# libpam-pwdfile writes the kind of password in brackets after it; Dovecot adds 56.
_BRACKETS: Final = {"34": "{PLAIN-MD5}", "56": "{DIGEST-MD5}"}

Stamp = tuple[int, int, int, int]


class FileFailed(Exception):
    """The file cannot be read; the text says why."""


class FileMissing(FileFailed):
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class FileUser:
    """One line, taken apart. `uid`, `gid` and `home` are "" where the line has none.

    `in_userdb`: the line goes at least as far as the gid, be it empty. Shorter ones are for passdbs only.
    """

    password: str
    uid: str
    gid: str
    home: str
    extra: tuple[str, ...]
    in_userdb: bool = True


class PasswdFile:
    """One file. `is_userdb` is set when a userdb reads it: then its uids and gids must be good."""

    def __init__(self, path: str, event: Event) -> None:
        self.path = path
        self.is_userdb = False
        self._event = event
        self._stamp: Stamp | None = None
        self._lines: dict[str, str] = {}

    def find(self, user: str) -> FileUser | None:
        """The user's line, or None. Raises FileFailed."""
        self._refresh()
        line = self._lines.get(user)
        return None if line is None else self._parse(user, line)

    def users(self) -> Iterator[str]:
        """All names in the file's order. Raises FileFailed."""
        self._refresh()
        return iter(tuple(self._lines))

    def _refresh(self) -> None:
        try:
            status = os.stat(self.path)
        except (OSError, ValueError) as exc:
            self._stamp, self._lines = None, {}
            text = getattr(exc, "strerror", exc)
            kind = FileMissing if isinstance(exc, FileNotFoundError) else FileFailed
            raise kind(f"stat({self.path}) failed: {text}{_who(exc)}") from exc
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)
        if stamp == self._stamp:
            return
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            raise FileFailed(f"{self.path} is no regular file of a sensible size")
        begin = time.monotonic()
        try:
            with open(self.path, "rb") as file:
                data = file.read(status.st_size + 1)
        except OSError as exc:
            raise FileFailed(f"open({self.path}) failed: {exc.strerror}{_who(exc)}") from exc
        self._lines = self._read(data.decode("utf-8", "surrogateescape"))
        seconds = time.monotonic() - begin
        self._stamp = stamp
        self._event.debug(f"passwd-file {self.path}:Read {len(self._lines)} users in {seconds:.0f} secs")

    def _read(self, text: str) -> dict[str, str]:
        lines: dict[str, str] = {}
        for line in text.split("\n"):
            user, _, rest = line.partition(":")
            if not user or user[0] == "#":
                continue  # a comment, or no user name
            if user in lines:
                self._event.error(f"passwd-file {self.path}:User {user} exists more than once")
            else:
                lines[user] = rest
        return lines

    def _parse(self, user: str, line: str) -> FileUser | None:
        parts = line.rstrip("\r").split(":")
        in_userdb = len(parts) >= 3
        parts += [""] * (6 - len(parts))
        password, uid, gid, _gecos, home, _shell, *extra = parts
        bracket = password.find("[")
        if bracket >= 0:
            kind = password[bracket + 1 :].rstrip("]")
            password = _BRACKETS.get(kind, "{CRYPT}") + password[:bracket]
        if self.is_userdb:
            for what, text, parse in (
                ("UID", uid, userdb_fields.parse_uid),
                ("GID", gid, userdb_fields.parse_gid),
            ):
                if text and not parse(text):  # no such user, or root
                    self._event.error(f"passwd-file {self.path}:User {user} has invalid {what} '{text}'")
                    return None
        if extra and not extra[0] and not self.is_userdb:
            extra = []  # the oldest form has nothing for passdbs
        return FileUser(password, uid, gid, home, _extra_fields(extra), in_userdb)


def _who(exc: Exception) -> str:
    """Who was refused: the file must be readable for the auth process, not for root."""
    if not isinstance(exc, PermissionError):
        return ""
    return f" (euid={os.geteuid()} egid={os.getegid()})"


def _extra_fields(parts: list[str]) -> tuple[str, ...]:
    if parts and not parts[0]:
        # The oldest form has an empty field here, then the mail location; after a blank come fields.
        mail = ":".join(parts[1:])
        return tuple(f"userdb_mail={mail}".split()) if mail else ()
    return tuple(":".join(parts).split())


class PasswdFiles:
    """The files of a process: a passdb and a userdb that name the same path share it."""

    MAX_FILES: Final = 1024  # paths with %d: one file for each domain

    def __init__(self, event: Event) -> None:
        self._event = event
        self._files: dict[str, PasswdFile] = {}

    def get(self, path: str, *, userdb: bool = False) -> PasswdFile:
        """The file of that path; it need not exist yet."""
        file = self._files.get(path)
        if file is None:
            if len(self._files) >= self.MAX_FILES:
                self._files.pop(next(iter(self._files)))
            file = self._files[path] = PasswdFile(path, self._event)
        if userdb:
            file.is_userdb = True
        return file


@dataclass(frozen=True, slots=True)
class FileArgs:
    """`args` of driver passwd-file."""

    path: str
    scheme: str = "CRYPT"
    username_format: str = "%u"


def parse_args(args: str, complain: Callable[[str], None]) -> FileArgs:
    """`scheme=PLAIN username_format=%n /path`; `complain` is called for what cannot be used."""
    values = {"scheme": "CRYPT", "username_format": "%u"}
    words = args.strip()
    while True:
        first, _, rest = words.partition(" ")
        name, equals, value = first.partition("=")
        if not equals or name not in values or first.startswith("/"):
            break
        values[name] = value
        words = rest.strip()
    if not words:
        complain("passwd-file: Missing args")
    return FileArgs(words, values["scheme"], values["username_format"])

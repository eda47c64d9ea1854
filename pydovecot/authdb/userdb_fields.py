"""What the fields of a userdb mean when it gives them (features E.3)."""

import grp
import os
import pwd
from collections.abc import Callable, Iterable
from typing import Final

from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest

MAX_ID: Final = 2**32 - 2


def apply(request: AuthRequest, name: str, value: str, log: DbLog) -> None:
    """Take one field; a broken one makes the lookup a temporary failure, so that mail is not lost."""
    handler = _HANDLERS.get(name)
    if handler is not None:
        handler(request, value, log)
    elif name:
        request.userdb_fields().add(name, value)


def _uid(request: AuthRequest, value: str, log: DbLog) -> None:
    number = parse_uid(value)
    if number is None:
        log.error(request, f"Invalid UID value '{value}'")
        request.tempfail = True
    else:
        request.userdb_fields().add("uid", str(number))


def _gid(request: AuthRequest, value: str, log: DbLog) -> None:
    number = parse_gid(value)
    if number is None:
        log.error(request, f"Invalid GID value '{value}'")
        request.tempfail = True
    else:
        request.userdb_fields().add("gid", str(number))


def parse_uid(text: str) -> int | None:
    """A number or a system user's name; None if it is neither."""
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= 10 and int(text) <= MAX_ID else None
    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError):
        return None


def parse_gid(text: str) -> int | None:
    """A number or a system group's name; None if it is neither."""
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= 10 and int(text) <= MAX_ID else None
    try:
        return grp.getgrnam(text).gr_gid
    except (KeyError, ValueError):
        return None


def bad_id(words: Iterable[tuple[str, str]]) -> str:
    """What is wrong with the first `uid=` or `gid=` that names nobody, in Dovecot's words, or ""."""
    parsers = {"uid": parse_uid, "gid": parse_gid}
    for name, value in words:
        parse = parsers.get(name)
        if parse is not None and "%" not in value and parse(value) is None:
            return f"Invalid {name}: {value}"
    return ""


def _user(request: AuthRequest, value: str, _log: DbLog) -> None:
    if value:
        request.user = value


def _tempfail(request: AuthRequest, _value: str, _log: DbLog) -> None:
    request.tempfail = True


def _uidgid_file(request: AuthRequest, value: str, log: DbLog) -> None:
    """The owner of a file is the user."""
    try:
        status = os.stat(value)
    except (OSError, ValueError) as exc:
        log.error(request, f"stat({value}) failed: {getattr(exc, 'strerror', exc)}")
        request.tempfail = True
        return
    request.userdb_fields().add("uid", str(status.st_uid))
    request.userdb_fields().add("gid", str(status.st_gid))


def _import(request: AuthRequest, value: str, log: DbLog) -> None:
    for pair in value.split("\t"):
        name, _, text = pair.partition("=")
        if name != "userdb_import":
            apply(request, name, text, log)


def _system_user(request: AuthRequest, value: str, _log: DbLog) -> None:
    """The name of old versions."""
    request.userdb_fields().add("system_groups_user", value)


_HANDLERS: Final[dict[str, Callable[[AuthRequest, str, DbLog], None]]] = {
    "uid": _uid,
    "gid": _gid,
    "user": _user,
    "tempfail": _tempfail,
    "uidgid_file": _uidgid_file,
    "userdb_import": _import,
    "system_user": _system_user,
}

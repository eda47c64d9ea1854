"""What the extra fields of a passdb mean when it gives them (features E.3)."""

import random
import re
import time
from collections.abc import Callable, Iterable
from typing import Final

from pydovecot.authdb import networks, userdb_fields
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.password import schemes
from pydovecot.password.secret import HIDDEN

# Fields that hold a stored or plain password: never shown in debug lines.
SECRET_FIELDS: Final = frozenset({"password", "password_noscheme", "pass", "rpop_id"})

MAX_DELAY_SECS: Final = 300  # Dovecot: AUTH_REQUEST_MAX_DELAY_SECS
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


def apply(request: AuthRequest, name: str, value: str, default_scheme: str, log: DbLog) -> None:
    """Take one extra field. `log` says why a check fails; the lookup then fails at its end."""
    handler = _HANDLERS.get(name)
    if handler is not None:
        handler(request, name, value, default_scheme, log)
    elif name.startswith("userdb_"):
        _userdb(request, name, value, log)
    elif name:
        request.extra.add(name, value)


def apply_all(
    request: AuthRequest, pairs: Iterable[tuple[str, str]], default_scheme: str, log: DbLog
) -> None:
    """`apply` for several fields."""
    for name, value in pairs:
        apply(request, name, value, default_scheme, log)


def split_words(text: str) -> list[tuple[str, str]]:
    """`name=value` words separated by blanks, as in args, default_fields and passwd-file lines."""
    pairs = []
    for word in text.split():
        name, _, value = word.partition("=")
        if name:
            pairs.append((name, value))
    return pairs


def shown(name: str, value: str) -> str:
    """`name=value` for a debug line."""
    return f"{name}={HIDDEN if name in SECRET_FIELDS else value}"


def _password(request: AuthRequest, _name: str, value: str, default_scheme: str, log: DbLog) -> None:
    if request.stored is not None:
        log.error(request, "Multiple password values not supported")
        return
    request.stored = schemes.parse(value.encode("utf-8", "surrogateescape"), default_scheme)


def _password_noscheme(
    request: AuthRequest, _name: str, value: str, default_scheme: str, log: DbLog
) -> None:
    if request.stored is not None:
        log.error(request, "Multiple password values not supported")
        return
    raw = value.encode("utf-8", "surrogateescape")
    request.stored = schemes.parse(b"{%b}%b" % (default_scheme.encode(), raw), default_scheme)


def _user(request: AuthRequest, name: str, value: str, _scheme: str, _log: DbLog) -> None:
    """user, username (the part before @) and domain: the user becomes somebody else."""
    if not value:
        return
    old = request.user or ""
    local, _, domain = old.partition("@")
    if name == "username":
        value = f"{value}@{domain}" if domain and "@" not in value else value
    elif name == "domain":
        value = f"{local}@{value}"
    request.user = value
    request.extra.add("user", value, hidden=True)


def _login_user(request: AuthRequest, name: str, value: str, _scheme: str, _log: DbLog) -> None:
    if value:
        request.extra.add(name, value, hidden=True)
        request.requested_login_user = value


def _allow_nets(request: AuthRequest, name: str, value: str, _scheme: str, log: DbLog) -> None:
    address = (request.real_rip or request.rip) if name == "allow_real_nets" else request.rip
    request.extra.add(name, value, hidden=True)
    allowed, bad = networks.matches(address, value)
    for word in bad:
        log.info(request, f"{name}: Invalid network '{word}'")
    if allowed:
        return
    if not address:
        log.info(request, f"{name} check failed: Remote IP not known and 'local' missing")
    else:
        log.info(request, f"{name} check failed: IP {address} not in allowed networks")
    request.failed = True


def _fail(request: AuthRequest, name: str, value: str, _scheme: str, _log: DbLog) -> None:
    request.failed = True
    request.extra.add(name, value, hidden=True)


def _nopassword(request: AuthRequest, name: str, value: str, _scheme: str, log: DbLog) -> None:
    """Any password is right, unless one is stored as well: that must be a mistake."""
    if request.stored is not None and request.stored.text:
        log.error(request, "nopassword set but password is non-empty")
        return
    request.extra.add(name, value)  # only what denies users leaves it there


def _noauthenticate(request: AuthRequest, name: str, value: str, _scheme: str, _log: DbLog) -> None:
    request.extra.add(name, value, hidden=True)
    request.extra.add("nopassword", "y", hidden=True)


def _delay_until(request: AuthRequest, name: str, value: str, _scheme: str, log: DbLog) -> None:
    """`time[+most]`: a right password is answered at that UNIX time, or up to `most` seconds later."""
    stamp, plus, most = value.partition("+")
    if not _NUMBER.fullmatch(stamp):
        log.error(request, f"Invalid delay_until timestamp '{stamp}'")
    elif plus and not (_NUMBER.fullmatch(most) and int(most) >= 0):
        log.error(request, f"Invalid delay_until randomness number '{most}'")
    elif int(stamp) > time.time() + MAX_DELAY_SECS:
        log.error(request, f"delay_until timestamp {stamp} is too much in the future, failing")
    else:
        request.extra.add(name, value, hidden=True)
        return
    request.failed = True


def delay_secs(request: AuthRequest, now: float) -> float:
    """How long the answer to a right password has to wait because of delay_until."""
    stamp, _, most = (request.extra.get("delay_until") or "0").partition("+")
    if int(stamp) <= now:
        return 0.0
    return min(int(stamp) - now + random.uniform(0, int(most or 0)), MAX_DELAY_SECS)


def _rpop_id(request: AuthRequest, name: str, value: str, _scheme: str, _log: DbLog) -> None:
    """What RPOP asks for in place of the password: no client may see it."""
    request.extra.add(name, value, hidden=True)


def _userdb(request: AuthRequest, name: str, value: str, log: DbLog) -> None:
    request.extra.add(name, value, hidden=True)
    request.userdb_prefetched = True
    userdb_fields.apply(request, name[len("userdb_") :], value, log)


def _passdb_import(request: AuthRequest, _name: str, value: str, default_scheme: str, log: DbLog) -> None:
    for imported, text in (pair.partition("=")[::2] for pair in value.split("\t")):
        if imported and imported != "passdb_import":
            apply(request, imported, text, default_scheme, log)


Handler = Callable[[AuthRequest, str, str, str, DbLog], None]
_HANDLERS: Final[dict[str, Handler]] = {
    "password": _password,
    "password_noscheme": _password_noscheme,
    "user": _user,
    "username": _user,
    "domain": _user,
    "login_user": _login_user,
    "allow_nets": _allow_nets,
    "allow_real_nets": _allow_nets,
    "fail": _fail,
    "delay_until": _delay_until,
    "nopassword": _nopassword,
    "noauthenticate": _noauthenticate,
    "rpop_id": _rpop_id,
    "passdb_import": _passdb_import,
}

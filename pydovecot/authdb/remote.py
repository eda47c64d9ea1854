"""A blocking step as lines of the worker protocol, and its result back: both ends of auth and auth-worker."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydovecot.authdb.check import check
from pydovecot.authdb.database import Database
from pydovecot.authdb.driver import ListFailed
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.authdb.settings import AuthSettings, PassdbSettings, UserdbSettings
from pydovecot.authdb.steps import Blocking, Work
from pydovecot.password.schemes import Stored
from pydovecot.password.secret import Secret
from pydovecot.proto.auth.worker import Message, Pairs
from pydovecot.settings.view import SettingsView

_ATTRIBUTES: Final = (
    "user", "original_user", "translated_user", "requested_login_user", "master_user", "mech", "service",
    "session", "lip", "rip", "lport", "rport", "real_lip", "real_rip", "real_lport", "real_rport",
    "local_name", "client_id", "secured",
)  # fmt: skip
_FLAGS: Final = ("debug", "userdb_lookup", "password_verified", "valid_client_cert")


class BadMessage(Exception):
    """The other side sent what it never should."""


def settings_hash(view: SettingsView) -> str:
    """Changes when the worker would look somewhere else than auth means."""
    digest = hashlib.sha256()
    sections: Sequence[Any] = [*view.sections(PassdbSettings), *view.sections(UserdbSettings)]
    for section in [view.get(AuthSettings), *sections]:
        digest.update(repr(sorted(section.texts().items())).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def request_of(step: Blocking, number: int) -> Message:
    """The line that asks for a step."""
    request = step.request
    pairs: Pairs = []
    for name in _ATTRIBUTES:
        value = getattr(request, name)
        if value:
            pairs.append((name, value))
    pairs += [(name, "") for name in _FLAGS if getattr(request, name)]
    if step.password is not None:
        pairs.append(("password", step.password.reveal().hex()))
    if step.stored is not None:
        pairs.append(("stored", _stored_text(step.stored)))
    if request.userdb is not None:
        pairs += [(f"u.{name}", value) for name, value in request.userdb]
    return Message(number, step.work.value, step.index, pairs)


def serve(database: Database, message: Message) -> tuple[Iterable[str], Message]:
    """Do what a line asks for, in place. Gives the parts (LIST) and the answer."""
    try:
        work = Work(message.word)
        request, password, stored = _read(message)
    except ValueError as exc:
        raise BadMessage(f"broken request: {exc}") from exc
    answer = Message(message.id, Result.INTERNAL.value)
    if work is Work.CHECK:
        if stored is None or password is None:
            raise BadMessage("CHECK without passwords")
        result, reason = check(stored, password, request.original_user or "")
        answer.word = result.value
        answer.pairs = [("reason", reason)] if reason else []
        return (), answer
    if work in (Work.USER, Work.LIST):
        userdb = _entry(database.all_userdbs, message.index)
        if work is Work.LIST:
            try:
                names = list(userdb.driver.users())
            except ListFailed as exc:
                database.event.error(str(exc))
                return (), answer
            answer.word = UserResult.OK.value
            return names, answer
        answer.word = userdb.driver.lookup(request, userdb.log).value
    else:
        passdb = _entry(database.all_passdbs, message.index)
        if not passdb.driver.can_lookup:
            if password is None:
                raise BadMessage("PASSV without a password")
            result = passdb.driver.verify(request, password, passdb.log)
        else:
            result = passdb.driver.lookup(request, passdb.log)
            if result is Result.OK and work is Work.VERIFY and password is not None:
                result = database.passdbs.check_here(passdb, request, password)
        answer.word = result.value
    answer.pairs = _changes(request)
    return (), answer


def take(step: Blocking, answer: Message, parts: list[str]) -> Any:
    """Change the request as the worker's answer says; the value for the generator that asked."""
    if step.work is Work.LIST:
        return parts if answer.word == UserResult.OK.value else None
    if step.work is Work.CHECK:
        return _result(answer), answer.first("reason") or ""
    request = step.request
    for name, value in answer.pairs:
        if name in ("user", "requested_login_user"):
            setattr(request, name, value)
        elif name in ("failed", "tempfail", "userdb_prefetched"):
            setattr(request, name, True)
        elif name == "stored":
            request.stored = _stored(value)
        elif name.startswith(("x.", "h.")):
            request.extra.add(name[2:], value, hidden=name[0] == "h")
        elif name.startswith("u."):
            request.userdb_fields().add(name[2:], value)
    if step.work is Work.USER:
        try:
            return UserResult(answer.word)
        except ValueError:
            return UserResult.INTERNAL
    return _result(answer)


def failed(step: Blocking) -> Any:
    """The value for the generator when the worker could not answer."""
    if step.work is Work.LIST:
        return None
    if step.work is Work.CHECK:
        return Result.INTERNAL, None
    return UserResult.INTERNAL if step.work is Work.USER else Result.INTERNAL


def _result(answer: Message) -> Result:
    try:
        return Result(answer.word)
    except ValueError:
        return Result.INTERNAL


def _read(message: Message) -> tuple[AuthRequest, Secret | None, Stored | None]:
    request = AuthRequest()
    password = stored = None
    for name, value in message.pairs:
        if name in _ATTRIBUTES:
            setattr(request, name, value)
        elif name in _FLAGS:
            setattr(request, name, True)
        elif name == "password":
            password = request.password = Secret(bytes.fromhex(value))
        elif name == "stored":
            stored = _stored(value)
        elif name.startswith("u."):
            request.userdb_fields().add(name[2:], value)
    return request, password, stored


def _changes(request: AuthRequest) -> Pairs:
    pairs: Pairs = []
    if request.user is not None:
        pairs.append(("user", request.user))
    if request.requested_login_user is not None:
        pairs.append(("requested_login_user", request.requested_login_user))
    if request.stored is not None:
        pairs.append(("stored", _stored_text(request.stored)))
    visible = {text.partition("=")[0] for text in request.extra.visible()}
    for name, value in request.extra:
        pairs.append((("x." if name in visible else "h.") + name, value))
    if request.userdb is not None:
        pairs += [(f"u.{name}", value) for name, value in request.userdb]
    flags = ("failed", "tempfail", "userdb_prefetched")
    return pairs + [(name, "") for name in flags if getattr(request, name)]


def _stored_text(stored: Stored) -> str:
    return f"{stored.scheme}:{stored.encoding}:{stored.text.hex()}"


def _stored(text: str) -> Stored:
    scheme, encoding, raw = text.split(":", 2)
    return Stored(scheme, encoding, bytes.fromhex(raw))


def _entry(entries: Sequence[Any], index: int) -> Any:
    if index >= len(entries):
        raise BadMessage(f"no database {index}")
    return entries[index]

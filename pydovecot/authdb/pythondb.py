"""What passdb python and userdb python have in common: finding the administrator's function and calling it.

    passdb {
      driver = python
      args = /etc/dovecot/users.py:lookup cache_key=%u
    }

The function gets a `User` and gives a mapping of fields (`password`, `uid`, `home`, any extra field), or None
for a user that it does not know. What it raises is logged and is an internal failure: nobody is let in by a
mistake. It runs in an auth-worker process, as its user, with this server's own Python.
"""

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from pydovecot.authdb.driver import BadArgs, DriverWorld, ListFailed
from pydovecot.authdb.fields import MAX_FIELDS
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import UserResult

_ARGS: Final = re.compile(r"(?P<module>[^\s:]+):(?P<function>[A-Za-z_]\w*)")


class BadFunction(Exception):
    """There is no such function; the text is for the administrator."""


class CallFailed(Exception):
    """The function raised, or gave something else than fields; the text is for the log."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a lookup is about. Names are those of the % variables."""

    user: str
    service: str = ""
    lip: str = ""
    rip: str = ""
    lport: str = ""
    rport: str = ""
    secured: str = ""
    mech: str = ""
    session: str = ""
    local_name: str = ""
    master_user: str = ""
    login_user: str = ""

    @property
    def username(self) -> str:
        """What is before the @."""
        return self.user.partition("@")[0]

    @property
    def domain(self) -> str:
        """What is behind the @, or ""."""
        return self.user.partition("@")[2]


Function = Callable[..., Any]
Fields = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Args:
    """`module:function [blocking=yes|no] [cache_key=template]`, taken apart."""

    module: str
    function: str
    cache_key: str = ""
    blocking: bool = True


def parse_args(args: str) -> Args:
    """Raises BadFunction."""
    words = args.split()
    found = _ARGS.fullmatch(words[0]) if words else None
    if found is None:
        raise BadFunction(f"python: args must be module:function or /path/file.py:function, not '{args}'")
    options = dict(word.partition("=")[::2] for word in words[1:])
    unknown = options.keys() - {"cache_key", "blocking"}
    if unknown:
        raise BadFunction(f"python: Unknown setting: {sorted(unknown)[0]}")
    blocking = options.get("blocking", "yes") != "no"
    return Args(found["module"], found["function"], options.get("cache_key", ""), blocking)


def load(args: Args, *, dry: bool = False) -> Function:
    """The function. Raises BadFunction. `dry`: the module is not run, the function knows nobody."""
    if dry:
        return _nobody
    try:
        module = _module(args.module)
    except Exception as exc:
        raise BadFunction(f"python: import of {args.module} failed: {type(exc).__name__}: {exc}") from exc
    function = getattr(module, args.function, None)
    if not callable(function):
        raise BadFunction(f"python: {args.module} has no function {args.function}")
    found: Function = function
    return found


def _nobody(_user: User) -> None:
    return None


def _module(name: str) -> ModuleType:
    if "/" not in name:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location("pydovecot_userdb_" + re.sub(r"\W", "_", name), name)
    if spec is None or spec.loader is None:
        raise ImportError("no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Lookup:
    """The function of one passdb or userdb (`what`). Raises BadArgs."""

    def __init__(self, what: str, args: str, world: DriverWorld) -> None:
        try:
            self._args = parse_args(args)
            self._function = load(self._args, dry=world.dry)
        except BadFunction as exc:
            raise BadArgs(f"{what} {exc}") from exc
        self.blocking, self.cache_key = self._args.blocking, self._args.cache_key
        self.can_list = hasattr(self._function, "users")

    def ask(self, request: AuthRequest, log: DbLog) -> tuple[UserResult, Fields]:
        """What the function knows about a user; why it knows nothing is logged."""
        try:
            fields = call(self._function, request)
        except CallFailed as exc:
            log.error(request, f"{self._args.function} failed: {exc}")
            return UserResult.INTERNAL, []
        if fields is None:
            log.unknown_user(request)
            return UserResult.UNKNOWN, []
        return UserResult.OK, fields

    def users(self) -> list[str]:
        """Whom `function.users()` names, where it exists. Raises ListFailed."""
        try:
            return names(getattr(self._function, "users", tuple))
        except CallFailed as exc:
            raise ListFailed(f"python: {self._args.function}.users failed: {exc}") from exc


def user_of(request: AuthRequest) -> User:
    """What the function is told; never the password."""
    return User(
        request.user or "", request.service, request.lip, request.rip, request.lport, request.rport,
        request.secured, request.mech, request.session, request.local_name, request.master_user or "",
        request.requested_login_user or "",
    )  # fmt: skip


def call(function: Function, request: AuthRequest) -> Fields | None:
    """The fields of a user; None: unknown. Raises CallFailed."""
    try:
        answer = function(user_of(request))
    except Exception as exc:
        raise CallFailed(f"{type(exc).__name__}: {exc}") from exc
    if answer is None:
        return None
    if not isinstance(answer, Mapping):
        raise CallFailed(f"gave {type(answer).__name__} instead of a mapping or None")
    if len(answer) > MAX_FIELDS:
        raise CallFailed(f"gave more than {MAX_FIELDS} fields")
    # None: the field is not there; True: it is there without a value.
    return [
        (str(name), "" if value is True else _text(value))
        for name, value in answer.items()
        if value is not None and value is not False
    ]


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def names(function: Function) -> list[str]:
    """User names of a listing function. Raises CallFailed."""
    try:
        answer: Iterable[object] = function()
        return [str(name) for name in answer if name]
    except Exception as exc:
        raise CallFailed(f"{type(exc).__name__}: {exc}") from exc

"""doveadm auth explain: which database was asked, in which order, what it said, and why that means "no".

The databases are asked here, with the configuration's own settings, as the auth process would ask them. No
password is needed: without one it is looked up whether the user exists and what keeps it out; with -p the
password is checked too. Passwords and hashes are never shown.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import NO_PERM, NO_USER, OK, TEMPFAIL, USAGE, AdminError, Usage
from pydovecot.admin.host.auth_info import as_words, parse_info
from pydovecot.admin.host.sessions import socket_path
from pydovecot.authdb.database import Database
from pydovecot.authdb.entry import BadDatabase, PassdbEntry, UserdbEntry
from pydovecot.authdb.fields import Fields
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.authdb.steps import Steps
from pydovecot.event.event import Event, Level
from pydovecot.ipc import questions
from pydovecot.password.secret import Secret

_MEANING: Final = {
    Result.OK: "yes",
    Result.NEXT: "no database decides: the last one has the field noauthenticate",
    Result.MISMATCH: "refused: the password is not the stored one, or a check besides it failed",
    Result.UNKNOWN: "refused: no database knows this user",
    Result.INTERNAL: "refused for now: a database could not answer; the server's log says why",
    Result.NO_SCHEME: "unknown: these databases only answer when they are given a password (-p)",
    Result.DISABLED: "refused: the user is disabled, or found in a database with deny = yes",
    Result.EXPIRED: "refused: the password has expired",
}
_STATUS: Final = {
    Result.OK: OK, Result.UNKNOWN: NO_USER, Result.INTERNAL: TEMPFAIL, Result.NEXT: TEMPFAIL,
}  # fmt: skip
_QUIET: Final = {"auth_verbose": "yes", "auth_debug": "yes", "auth_debug_passwords": "no",
                 "auth_verbose_passwords": "no", "auth_cache_size": "0"}  # fmt: skip
_SECRET: Final = ("pass", "secret", "token", "hash", "key")


class _Story:
    """What the databases log while they are asked."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.event = Event(self._sink, debug=True)

    def _sink(self, level: Level, text: str, _fields: dict[str, object]) -> None:
        mark = {Level.WARNING: "warning: ", Level.ERROR: "ERROR: ", Level.FATAL: "ERROR: "}.get(level, "")
        self._context.print(f"    {mark}{text}")


def run(context: Context, arguments: Arguments) -> int:
    """The exit status says the same as the last line."""
    if not arguments.given("user"):
        raise Usage
    story = _Story(context)
    try:
        database = Database(context.settings("auth").with_overrides(_QUIET), story.event, workers=False)
    except BadDatabase as exc:
        raise AdminError(str(exc)) from exc
    request = _request(arguments)
    where = f" from {request.rip}" if request.rip else ""
    context.print(f"{arguments.text('user')}{where}, service {request.service}")
    error = database.names.set_user(request, arguments.text("user"))
    if error is not None:
        context.print(f"\nrefused: {error}")
        return NO_USER
    if request.user != arguments.text("user"):
        context.print(f"    is {request.user} after auth_username_format and its like")
    _penalty(context, request)
    status = _passdbs(context, arguments, database, request)
    found = _userdbs(context, database, request) if status in (OK, NO_PERM, USAGE) else OK
    return status or found


def _request(arguments: Arguments) -> AuthRequest:
    request = AuthRequest(mech="PLAIN", debug=True)
    info = parse_info(arguments.many("auth-info"))
    info["service"] = info["service"] if info["service"] != "doveadm" else "imap"
    if arguments.given("ip"):
        info["rip"] = arguments.text("ip")
    for word in as_words(info):
        name, _, value = word.partition("=")
        request.set_parameter(name, value)
    return request


def _passdbs(context: Context, arguments: Arguments, database: Database, request: AuthRequest) -> int:
    context.print("\nPassword databases, in the order they are asked:")
    _listed(context, database.passdbs.passdbs)
    context.print("  what they say:")
    if arguments.given("password"):
        secret = Secret(arguments.text("password").encode("utf-8", "surrogateescape"))
        result = _on_the_spot(database.passdbs.verify(request, secret))
    else:
        result, _found = _on_the_spot(database.passdbs.credentials(request, ""))
    reason = request.extra.get("reason") or ""
    meaning = _MEANING[result]
    if result is Result.OK and not arguments.given("password"):
        meaning = "known, and nothing keeps it out (no password was checked: -p)"
    context.print(f"  -> {meaning}" + (f" ({reason})" if reason else ""))
    if result is Result.OK:
        _fields(context, request.extra.visible())
        if "nologin" in request.extra:
            context.print("  -> but a field nologin keeps the user from logging in")
    if result is Result.NO_SCHEME:
        return USAGE
    return _STATUS.get(result, NO_PERM)


def _userdbs(context: Context, database: Database, request: AuthRequest) -> int:
    context.print("\nUser databases, in the order they are asked:")
    _listed(context, database.all_userdbs)
    context.print("  what they say:")
    request.userdb_lookup = True
    result = _on_the_spot(database.userdbs.lookup(request))
    if result is UserResult.OK:
        context.print("  -> found")
        _fields(context, _shown(request.userdb_fields()))
        return OK
    if result is UserResult.UNKNOWN:
        context.print("  -> refused: no database knows this user's uid, gid and home")
        return NO_USER
    context.print("  -> refused for now: a database could not answer")
    return TEMPFAIL


def _shown(fields: Fields) -> Iterator[str]:
    for name, value in fields:
        yield f"{name}={value}" if value else name


def _listed(context: Context, entries: Sequence[PassdbEntry | UserdbEntry]) -> None:
    for number, entry in enumerate(entries, 1):
        settings = entry.settings
        # Arguments may hold a password; a path never does.
        path = next((word for word in settings.args.split() if word.startswith("/")), "")
        notes = ["deny"] if getattr(settings, "deny", False) else []
        notes += [f"skip={settings.skip}"] if settings.skip != "never" else []
        line = " ".join([settings.driver, path, f"({', '.join(notes)})" if notes else ""])
        context.print(f"  {number}. {line}".rstrip())
    if not entries:
        context.print("  none")


def _fields(context: Context, fields: Iterator[str] | Sequence[str]) -> None:
    for field in fields:
        name = field.partition("=")[0]
        hidden = any(word in name.lower() for word in _SECRET)
        context.print(f"     {name}=<hidden>" if hidden else f"     {field}")


def _penalty(context: Context, request: AuthRequest) -> None:
    """Addresses with failed logins wait, which looks like a refusal to some clients."""
    if not request.rip:
        return
    try:
        for row in questions.anvil(socket_path(context, Arguments(), "anvil"), "PENALTY-DUMP"):
            if row[0] == request.rip and row[1] != "0":
                context.print(f"    {request.rip} has failed logins: its logins wait (penalty {row[1]})")
    except questions.AskError:
        context.print("    (the server is not running: nothing is known of failed logins)")


def _on_the_spot(steps: Steps[Any]) -> Any:
    """A lookup without workers never waits."""
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    raise AdminError("a database wanted a worker")

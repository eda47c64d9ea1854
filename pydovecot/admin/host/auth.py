"""doveadm auth: ask the auth process as a server would that has a client."""

import os

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import NO_PERM, NO_USER, OK, TEMPFAIL, AdminError, Usage
from pydovecot.admin.host.ask_password import ask_password
from pydovecot.admin.host.auth_info import as_words, parse_info
from pydovecot.admin.host.sessions import socket_path
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster
from pydovecot.ipc.auth_plain import Answer, AuthPlain, AuthUnreachable
from pydovecot.login.settings import MailUserSettings

_WORDS = {"OK": "auth succeeded", "FAIL": "auth failed", "CONT": "auth unexpectedly requested continuation"}


def userdb_socket(context: Context, arguments: Arguments) -> str:
    """The socket of -a, or auth_socket_path."""
    name = context.settings().get(MailUserSettings).auth_socket_path
    return socket_path(context, arguments, name)


def test(context: Context, arguments: Arguments) -> int:
    """passdb only."""
    user, password = _credentials(context, arguments)
    try:
        with AuthPlain(socket_path(context, arguments, "auth-client")) as auth:
            answer = _authenticate(auth, arguments, user, password)
    except AuthUnreachable as exc:
        context.log.error(str(exc))
        return NO_PERM
    _show(context, user, answer)
    return OK if answer.status == "OK" else NO_PERM


def login(context: Context, arguments: Arguments) -> int:
    """passdb, and then userdb as a mail process would."""
    user, password = _credentials(context, arguments)
    path = socket_path(context, arguments, "auth-login", "auth-login-socket-path")
    try:
        with AuthPlain(path) as auth:
            answer = _authenticate(auth, arguments, user, password)
            _show(context, user, answer)
            if answer.status != "OK":
                return NO_PERM
            return _after_login(context, arguments, auth)
    except AuthUnreachable as exc:
        context.log.error(str(exc))
        return NO_PERM


def _credentials(context: Context, arguments: Arguments) -> tuple[str, bytes]:
    if not arguments.given("user"):
        raise Usage
    if arguments.given("password"):
        return arguments.text("user"), arguments.text("password").encode("utf-8", "surrogateescape")
    return arguments.text("user"), ask_password(context, "Password: ")


def _authenticate(auth: AuthPlain, arguments: Arguments, user: str, password: bytes) -> Answer:
    info = parse_info(arguments.many("auth-info"))
    return auth.authenticate(user, arguments.text("master-user"), password, info)


def _show(context: Context, user: str, answer: Answer) -> None:
    context.print(f"passdb: {user} {_WORDS[answer.status]}")
    if answer.fields:
        context.print("extra fields:")
        for one in answer.fields:
            context.print(f"  {one}")


def _after_login(context: Context, arguments: Arguments, auth: AuthPlain) -> int:
    path = socket_path(context, arguments, "auth-master", "auth-master-socket-path")
    try:
        with AuthMaster(path) as master:
            pid = str(os.getpid())
            fields = master.ask("REQUEST", pid, str(auth.request_id), auth.cookie.hex(), f"session_pid={pid}")
    except AuthLookupFailed as exc:
        context.log.error(f"userdb lookup failed: {exc}")
        return NO_PERM
    if fields[0] != "USER":
        context.log.error("userdb lookup failed: Internal auth failure")
        return NO_PERM
    context.print("userdb extra fields:")
    for one in fields[1:]:
        context.print(f"  {one}")
    return OK


def lookup(context: Context, arguments: Arguments) -> int:
    """What passdb knows without a password."""
    users = arguments.many("user")
    if not users:
        raise Usage
    words = as_words(parse_info(arguments.many("auth-info")))
    show = arguments.text("field") if arguments.given("field") else None
    with AuthMaster(userdb_socket(context, arguments)) as auth:
        for number, user in enumerate(users):
            if number:
                context.print("")
            show_lookup(context, auth, "passdb", user, words, show)
    return context.status


def show_lookup(
    context: Context, auth: AuthMaster, database: str, user: str, words: list[str], show: str | None
) -> None:
    """One user's fields as the database has them, or only the field `show`."""
    title = f"{database} lookup"
    try:
        fields = auth.ask("USER" if database == "userdb" else "PASS", user, *words)
    except AuthLookupFailed as exc:
        context.log.error(str(exc).replace("auth-master: ", f"auth-master: {title}({user}): ", 1))
        context.log.error(f"{title} failed for {user}")
        context.fail(TEMPFAIL)
        return
    if fields[0] == "NOTFOUND":
        text = f"{title}: user {user} doesn't exist"
        context.complain(text) if show is not None else context.print(text)
        context.status = context.status if context.status == TEMPFAIL else NO_USER
        return
    if fields[0] == "FAIL":
        reason = "".join(f": {one.removeprefix('reason=')}" for one in fields if one.startswith("reason="))
        context.log.error(f"{title} failed for {user}{reason}")
        context.fail(TEMPFAIL)
        return
    pairs = [one.partition("=") for one in fields[1:]]
    if database == "userdb":
        pairs[0] = ("user", "=", fields[1])
    if show is not None:
        for name, equals, value in pairs:
            if equals and name == show:
                context.print(value)
        return
    context.print(f"{database}: {user}")
    for name, equals, value in pairs:
        context.print(f"  {name:<10}: {value}" if equals else f"  {name:<10}")


def cache_flush(context: Context, arguments: Arguments) -> int:
    """Forget what is cached about users, or all of it."""
    path = socket_path(context, arguments, "auth-master")
    try:
        with AuthMaster(path) as auth:
            count = auth.cache_flush(arguments.many("user"))
    except AuthLookupFailed as exc:
        text = str(exc).replace("auth-master: ", "auth-master: auth cache flush: ", 1)
        context.log.error(text)
        raise AdminError("Cache flush failed") from exc
    context.print(f"{count} cache entries flushed")
    return OK

"""doveadm user: userdb's answer as mail processes see it, and lists of users."""

import json
from collections.abc import Mapping

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import NO_USER, TEMPFAIL, USAGE, AdminError, Usage
from pydovecot.admin.host.auth import show_lookup, userdb_socket
from pydovecot.admin.host.auth_info import SERVICE, as_words, parse_info
from pydovecot.base import wildcard
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster, UserReply
from pydovecot.login.settings import MailUserSettings
from pydovecot.settings.expand import expand, user_table
from pydovecot.storage.settings import MailSettings

_SHOWN_FIRST = ("uid", "gid", "home", "mail")


def run(context: Context, arguments: Arguments) -> int | None:
    """Names with * or ? list the users that fit; others are looked up."""
    masks = arguments.many("user-mask")
    if not masks:
        raise Usage
    if arguments.given("expand-field"):
        for option, letter in (("userdb-only", "u"), ("field", "f")):
            if arguments.given(option):
                context.log.error(f"-e can't be used with -{letter}")
                return USAGE
    words = as_words(parse_info(arguments.many("auth-info")))
    with AuthMaster(userdb_socket(context, arguments)) as auth:
        if any("*" in one or "?" in one for one in masks):
            _list(context, auth, masks)
        elif context.server:
            _as_json(context, auth, arguments, masks, words)
        elif arguments.flag("userdb-only"):
            show = arguments.text("field") if arguments.given("field") else None
            for number, name in enumerate(masks):
                if number:
                    context.print("")
                show_lookup(context, auth, "userdb", name, words, show)
        else:
            _as_mail_process(context, auth, arguments, masks, words)
    return context.status


def _list(context: Context, auth: AuthMaster, masks: list[str]) -> None:
    # A single mask may save the auth process work; it need not mind it.
    mask = masks[0] if len(masks) == 1 else "*"
    fitting = (
        name
        for name in auth.users(service=SERVICE, mask=mask)
        if any(wildcard.matches(name, one) for one in masks)
    )
    try:
        if context.server:
            context.write(json.dumps({"userList": list(fitting)}, separators=(",", ":")).encode())
            return
        for name in fitting:
            context.print(name)
    except AuthLookupFailed as exc:
        context.log.error(str(exc))
        raise AdminError("user listing failed") from exc


def _as_mail_process(
    context: Context, auth: AuthMaster, arguments: Arguments, names: list[str], words: list[str]
) -> None:
    field, template = arguments.text("field"), arguments.text("expand-field")
    rows = not arguments.given("field") and not arguments.given("expand-field")
    if rows:
        printer = context.printer("tab")
        printer.header("field")
        printer.header("value")
    for number, name in enumerate(names):
        if number:
            context.print("")
        reply = _lookup(context, auth, name, words)
        if reply is None:
            if context.status == NO_USER:
                text = f"\nuserdb lookup: user {name} doesn't exist"
                context.print(text) if rows else context.complain(text)
            continue
        fields, table = describe(context, name, reply)
        if arguments.given("expand-field"):
            context.print(expand(template, table))
        elif rows:
            for key, value in fields:
                printer.value(key)
                printer.value(value)
        else:
            for key, value in fields:
                if key == field:
                    context.print(value)


def _lookup(context: Context, auth: AuthMaster, name: str, words: list[str]) -> UserReply | None:
    """None: unknown (status NO_USER) or failed (TEMPFAIL; told)."""
    try:
        reply = auth.user_with(name, words)
    except AuthLookupFailed as exc:
        context.log.error(str(exc).replace("auth-master: ", f"auth-master: userdb lookup({name}): ", 1))
        context.status = TEMPFAIL
        return None
    if reply is None:
        context.status = NO_USER
    return reply


def describe(context: Context, name: str, reply: UserReply) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The fields of a user in the order they are shown, and its % variables."""
    fields: Mapping[str, str] = reply.fields
    overrides = {key: value for key, value in fields.items() if key not in _SHOWN_FIRST}
    if "mail" in fields:
        overrides["mail_location"] = fields["mail"]
    view = context.settings().with_overrides(overrides)
    own = view.get(MailUserSettings)
    table = user_table(reply.user, service=SERVICE)
    home = fields["home"] if "home" in fields else expand(own.mail_home, table)
    uid, gid = fields.get("uid", own.mail_uid), fields.get("gid", own.mail_gid)
    table |= {"home": home, "uid": uid, "gid": gid}
    mail = expand(view.get(MailSettings).mail_location, table)
    shown = [("user", reply.user)] if reply.user != name else []
    shown += [("uid", uid), ("gid", gid), ("home", home), ("mail", mail)]
    shown += [pair for pair in fields.items() if pair[0] not in _SHOWN_FIRST]
    return shown, table


def _as_json(
    context: Context, auth: AuthMaster, arguments: Arguments, names: list[str], words: list[str]
) -> None:
    """For clients of the doveadm server, whatever format they asked for."""
    wanted = arguments.text("field")
    answer: dict[str, dict[str, str]] = {}
    for name in names:
        reply = _lookup(context, auth, name, words)
        if reply is None:
            answer[name] = {"error": f"userdb lookup: user {name} doesn't exist"}
            if context.status == TEMPFAIL:
                answer[name] = {"error": "userdb lookup failed"}
            continue
        fields, _table = describe(context, name, reply)
        answer[name] = {key: value for key, value in fields if not wanted or key == wanted}
    context.write(json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"))

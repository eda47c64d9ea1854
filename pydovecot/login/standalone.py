"""A mail session on stdin and stdout, without a master: `libexec/imap -u user`. The debugger's front door.

Usage: imap [-c <config file>] [-u <user>] [-a <auth socket>] [-o <setting=value>]...

With -u the user is looked up in the running server's userdb, and a root process becomes that user. Without
it the process serves as who it is: USER, HOME and the configuration say where the mail is. The addresses that
log and settings see come from the environment: IP and LOCAL_IP.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydovecot.base.options import BadOption, parse
from pydovecot.event.event import Event
from pydovecot.event.sinks import StreamSink
from pydovecot.ipc.auth_master import AuthMaster
from pydovecot.login import mail_user
from pydovecot.login.mail_session import MailSession
from pydovecot.login.mail_user import user_log_prefix
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.settings.client import from_file
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.view import SettingsView

DEFAULT_CONFIG: Final = "/etc/dovecot/dovecot.conf"
USAGE_STATUS: Final = 64
FATAL_STATUS: Final = 89


@dataclass(slots=True)
class _Arguments:
    config_file: str = DEFAULT_CONFIG
    user: str = ""
    auth_socket: str = ""
    overrides: dict[str, str] = field(default_factory=dict)


def serve_standalone(
    service: str,
    run: Callable[[MailSession], None],
    argv: Sequence[str],
    environ: Mapping[str, str] | None = None,
) -> int:
    """Serve one session on descriptors 0 and 1; returns the exit status. Problems go to stderr."""
    sink = StreamSink(f"{service}: ")
    event = Event(sink)
    try:
        arguments = _parse(argv)
        session = _session(service, arguments, event, os.environ if environ is None else environ)
        sink.prefix = user_log_prefix(session.user)
    except BadOption as exc:
        print(f"{service}: {exc}", file=sys.stderr)
        return USAGE_STATUS
    except ConfigError as exc:
        for line in exc.lines:
            event.fatal(line)
        return FATAL_STATUS
    except InternalError as exc:
        event.fatal(str(exc))
        return FATAL_STATUS
    try:
        run(session)
    except InternalError as exc:
        session.event.fatal(str(exc))
        return FATAL_STATUS
    return 0


def _parse(argv: Sequence[str]) -> _Arguments:
    """Raises BadOption."""
    options, words = parse(argv, "a:c:o:u:")
    if words:
        raise BadOption(f"Unknown argument: {words[0]}")
    last = dict(options)
    overrides = dict(value.partition("=")[::2] for letter, value in options if letter == "o")
    return _Arguments(last.get("c", DEFAULT_CONFIG), last.get("u", ""), last.get("a", ""), overrides)


def _session(service: str, arguments: _Arguments, event: Event, environ: Mapping[str, str]) -> MailSession:
    view = _settings(service, arguments)
    username = arguments.user or environ.get("USER", "")
    if not username:
        raise InternalError("USER environment missing")
    facts = {"rip": environ.get("IP", ""), "lip": environ.get("LOCAL_IP", ""), "session": ""}
    fields: Mapping[str, str] = {}
    if arguments.user:
        username, fields = _lookup(service, arguments, view, facts)
    elif environ.get("HOME"):
        fields = {"home": environ["HOME"]}
    user = mail_user.resolve(view, username, service, fields, facts)
    mail_user.become(user, event)
    return MailSession(
        user,
        service,
        event.child(user=username),
        None,
        None,
        local_ip=facts["lip"],
        remote_ip=facts["rip"],
        secured=True,
        userdb=fields,
    )


def _settings(service: str, arguments: _Arguments) -> SettingsView:
    """Read the file itself: the config service belongs to root, and may not run."""
    view: SettingsView = from_file(arguments.config_file, service=service, protocol=service).view
    return view.with_overrides(arguments.overrides) if arguments.overrides else view


def _lookup(
    service: str, arguments: _Arguments, view: SettingsView, facts: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    settings = view.get(MailUserSettings)
    path = os.path.join(settings.base_dir, arguments.auth_socket or settings.auth_socket_path)
    known = {name: value for name, value in facts.items() if value}
    with AuthMaster(path) as auth:
        reply = auth.user(arguments.user, service=service, params=known)
    if reply is None:
        raise InternalError(f"User {arguments.user} doesn't exist")
    return reply.user, reply.fields

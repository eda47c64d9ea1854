"""dovecot-lda without a server's help: reads the configuration, asks userdb, becomes the user, delivers."""

import base64
import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from pydovecot.base.options import BadOption, parse
from pydovecot.cli.lda import DEFAULT_CONFIG, NAMES, OPTIONS
from pydovecot.delivery.lda import (
    NO_USER,
    TEMPFAIL,
    USAGE,
    BadEnvelope,
    Envelope,
    LocalAgent,
    Outcome,
    read_mail,
)
from pydovecot.delivery.settings import DeliverySettings
from pydovecot.delivery.spool import READ_BYTES, Spool
from pydovecot.event.event import Event
from pydovecot.event.sinks import StreamSink, TargetSink
from pydovecot.event.targets import LogTarget, open_targets
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster
from pydovecot.login import mail_user
from pydovecot.login.mail_user import INTERNAL_ERROR, MailUser, user_log_prefix
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.services.config.settings import LogSettings
from pydovecot.settings.client import from_file
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.kinds import BadValue
from pydovecot.settings.schema import SCHEMA
from pydovecot.settings.view import SettingsView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import MailSettings
from pydovecot.storage.user import StorageUser

SERVICE: Final = "lda"

HELP: Final = """\
Usage: dovecot-lda [-c <config file>] [-d <username>] [-p <path>]
                   [-m <mailbox>] [-e] [-k] [-f <envelope sender>]
                   [-a <original envelope recipient>]
                   [-r <final envelope recipient>]
                   [-o <setting=value>]
"""


class _Fatal(Exception):
    """The end, with an exit status."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Arguments:
    """The command line."""

    config: str = DEFAULT_CONFIG
    user: str = ""
    path: str = ""
    envelope: Envelope = Envelope()
    overrides: dict[str, str] = field(default_factory=dict)


def main(argv: Sequence[str]) -> int:
    """Deliver; the exit status."""
    sink = StreamSink(f"{SERVICE}: ")
    event = Event(sink)
    try:
        arguments = _arguments(argv)
        outcome = _Run(arguments, event).run(sys.stdin.buffer)
    except BadOption as exc:
        print(HELP, end="")
        print(f"{sys.argv[0]}: {exc}", file=sys.stderr)
        return USAGE
    except (_Fatal, BadEnvelope) as exc:
        if str(exc):
            event.fatal(str(exc))
        return exc.status
    except ConfigError as exc:
        for line in exc.lines:
            event.fatal(line)
        return TEMPFAIL
    sys.stderr.write(outcome.text)
    return outcome.status


def _arguments(argv: Sequence[str]) -> Arguments:
    """Raises BadOption, _Fatal."""
    options, words = parse(argv, OPTIONS)
    if words:
        print(HELP, end="")
        raise _Fatal(USAGE, f"Unknown argument: {words[0]}")
    last = dict(options)
    envelope = Envelope.of({NAMES[letter]: value for letter, value in options if letter in NAMES})
    overrides = dict(_override(value) for letter, value in options if letter == "o")
    return Arguments(last.get("c", DEFAULT_CONFIG), last.get("d", ""), last.get("p", ""), envelope, overrides)


def _override(text: str) -> tuple[str, str]:
    """Name and value of -o. Raises _Fatal."""
    name, sign, value = text.partition("=")
    known = SCHEMA.fields.get(name)
    try:
        if not sign:
            raise BadValue("Missing '='")
        return name, known.normal(value) if known is not None else value
    except BadValue as exc:
        raise _Fatal(TEMPFAIL, f"Error reading configuration: Invalid -o parameter {text}: {exc}") from exc


class _Run:
    """One delivery."""

    def __init__(self, arguments: Arguments, event: Event) -> None:
        self._arguments, self._event = arguments, event
        self._session = base64.b64encode(os.urandom(16)).rstrip(b"=").decode()

    def run(self, stdin: BinaryIO) -> Outcome:
        """Raises _Fatal, ConfigError."""
        arguments = self._arguments
        view: SettingsView = from_file(arguments.config, service=SERVICE, protocol=SERVICE).view
        if arguments.overrides:
            view = view.with_overrides(arguments.overrides)
        sink = self._log(view)
        try:
            user = self._user(view)
            sink.prefix = user_log_prefix(user)
            return self._as_user(user, stdin)
        except InternalError as exc:
            self._event.fatal(str(exc))
            return Outcome(TEMPFAIL)
        except _Fatal:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever it is, the MTA must keep the message
            self._event.exception("delivery failed", exc)
            return Outcome(TEMPFAIL)

    def _as_user(self, user: MailUser, stdin: BinaryIO) -> Outcome:
        source = self._source(stdin)  # before root is given up: the MTA's file may be its own
        if user.settings.get(MailSettings).mail_plugins:  # only quota rejects
            import pydovecot.delivery.bounce  # noqa: F401 - the user may not be able to import it
        mail_user.become(user, self._event)
        spool = Spool(user.settings.get(DeliverySettings).mail_temp_dir)
        try:
            return self._deliver(user, source, spool)
        finally:
            spool.close()

    def _user(self, view: SettingsView) -> MailUser:
        """Who gets the mail. Raises _Fatal, InternalError."""
        arguments = self._arguments
        facts = {"session": self._session}
        if not arguments.user:
            if os.geteuid() == 0:
                raise _Fatal(USAGE, "destination user parameter (-d user) not given")
            name, home = _myself()
            return mail_user.resolve(view, name, SERVICE, {"home": home} if home else {}, facts)
        settings = view.get(MailUserSettings)
        path = os.path.join(settings.base_dir, settings.auth_socket_path)
        try:
            with AuthMaster(path) as auth:
                found = auth.user(arguments.user, service=SERVICE, params=facts)
        except AuthLookupFailed as exc:
            self._event.error(str(exc))
            self._event.fatal(INTERNAL_ERROR)
            raise _Fatal(TEMPFAIL) from exc
        if found is None:
            raise _Fatal(NO_USER)
        return mail_user.resolve(view, found.user, SERVICE, found.fields, facts)

    def _log(self, view: SettingsView) -> TargetSink:
        """From here on the log is the server's. Raises _Fatal when nobody could read of the delivery."""
        settings = view.get(LogSettings)
        target = LogTarget(
            settings.log_path, settings.info_log_path, settings.debug_log_path,
            settings.log_timestamp.strip('"'), settings.syslog_facility,
        )  # fmt: skip
        try:
            targets = open_targets(target)
        except OSError as exc:
            raise _Fatal(TEMPFAIL, f"Can't open log file {exc.filename}: {exc.strerror}") from exc
        sink = TargetSink(targets, f"{SERVICE}({os.getpid()}): ")
        self._event = Event(sink)
        return sink

    def _source(self, stdin: BinaryIO) -> BinaryIO:
        if not self._arguments.path:
            return stdin
        try:
            return open(self._arguments.path, "rb")
        except OSError as exc:
            path = self._arguments.path
            missing = f"Mailbox doesn't exist: {path}"
            why = missing if isinstance(exc, FileNotFoundError) else f"open({path}) failed: {exc.strerror}"
            self._event.fatal(f"Can't open delivery mail as raw: {why}")
            raise _Fatal(TEMPFAIL) from exc

    def _deliver(self, user: MailUser, source: BinaryIO, spool: Spool) -> Outcome:
        envelope = self._arguments.envelope
        mail = read_mail(envelope, lambda: source.read(READ_BYTES), spool)
        described = StorageUser(
            user.username, user.home, SERVICE, dict(user.variables), self._event.error, self._event.info
        )
        store = open_store(described, user.settings)
        name = self._arguments.user or user.username
        agent = LocalAgent(
            store, user.settings, name, user.variables, self._event, mail_user.dated_internal_error
        )
        try:
            outcome = agent.deliver(mail, envelope)
        finally:
            store.close()
        return outcome if outcome.rejection is None else agent.reject(outcome.rejection)


def _myself(environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Name and home of who started this."""
    values = os.environ if environ is None else environ
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        if not values.get("USER"):
            raise _Fatal(TEMPFAIL, f"Couldn't lookup our username (uid={os.geteuid()})") from None
        return values["USER"], values.get("HOME", "")
    return values.get("USER") or entry.pw_name, values.get("HOME") or entry.pw_dir

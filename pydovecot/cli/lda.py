"""dovecot-lda, also called deliver - puts one message, from standard input, into a user's mailbox.

    dovecot-lda [-d user] [-f sender] [-a address] [-r address] [-m mailbox] [-p file] [-e] [-k]
                [-c config file] [-o setting=value]...

Started by the MTA, as root (it becomes the user of -d) or as the user itself. The exit status is one of
sysexits.h: 0 delivered, 67 no such user, 75 try again later, 77 refused (with -e), 64 wrong usage.
"""

import base64
import getopt
import os
import pwd
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from pydovecot.delivery.deliver import INBOX, Delivery, DeliveryFailed
from pydovecot.delivery.mail import Mail
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
from pydovecot.settings.expand import expand, user_table
from pydovecot.settings.view import SettingsView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import MailSettings
from pydovecot.storage.user import StorageUser

SERVICE: Final = "lda"
DEFAULT_CONFIG: Final = "/etc/dovecot/dovecot.conf"
# sysexits.h
OK, USAGE, NO_USER, TEMPFAIL, NO_PERM = 0, 64, 67, 75, 77
MAX_FROM_LINE: Final = 1000  # of an mbox; what is longer is no such line

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
    sender: str | None = None
    original: str = ""
    final: str = ""
    mailbox: str = INBOX
    path: str = ""
    to_stderr: bool = False
    overrides: dict[str, str] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of libexec/dovecot-lda."""
    sink = StreamSink(f"{SERVICE}: ")
    event = Event(sink)
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        return _Run(arguments, event).run(sys.stdin.buffer)
    except getopt.GetoptError as exc:
        print(HELP, end="")
        print(f"{SERVICE}: {exc}", file=sys.stderr)
        return USAGE
    except _Fatal as exc:
        if str(exc):
            event.fatal(str(exc))
        return exc.status
    except ConfigError as exc:
        for line in exc.lines:
            event.fatal(line)
        return TEMPFAIL
    except InternalError as exc:
        event.fatal(str(exc))
        return TEMPFAIL


def parse(argv: Sequence[str]) -> Arguments:
    """Raises GetoptError."""
    options, words = getopt.getopt(list(argv), "a:c:d:ef:km:o:p:r:")
    if words:
        raise getopt.GetoptError(f"Fatal: Unknown argument: {words[0]}")
    arguments = Arguments()
    for option, value in options:
        match option:
            case "-c":
                arguments.config = value
            case "-d":
                arguments.user = value
            case "-f":
                arguments.sender = value.strip().removeprefix("<").removesuffix(">")
            case "-a":
                arguments.original = value
            case "-r":
                arguments.final = value
            case "-m":
                arguments.mailbox = value or INBOX
            case "-p":
                arguments.path = value
            case "-e":
                arguments.to_stderr = True
            case "-o":
                name, _, text = value.partition("=")
                arguments.overrides[name] = text
            case _:  # -k: the environment is not used here anyway
                pass
    return arguments


class _Run:
    """One delivery."""

    def __init__(self, arguments: Arguments, event: Event) -> None:
        self._arguments, self._event = arguments, event
        self._session = base64.b64encode(os.urandom(16)).rstrip(b"=").decode()

    def run(self, stdin: BinaryIO) -> int:
        """The exit status."""
        arguments = self._arguments
        view: SettingsView = from_file(arguments.config, service=SERVICE, protocol=SERVICE).view
        if arguments.overrides:
            view = view.with_overrides(arguments.overrides)
        user = self._user(view)
        self._log_to_target(view, user)
        source = self._source(stdin)  # before root is given up: the MTA's file may be its own
        mail_user.become(user, self._event)
        spool = Spool(user.settings.get(DeliverySettings).mail_temp_dir)
        try:
            return self._deliver(user, self._read(source, spool))
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
            raise _Fatal(TEMPFAIL, f"{exc}") from exc
        if found is None:
            raise _Fatal(NO_USER)
        return mail_user.resolve(view, found.user, SERVICE, found.fields, facts)

    def _log_to_target(self, view: SettingsView, user: MailUser) -> None:
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
        self._event = Event(TargetSink(targets, user_log_prefix(user)))

    def _source(self, stdin: BinaryIO) -> BinaryIO:
        if not self._arguments.path:
            return stdin
        try:
            return open(self._arguments.path, "rb")
        except OSError as exc:
            text = f"Can't open delivery mail {self._arguments.path}: {exc.strerror}"
            self._event.fatal(text)
            raise _Fatal(TEMPFAIL) from exc

    def _read(self, source: BinaryIO, spool: Spool) -> Mail:
        """The message. A first line of an mbox is no part of it, but names the sender."""
        sender = self._arguments.sender
        first = source.readline(MAX_FROM_LINE)
        if first.startswith(b"From ") and first.endswith(b"\n"):
            found = re.match(rb"From (\S+) ", first)
            if sender is None and found is not None:
                sender = found[1].decode("utf-8", "replace")
        else:
            spool.write(first)
        while chunk := source.read(READ_BYTES):
            spool.write(chunk)
        return Mail(spool, sender or "")

    def _deliver(self, user: MailUser, mail: Mail) -> int:
        settings = user.settings.get(DeliverySettings)
        final = self._arguments.final or self._arguments.original or user.username
        store = open_store(
            StorageUser(user.username, user.home, SERVICE, dict(user.variables), self._event.error),
            user.settings,
        )
        try:
            variables = {**user.variables, "to_envelope": final}
            delivery = Delivery(store, settings, self._event, lambda: INTERNAL_ERROR, variables)
            delivery.deliver(mail, self._arguments.mailbox)
        except DeliveryFailed as exc:
            return self._refused(user, settings, mail, final, exc)
        finally:
            store.close()
        return OK

    def _refused(
        self, user: MailUser, settings: DeliverySettings, mail: Mail, final: str, failure: DeliveryFailed
    ) -> int:
        """Only a full mailbox is the sender's business; all else may be better another time."""
        if not failure.over_quota or settings.quota_full_tempfail:
            return TEMPFAIL
        if self._arguments.to_stderr:
            print(failure.text, file=sys.stderr)
            return NO_PERM
        message_id = mail.message_id or "unspecified"
        if not mail.sender:
            self._event.info(f"msgid={message_id}: Return-Path missing, rejection reason: {failure.text}")
            return OK
        from pydovecot.delivery import bounce

        hostname = user.settings.get(MailSettings).hostname or os.uname().nodename
        table = {**user_table(user.username, service=SERVICE), "hostname": hostname}
        postmaster = expand(settings.postmaster_address, table)
        rejection = bounce.Rejection(mail, final, failure.text, hostname, postmaster)
        try:
            rejection.send(settings)
        except bounce.CannotSend as exc:
            self._event.error(f"msgid={message_id}: Failed to send rejection: {exc}")
            return TEMPFAIL
        self._event.info(f"msgid={message_id}: rejected: {failure.text}")
        return OK


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


if __name__ == "__main__":
    raise SystemExit(main())

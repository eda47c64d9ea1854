"""Whose mail a command is for: one user, those of a pattern or a file, or all; and the run for each of them.

One user: the process becomes that user for good. Several: it is each of them in turn, and what fails for
one is told, and the next one's turn comes. SIGINT and SIGTERM end the run between two steps.
"""

import os
import signal
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final, Protocol

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import NO_USER, TEMPFAIL, USAGE, AdminError
from pydovecot.admin.settings import AdminSettings
from pydovecot.base import wildcard
from pydovecot.event.event import Event, Level
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster
from pydovecot.login import mail_user
from pydovecot.login.mail_user import INTERNAL_ERROR, MailUser, user_log_prefix
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.settings.view import SettingsView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.store import UserStore
from pydovecot.storage.user import StorageUser

SERVICE: Final = "doveadm"
MAX_NAME: Final = 4096  # octets of a line in the file of -F


@dataclass(slots=True)
class Mail:
    """One user's mail, while a command works on it."""

    context: Context
    user: MailUser
    store: UserStore
    auth: AuthMaster  # connected, if userdb was asked: the user may not be allowed to

    @property
    def name(self) -> str:
        return self.user.username


class Job(Protocol):
    """What a command does. `output`: the format of its rows unless -f names one; "": it prints none."""

    output: str

    def start(self, context: Context, arguments: Arguments) -> None:
        """Check the arguments and name the columns. Raises Usage, AdminError."""
        ...

    def run(self, mail: Mail) -> None:
        """The work for one user; what fails is logged and counted with `context.fail`."""
        ...


class Interrupted(Exception):
    """SIGINT or SIGTERM came."""


class _Signals:
    """Notes the signals: work is never cut off in the middle of a step."""

    def __init__(self) -> None:
        self.number = 0

    def note(self, number: int, _frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt  # asked twice: something does not come to its end
        self.number = number


_signals: Final = _Signals()


def check_interrupted() -> None:
    """Between two steps. Raises Interrupted."""
    if _signals.number:
        raise Interrupted


@contextmanager
def _noting_signals(context: Context) -> Iterator[None]:
    if context.server:  # the service's own handlers stay
        yield
        return
    before = {one: signal.signal(one, _signals.note) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(context: Context, arguments: Arguments, job: Job) -> int:
    """A mail command; the exit status."""
    if job.output:
        context.printer(job.output)
    who = _Who.of(context, arguments)
    if who.several and context.has_printer:
        context.printer().header("username", "Username", sticky=True, hide=True)
    if not who.several and who.name is None:
        raise AdminError("USER environment is missing and -u option not used", USAGE)
    job.start(context, arguments)
    with _noting_signals(context), _Run(context, job, who) as work:
        if _is_for_a_server(context, arguments):
            return work.remotely(arguments)
        if who.several:
            work.all()
        else:
            work.single(who.name or "")
    return context.status


def _is_for_a_server(context: Context, arguments: Arguments) -> bool:
    if context.server:
        return False
    from pydovecot.admin import remote

    return remote.wanted(context, arguments)


@dataclass(slots=True)
class _Who:
    """`name`: the one user. `mask`, `file`: several. `lookup`: userdb knows them."""

    name: str | None
    mask: str = ""
    file: str = ""
    all: bool = False
    lookup: bool = True

    @property
    def several(self) -> bool:
        return self.all or bool(self.mask or self.file)

    @classmethod
    def of(cls, context: Context, arguments: Arguments) -> "_Who":
        who = cls(context.user, lookup=context.server)
        who.all = arguments.flag("all-users")
        if arguments.given("user"):
            name = arguments.text("user")
            who.lookup = True
            if "*" in name or "?" in name:
                who.name, who.mask = None, name
            else:
                who.name = name
        if arguments.given("user-file"):
            who.file = arguments.text("user-file")
        who.lookup = who.lookup or who.several
        if arguments.flag("no-userdb-lookup"):
            who.lookup = False
        return who


class _Run:
    """The run for one user or for many."""

    def __init__(self, context: Context, job: Job, who: _Who) -> None:
        self._context, self._job, self._who = context, job, who
        self._view: SettingsView = context.settings(SERVICE)
        settings = self._view.get(MailUserSettings)
        base = self._view.get(AdminSettings).base_dir
        self._auth = AuthMaster(os.path.join(base, settings.auth_socket_path))

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._auth.close()

    def remotely(self, arguments: Arguments) -> int:
        """Let a doveadm server do it; a job that reads input has `source`, what it has read."""
        from pydovecot.admin import remote

        context, who = self._context, self._who
        names = self._names() if who.several else iter([who.name or ""])
        source = getattr(self._job, "source", None)
        try:
            return remote.run(context, arguments, names, several=who.several, source=source)
        except (InternalError, OSError) as exc:
            context.log.error(str(exc))
            self._iteration_failed()
            return context.status

    def single(self, name: str) -> None:
        """One user. What keeps it from being started is the command's failure."""
        log = self._context.log
        log.prefix = f"doveadm({name}): "
        try:
            user = self._resolve(name)
        except InternalError as exc:
            log.error(f"User lookup failed: {exc}")
            self._context.status = TEMPFAIL
            return
        if user is None:
            log.error("User doesn't exist")
            self._context.status = NO_USER
            return
        try:
            self._work(user)
        except Interrupted:
            log.warning(f"Killed with signal {_signals.number}")
            self._context.status = TEMPFAIL

    def all(self) -> None:
        """Many users; the iteration itself may fail."""
        context = self._context
        try:
            for name in self._names():
                context.log.prefix = f"doveadm({name}): "
                if context.has_printer:
                    context.printer().stick("username", name)
                self._one_of_many(name)
                check_interrupted()
        except Interrupted:
            context.log.warning(f"Killed with signal {_signals.number}")
            context.log.prefix = "doveadm: "
            self._iteration_failed()
        except (InternalError, OSError) as exc:
            context.log.error(f"{exc}")
            context.log.prefix = "doveadm: "
            self._iteration_failed()
        context.log.prefix = "doveadm: "

    def _iteration_failed(self) -> None:
        self._context.log.error("Failed to iterate through some users")
        self._context.status = TEMPFAIL

    def _one_of_many(self, name: str) -> None:
        context = self._context
        try:
            user = self._resolve(name)
        except InternalError as exc:
            context.log.error(f"User lookup failed: {exc}")
            context.fail(TEMPFAIL)
            return
        if user is None:
            context.log.info("User no longer exists, skipping")
            return
        self._work(user)

    def _names(self) -> Iterator[str]:
        if self._who.file:
            yield from _names_in(self._context, self._who.file)
            return
        mask = self._who.mask
        with AuthMaster(self._auth.path) as auth:  # the list is not read in one piece
            for name in auth.users(service=SERVICE, mask=mask):
                if not mask or wildcard.matches(name, mask):
                    yield name

    def _resolve(self, name: str) -> MailUser | None:
        if self._who.lookup:
            return look_up(self._context, name, self._auth)
        home = os.environ.get("HOME", "")
        return mail_user.resolve(self._view, name, SERVICE, {"home": home} if home else {}, _facts())

    def _work(self, user: MailUser) -> None:
        context = self._context
        with ExitStack() as stack:
            try:
                if self._who.several or context.server:
                    stack.enter_context(mail_user.temporarily(user))
                else:
                    mail_user.become(user, _event(context, user))
                store = open_mail(context, user)
            except (InternalError, OSError) as exc:
                context.log.line("Error", str(exc), user_log_prefix(user))
                context.log.error("User init failed")
                context.fail(TEMPFAIL)
                return
            try:
                self._job.run(Mail(context, user, store, self._auth))
            finally:
                store.close(logout=False)


def look_up(context: Context, name: str, auth: AuthMaster | None = None) -> MailUser | None:
    """A user of userdb; None: nobody has that name. Raises InternalError; the reason is logged then."""
    view: SettingsView = context.settings(SERVICE)
    if auth is None:
        path = view.get(MailUserSettings).auth_socket_path
        with AuthMaster(os.path.join(view.get(AdminSettings).base_dir, path)) as one:
            return look_up(context, name, one)
    try:
        found = auth.user(name, service=SERVICE)
    except AuthLookupFailed as exc:
        text = str(exc).replace("auth-master: ", f"auth-master: userdb lookup({name}): ", 1)
        context.log.line("Error", text, f"doveadm({name})<{os.getpid()}><>: ")
        raise InternalError(INTERNAL_ERROR) from exc
    if found is None:
        return None
    return mail_user.resolve(view, found.user, SERVICE, found.fields, _facts())


def _facts() -> dict[str, str]:
    """What log prefixes and paths may ask of a session, though there is none."""
    return {"session": b64encode(os.urandom(16)).rstrip(b"=").decode()}


def _event(context: Context, user: MailUser) -> Event:
    """Log lines of the storage, as lines of this user."""
    words = {Level.DEBUG: "Debug", Level.INFO: "Info", Level.WARNING: "Warning", Level.FATAL: "Fatal"}

    def sink(level: Level, text: str, _fields: dict[str, object]) -> None:
        if level is not Level.DEBUG or context.debug:
            context.log.line(words.get(level, "Error"), text, user_log_prefix(user))

    return Event(sink)


def open_mail(context: Context, user: MailUser) -> UserStore:
    """The user's store; the process has the user's rights. Raises InternalError."""
    event = _event(context, user)
    described = StorageUser(
        user.username, user.home, SERVICE, dict(user.variables), event.error, event.info
    )
    return open_store(described, user.settings)


def _names_in(context: Context, path: str) -> Iterator[str]:
    """The lines of a file of user names."""
    if path == "-":
        yield from (line.decode("utf-8", "surrogateescape").rstrip("\n") for line in context.stdin())
        return
    try:
        with open(path, "rb") as file:
            while line := file.readline(MAX_NAME):
                yield line.decode("utf-8", "surrogateescape").rstrip("\n")
    except OSError as exc:
        raise InternalError(f"read({path}) failed: open({path}) failed: {exc.strerror}") from exc

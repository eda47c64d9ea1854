"""Mail commands that a doveadm server does for us: -S, or doveadm_worker_count.

The server is asked for each user on its own, as Dovecot's doveadm asks; whose turn it is, is found out here.
"""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from pydovecot.admin.arguments import Arguments, Kind, Param
from pydovecot.admin.context import Context
from pydovecot.admin.errors import CONFIG, DATA, NO_PERM, NO_USER, NOT_FOUND, TEMPFAIL, USAGE
from pydovecot.admin.settings import AdminSettings, ClientTlsSettings, ServerSettings
from pydovecot.ipc.doveadm import DoveadmClient, Place, ServerFailed, parse_place

_STATUS: Final = {
    "TEMPFAIL": TEMPFAIL, "USAGE": USAGE, "NOUSER": NO_USER, "NOPERM": NO_PERM, "NOTFOUND": NOT_FOUND,
    "DATAERR": DATA, "NOTPOSSIBLE": DATA, "CONFIG": CONFIG,
}  # fmt: skip
_LEVELS: Final = ("Debug", "Info", "Warning", "Error", "Fatal", "Panic")
MAX_WORKERS: Final = 64
_OURS: Final = frozenset({"socket-path", "user-file", "no-userdb-lookup"})


def wanted(context: Context, arguments: Arguments) -> bool:
    """The command is one for a server, and we are none."""
    if context.server:
        return False
    if arguments.given("socket-path"):
        return True
    return context.settings().get(ServerSettings).doveadm_worker_count > 0


def run(
    context: Context,
    arguments: Arguments,
    names: Iterable[str],
    *,
    several: bool,
    source: Callable[[], Iterator[bytes]] | None = None,
) -> int:
    """The command for each of `names`; the exit status. `source`: what the command reads."""
    settings = context.settings().get(ServerSettings)
    base_dir = context.settings().get(AdminSettings).base_dir
    text = arguments.text("socket-path") or settings.doveadm_socket_path
    place = parse_place(text, base_dir, settings.doveadm_port)
    tls = _tls(context) if place.port and settings.doveadm_ssl != "no" else None

    def connect() -> DoveadmClient:
        return DoveadmClient(
            place, user=settings.doveadm_username, password=settings.doveadm_password,
            tls=settings.doveadm_ssl, context=tls,
        )  # fmt: skip

    flags = "D" if context.debug else "v" if context.verbose else ""
    words = [context.command_name, *rendered(context.params, arguments, several=several)]
    try:
        if several and settings.doveadm_worker_count > 1:
            _at_once(context, connect, place, names, flags, words, settings.doveadm_worker_count)
        else:
            with connect() as client:
                for name in names:
                    code = client.run(
                        [flags, name, *words],
                        _relay(context, name, several=several),
                        _logger(context, place),
                        source() if source is not None else (),
                    )
                    _ended(context, place, name, code, several=several)
    except ServerFailed as exc:
        context.log.error(str(exc))
        return TEMPFAIL
    return context.status


def _at_once(
    context: Context, connect: Callable[[], DoveadmClient], place: Place, names: Iterable[str],
    flags: str, words: list[str], workers: int,
) -> None:  # fmt: skip
    """Several users at a time, each in a server process of its own; a user's rows come in one piece."""
    waiting = iter(names)
    lock, failed = threading.Lock(), threading.Event()
    problems: list[ServerFailed] = []

    def work() -> None:
        try:
            with connect() as client:
                while not failed.is_set():
                    with lock:
                        name = next(waiting, None)
                    if name is None:
                        return
                    kept = _Kept()
                    code = client.run([flags, name, *words], kept.values.append, kept.log)
                    with lock:
                        kept.tell(context, place, name)
                        _ended(context, place, name, code, several=True)
        except ServerFailed as exc:
            failed.set()
            problems.append(exc)

    with ThreadPoolExecutor(min(workers, MAX_WORKERS)) as pool:
        for done in [pool.submit(work) for _ in range(min(workers, MAX_WORKERS))]:
            done.result()
    if problems:
        raise problems[0]


@dataclass(slots=True)
class _Kept:
    """What a server said about one user, until it is that user's turn."""

    values: list[bytes] = field(default_factory=list)
    said: list[tuple[int, str]] = field(default_factory=list)

    def log(self, level: int, text: str) -> None:
        self.said.append((level, text))

    def tell(self, context: Context, place: Place, name: str) -> None:
        """Log lines and rows."""
        log, value = _logger(context, place), _relay(context, name, several=True)
        for level, text in self.said:
            log(level, text)
        for one in self.values:
            value(one)


def _relay(context: Context, name: str, *, several: bool) -> Callable[[bytes], object]:
    """Values of one user's rows; with several users each row begins with the name."""
    if not context.has_printer:
        return lambda value: context.write(value + b"\n")
    printer = context.printer()
    own = sum(not header.hide or header.key != "username" for header in printer.headers)
    if not several:
        return printer.value
    printer.stick("username", name)
    column = 0

    def value(text: bytes) -> None:
        nonlocal column
        if column:
            printer.value(text)
        column = column + 1 if column < own else 0

    return value


def _logger(context: Context, place: Place) -> Callable[[int, str], object]:
    def log(level: int, text: str) -> None:
        word = _LEVELS[level] if 0 <= level < len(_LEVELS) else "Error"
        context.log.line(word, f"remote({place}): {text}")

    return log


def _ended(context: Context, place: Place, name: str, code: str, *, several: bool) -> None:
    if not code:
        return
    status = _STATUS.get(code, TEMPFAIL)
    if status == NO_USER and several:
        return  # gone since the list was made
    context.fail(status)
    if status == NO_USER:
        context.log.error(f"{place}: No such user: {name}")
    elif status == TEMPFAIL:
        context.log.error(f"{place}: Command {context.command_name} failed for {name}: {code}")


def rendered(params: Iterable[Param], arguments: Arguments, *, several: bool) -> list[str]:
    """The arguments as words again, without what is ours to do."""
    options: list[str] = []
    behind: list[str] = []
    for param in params:
        if param.name in _OURS or param.kind is Kind.FILE or not arguments.given(param.name):
            continue
        values = arguments.many(param.name)
        if param.word:
            behind += values
        elif param.name not in ("user", "all-users"):
            name = f"-{param.short}" if param.short else f"--{param.name}"
            options += [name] if param.kind is Kind.FLAG else [w for v in values for w in (name, v)]
    who = ["-A"] if several else []
    return [*who, *options, "--", *behind]


def _tls(context: Context) -> ssl.SSLContext:
    settings = context.settings().get(ClientTlsSettings)
    made = ssl.create_default_context(
        cafile=settings.ssl_client_ca_file.removeprefix("<") or None,
        capath=settings.ssl_client_ca_dir or None,
    )
    if not settings.ssl_client_require_valid_cert:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made

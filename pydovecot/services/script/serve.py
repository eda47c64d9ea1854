"""One run of the script: the client's socket is its input and output."""

import os
import signal
import subprocess
import time
from typing import Final

from pydovecot.runtime.context import Accepted, Context
from pydovecot.services.script.request import BadRequest, Request, parse, read_header

HEADER_SECS: Final = 10.0
CHECK_SECS: Final = 0.1  # between looks whether the script has ended, or the server stops
OPTIONS_WITH_VALUE: Final = ("-e",)


def command(argv: tuple[str, ...]) -> list[str]:
    """The words of `executable = script ...`: our own options in front are not the script's."""
    words = list(argv)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in OPTIONS_WITH_VALUE and words:
            words.pop(0)
    return words


def on_connection(context: Context, accepted: Accepted) -> None:
    """Read what to do, run it, tell how it ended."""
    with accepted.sock as sock:
        sock.settimeout(HEADER_SECS)
        try:
            request = parse(read_header(sock))
        except (BadRequest, ConnectionError, TimeoutError) as exc:
            context.event.error(str(exc) or "Client has sent nothing")
            return
        words = command(context.argv)
        if not words or not words[0].startswith("/"):
            context.event.error("executable = script: an absolute path is missing")
            return
        sock.settimeout(None)
        good = _run(context, [*words, *request.arguments], request, sock.fileno())
        if request.reply:
            try:
                sock.sendall(b"+\n" if good else b"-\n")
            except ConnectionError:
                pass  # it did not want to know after all


def _run(context: Context, words: list[str], request: Request, fd: int) -> bool:
    try:
        process = subprocess.Popen(words, stdin=fd, stdout=fd, preexec_fn=_plain_signals, cwd="/")
    except OSError as exc:
        context.event.error(f"execv({words[0]}) failed: {exc.strerror}")
        return False
    deadline = time.monotonic() + request.alarm if request.alarm else None
    while not context.stopping:
        try:
            status = process.wait(CHECK_SECS)
        except subprocess.TimeoutExpired:
            if deadline is not None and time.monotonic() >= deadline:
                context.event.error(f"{words[0]} took more than {request.alarm} seconds: killed")
                process.kill()
                deadline = None
            continue
        if status:
            context.event.error(f"{words[0]} {_ended(status)}")
        return status == 0
    return False


def _ended(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"


def _plain_signals() -> None:
    """What this process blocks or handles is no affair of the script's."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)

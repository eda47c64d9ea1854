"""A server of toys for tests of the master: it echoes lines, crashes on request, and says who it is.

Run as a program it is a master: `python -m tests.support.echo_roles CONFIG.json` (a
settings.master.Configuration as JSON; a file that is no JSON is a bad configuration).
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from pydovecot.runtime.context import Accepted, Context
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.anvil.main import SPEC as ANVIL
from pydovecot.services.log.main import SPEC as LOG
from pydovecot.services.master.master import Master, Options, freeze
from pydovecot.services.master.parse import Reader
from pydovecot.settings.master import Configuration


def answer(context: Context, line: bytes) -> bytes:
    """What the toys say to a line."""
    word = line.strip().decode()
    if word == "crash":
        raise RuntimeError("told to crash")
    if word == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "suicide":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "info":
        context.event.info("hello from the toy")
    if word == "prefix":
        context.set_log_prefix("toy(alice)<1><s>: ")
        context.event.info("prefixed")
    if word == "stderr":
        os.write(2, b"raw text\nTraceback (most recent call last):\n  File x\nValueError: boom\n")
    if word == "who":
        groups = ",".join(map(str, sorted(os.getgroups())))
        inside = Path("/proc").is_dir()
        return f"{os.getpid()} {os.getuid()} {os.getgid()} {groups} {'open' if inside else 'jail'}\n".encode()
    if word == "fds":
        return (" ".join(sorted(os.listdir("/proc/self/fd"), key=int)) + "\n").encode()
    return b"echo " + line


async def _talk(context: Context, accepted: Accepted) -> None:
    loop = asyncio.get_event_loop()
    try:
        while data := await loop.sock_recv(accepted.sock, 4096):
            await loop.sock_sendall(accepted.sock, answer(context, data))
    except OSError:
        pass
    except RuntimeError as exc:
        context.event.exception("toy", exc)
    finally:
        loop.remove_reader(accepted.sock)
        accepted.sock.close()
        context.state.pop(id(accepted), None)
        context.done(accepted)


def many_start(context: Context) -> None:
    context.state = {}


def many(context: Context, accepted: Accepted) -> None:
    task = asyncio.get_event_loop().create_task(_talk(context, accepted))
    context.state[id(accepted)] = (accepted, task)


def many_stop(context: Context) -> None:
    if context.stopping:
        for _accepted, task in list(context.state.values()):
            task.cancel()


def many_full(context: Context) -> None:
    for accepted, task in list(context.state.values())[:1]:
        del accepted
        task.cancel()


def one(context: Context, accepted: Accepted) -> None:
    while not context.stopping:
        if not context.wait_readable([accepted.sock.fileno()]):
            continue
        data = accepted.sock.recv(4096)
        if not data:
            return
        accepted.sock.sendall(answer(context, data))
    accepted.sock.sendall(b"bye\n")


def broken(_context: Context) -> None:
    raise RuntimeError("cannot start")


def quits(context: Context) -> None:
    context.event.fatal("said already")
    raise SystemExit(89)


def unused(_context: Context, _accepted: Accepted) -> None:
    raise AssertionError


MANY = ServiceSpec(
    "many",
    Family.MANY_CLIENTS,
    many,
    after_jail=many_start,
    on_stop=many_stop,
    on_full=many_full,
    needs_settings=False,
)
ONE = ServiceSpec("one", Family.ONE_CLIENT, one, needs_settings=False)
BROKEN = ServiceSpec("broken", Family.ONE_CLIENT, unused, before_jail=broken, needs_settings=False)
QUITTER = ServiceSpec("quitter", Family.ONE_CLIENT, unused, before_jail=quits, needs_settings=False)
ROLES = {"quitter": QUITTER, "many": MANY, "one": ONE, "broken": BROKEN, "log": LOG, "anvil": ANVIL}


class BadConfigError(Exception):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines)
        self.lines = lines


def load(path: str) -> Configuration:
    try:
        text = Path(path).read_text()
        json.loads(text)
    except ValueError:
        raise BadConfigError([f"Error in configuration file {path} line 1: Unknown setting: x"]) from None
    return Configuration.from_json(text)


def main() -> int:
    freeze()
    reader = Reader(load, Configuration.from_json)
    return Master(Options(sys.argv[1], ROLES, reader, foreground=True, name="toys")).run()


if __name__ == "__main__":
    raise SystemExit(main())

"""One doveadm of root's, on its own terminal: arguments and descriptors in, exit status out.

The process becomes the user whose mail it is and does not serve anybody after that. Protocol:
ipc/doveadm_terminal.py.
"""

import fcntl
import io
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from types import FrameType
from typing import Final

from pydovecot.admin import formatters, remote, table, terminal  # noqa: F401 - loaded once, see below
from pydovecot.admin.arguments import BadArguments, Kind, parse
from pydovecot.base import fdpass
from pydovecot.base.peercred import peer_credentials
from pydovecot.ipc import doveadm_terminal as protocol
from pydovecot.runtime.context import Accepted, Context

REQUEST_SECS: Final = 10.0
STANDARD_FDS: Final = 3


def load_commands() -> None:
    """Once for all processes: what a program on the command line loads as it is needed."""
    for command in table.commands():
        if not command.cli_only:
            import_module(command.module)


def is_request(context: Context, sock: socket.socket) -> bool:
    """What comes is for here, not doveadm's own protocol. Nothing is read."""
    if not context.wait_readable((sock.fileno(),), REQUEST_SECS):
        return False
    return sock.recv(len(protocol.VERSION), socket.MSG_PEEK) == protocol.VERSION


def serve(context: Context, accepted: Accepted) -> None:
    """Run the command; the process ends with it."""
    sock = accepted.sock
    sock.settimeout(REQUEST_SECS)
    fds: list[int] = []
    try:
        data, fds = fdpass.recv_fds(sock, protocol.MAX_REQUEST, STANDARD_FDS)
        while not data.endswith(protocol.END) and len(data) < protocol.MAX_REQUEST and (
            more := sock.recv(protocol.MAX_REQUEST)
        ):
            data += more
    except OSError:
        fdpass.close_all(fds)
        return
    request = protocol.decode(data)
    # The descriptors and the folder are root's: whoever else may use the socket has the other protocol.
    if request is None or len(fds) != STANDARD_FDS or peer_credentials(sock)[1] != 0:
        fdpass.close_all(fds)
        sock.sendall(protocol.DIRECT)
        return
    argv, folder, environment = request
    if names_file(argv):
        fdpass.close_all(fds)
        sock.sendall(protocol.DIRECT)
        return
    context.last_client()
    context.set_title(" ".join(argv[:2]))
    try:
        os.chdir(folder)
    except OSError:
        sock.sendall(protocol.DIRECT)
        return
    try:
        sock.sendall(protocol.TAKEN)
        if sock.recv(len(protocol.YES)) != protocol.YES:
            return  # it does it by itself
    except OSError:
        return  # killed meanwhile: nothing has happened
    sock.settimeout(None)
    log = os.dup(2)
    _take_terminal(fds, environment)
    try:
        _watch(sock)
        status = terminal.main(argv)
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        status = protocol.TEMPFAIL  # too early for the command to say so
    finally:
        os.dup2(log, 2)
    try:
        sock.sendall(b"%d\n" % status)
    except OSError:
        pass  # killed meanwhile


def names_file(argv: list[str]) -> bool:
    """The command opens a file by its name. With PrivateTmp=yes the program's /tmp is another than ours."""
    try:
        found = table.find(terminal.words_of(argv))
        if found is None or found[0].raw:
            return False
        arguments = parse(found[0].params, found[1], found[0].name)
    except (terminal.Ended, BadArguments):
        return False  # a mistake, which is told here as well as there
    files = (param.name for param in found[0].params if param.kind is Kind.FILE)
    return any(arguments.text(name, "-") != "-" for name in files)


def _take_terminal(fds: list[int], environment: Mapping[str, str]) -> None:
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    fdpass.close_all(fds)
    # Open until the process ends, which is soon.
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "rb", closefd=False)))
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "wb", closefd=False)))
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "wb", closefd=False)))
    for name in ("USER", "HOME", "TZ", "CONFIG_FILE"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    time.tzset()


def _watch(sock: socket.socket) -> None:
    """The program's end of the connection is Ctrl-C for us."""

    def look(_number: int, _frame: FrameType | None) -> None:
        try:
            gone = not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            signal.signal(signal.SIGIO, signal.SIG_IGN)
            os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGIO, look)
    fcntl.fcntl(sock.fileno(), fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(sock.fileno(), fcntl.F_GETFL)
    fcntl.fcntl(sock.fileno(), fcntl.F_SETFL, flags | os.O_ASYNC)
    os.kill(os.getpid(), signal.SIGIO)  # it may have been before that

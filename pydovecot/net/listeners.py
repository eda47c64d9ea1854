"""Listening sockets as raw descriptors: UNIX with mode and owner, TCP, named pipes, and systemd's.

The master holds descriptors, not socket objects: a forked child rearranges descriptor numbers, and an object
that closes "its" number later would close something else.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Mapping
from typing import Final

BACKLOG: Final = 511  # Dovecot: 128, grown by the kernel's somaxconn; connection storms are short and high
LISTEN_FDS_START: Final = 3  # sd_listen_fds(3)
MAX_UNIX_PATH: Final = 107


class ListenError(Exception):
    """A socket could not be opened; the text is for the log."""


class AlreadyRunningError(ListenError):
    """Something answers on a UNIX socket of ours."""


def open_unix(path: str, *, mode: int, uid: int, gid: int) -> int:
    """Listen on a UNIX socket; a dead socket of an earlier run is replaced. uid or gid -1: leave as created.

    Raises AlreadyRunningError when a server answers there, ListenError otherwise.
    """
    if len(os.fsencode(path)) > MAX_UNIX_PATH:
        raise ListenError(f"net_listen_unix({path}) failed: Path is longer than {MAX_UNIX_PATH} bytes")
    _remove_dead(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode must be right before anybody can connect, so from the umask, not from a later chmod.
    old_umask = os.umask(0o777 & ~mode)
    try:
        sock.bind(path)
    except OSError as exc:
        sock.close()
        raise ListenError(f"net_listen_unix({path}) failed: {exc.strerror}") from exc
    finally:
        os.umask(old_umask)
    try:
        set_owner(path, mode=mode, uid=uid, gid=gid)
        sock.listen(BACKLOG)
    except (OSError, ListenError) as exc:
        sock.close()
        raise ListenError(f"net_listen_unix({path}) failed: {exc}") from exc
    sock.setblocking(False)
    return sock.detach()


def make_folder(path: str) -> None:
    """Make a directory, with those above it, that everybody may pass, whatever our umask is."""
    if os.path.isdir(path):
        return
    old_umask = os.umask(0o022)
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    finally:
        os.umask(old_umask)


def set_owner(path: str, *, mode: int, uid: int, gid: int) -> None:
    """Give a socket its owner and mode, if they differ. An ordinary user's failures to chown are silent."""
    info = os.lstat(path)
    if (uid not in (-1, info.st_uid)) or (gid not in (-1, info.st_gid)):
        try:
            os.chown(path, uid, gid, follow_symlinks=False)
        except OSError as exc:
            if os.geteuid() == 0:
                raise ListenError(f"chown({path}, {uid}, {gid}) failed: {exc.strerror}") from exc
    if stat.S_IMODE(info.st_mode) != mode:
        os.chmod(path, mode)


def _remove_dead(path: str) -> None:
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise ListenError(f"lstat({path}) failed: {exc.strerror}") from exc
    if not is_socket:
        raise ListenError(f"{path} exists and is not a socket")
    if answers(path):
        raise AlreadyRunningError(f"Socket already exists: {path}")
    os.unlink(path)


def answers(path: str) -> bool:
    """True when somebody listens on a UNIX socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True  # its queue is full: alive
        except OSError:
            return False
        return True


def open_inet(address: str, port: int, *, reuse_port: bool = False) -> int:
    """Listen on one address (`*` and `::` are the wildcards) and port. Raises ListenError."""
    host = {"*": "0.0.0.0", "": "0.0.0.0"}.get(address, address.strip("[]"))
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise ListenError(f"Can't resolve address {address}: {exc.strerror or exc}") from exc
    family, _kind, _proto, _name, where = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError as exc:
        sock.close()
        raise ListenError(f"listen({address}, {port}) failed: {exc.strerror}") from exc
    sock.setblocking(False)
    return sock.detach()


def inet_is_optional(address: str, exc: ListenError) -> bool:
    """`listen = *, ::` on a machine without IPv6 is no error, as in Dovecot."""
    cause = exc.__cause__
    missing = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
    return address in ("::", "[::]") and isinstance(cause, OSError) and cause.errno in missing


def open_fifo(path: str, *, mode: int, uid: int, gid: int) -> int:
    """Make and open a named pipe for reading; it stays open for writing too, so that it never ends."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISFIFO(os.lstat(path).st_mode):
            os.unlink(path)
    old_umask = os.umask(0o777 & ~mode)
    try:
        os.mkfifo(path, mode)
    except OSError as exc:
        raise ListenError(f"mkfifo({path}) failed: {exc.strerror}") from exc
    finally:
        os.umask(old_umask)
    set_owner(path, mode=mode, uid=uid, gid=gid)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


class Inherited:
    """Listening sockets that systemd opened for us, found by what they are bound to. sd_listen_fds(3)."""

    def __init__(self, env: Mapping[str, str], pid: int) -> None:
        self._inet: dict[tuple[str, int], int] = {}
        self._unix: dict[str, int] = {}
        self._both: set[int] = set()  # ports on which the socket of :: serves IPv4 as well
        if env.get("LISTEN_PID") != str(pid):
            return
        count = env.get("LISTEN_FDS", "0")
        for fd in range(LISTEN_FDS_START, LISTEN_FDS_START + (int(count) if count.isdigit() else 0)):
            with contextlib.suppress(OSError):
                self._learn(fd)

    def _learn(self, fd: int) -> None:
        sock = socket.socket(fileno=os.dup(fd))
        try:
            name = sock.getsockname()
            both = sock.family == socket.AF_INET6 and not sock.getsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
            )
        finally:
            sock.close()
        # Out of the way of the fixed numbers of children; the duplicate keeps the socket alive.
        kept = os.dup(fd)
        os.set_blocking(kept, False)
        os.close(fd)
        if isinstance(name, tuple):
            self._inet[name[0], name[1]] = kept
            if both and name[0] == "::":
                self._both.add(name[1])
        elif name:
            self._unix[os.fsdecode(name)] = kept

    def take_inet(self, address: str, port: int) -> int | None:
        """The descriptor bound to `address`:`port`, once; a wildcard there serves every address of ours.

        -1: nothing more is to be done for this address, because a socket that was taken for the port serves
        IPv4 and IPv6.
        """
        host = {"*": "0.0.0.0", "": "0.0.0.0"}.get(address, address.strip("[]"))
        own_family = "::" if ":" in host else "0.0.0.0"
        for key in ((host, port), (own_family, port), ("::", port)):
            if key in self._inet and (key[0] != "::" or own_family == "::" or port in self._both):
                return self._inet.pop(key)
        return -1 if port in self._both else None

    def take_unix(self, path: str) -> int | None:
        """The descriptor bound to `path`, once."""
        return self._unix.pop(path, None)

    def unused(self) -> list[str]:
        """What nobody took, for a warning."""
        return [f"{host}:{port}" for host, port in self._inet] + list(self._unix)

"""base_dir: directories, master.pid, the link to the configuration; and whether a master is there already."""

import contextlib
import os
import stat
from collections.abc import Callable
from typing import Final

from pydovecot.base.privileges import user_id
from pydovecot.net import listeners
from pydovecot.runtime.master_pid import PID_FILE, is_alive, read_pid

CONFIG_LINK: Final = "dovecot.conf"


class StartError(Exception):
    """The server cannot start; the text is for stderr and the log."""


def prepare(base_dir: str, login_user: str, warn: Callable[[str], None]) -> None:
    """Make base_dir and its directories as Dovecot has them; wrong permissions are corrected with a warning.

    Only root gives directories to a group. Raises StartError.
    """
    gid = -1
    if os.geteuid() == 0:
        gid = user_id(login_user)[1] if login_user else -1
    try:
        _folder(base_dir, 0o755, -1, "", warn)
        _folder(f"{base_dir}/login", 0o750, gid, "login directory", warn)
        _folder(f"{base_dir}/token-login", 0o750, gid, "login directory", warn)
        _folder(f"{base_dir}/empty", 0o755, -1, "empty directory", warn)
        for name in os.listdir(f"{base_dir}/empty"):
            raise StartError(f"Empty directory {base_dir}/empty is not empty: {name}")
    except OSError as exc:
        raise StartError(f"mkdir({exc.filename or base_dir}) failed: {exc.strerror}") from exc


def _folder(path: str, mode: int, gid: int, title: str, warn: Callable[[str], None]) -> None:
    created = not os.path.isdir(path)
    if created:
        listeners.make_folder(path)
    info = os.stat(path)
    if not stat.S_ISDIR(info.st_mode):
        raise StartError(f"{path} is not a directory")
    wrong_owner = gid != -1 and (info.st_uid, info.st_gid) != (0, gid)
    if wrong_owner:
        os.chown(path, 0, gid)
    wrong_mode = (created or bool(title)) and stat.S_IMODE(info.st_mode) != mode
    if wrong_mode:
        os.chmod(path, mode)
    if not created and (wrong_owner or wrong_mode):
        warn(f"Corrected permissions for {title} {path}")


def check_not_running(base_dir: str) -> None:
    """Raises StartError when a master of this base_dir is alive: its pid file, else its socket."""
    path = f"{base_dir}/{PID_FILE}"
    pid = read_pid(base_dir)
    if pid is not None and pid != os.getpid() and is_alive(pid):
        raise StartError(f"Dovecot is already running with PID {pid} (read from {path})")
    socket_path = f"{base_dir}/master"
    if os.path.exists(socket_path) and listeners.answers(socket_path):
        raise StartError(f"Dovecot is already running? Socket already exists: {socket_path}")


def write_pid(base_dir: str) -> None:
    """Write master.pid for this process."""
    path = f"{base_dir}/{PID_FILE}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, b"%d\n" % os.getpid())
    finally:
        os.close(fd)


def remove_pid(base_dir: str) -> None:
    """Remove master.pid if it is ours."""
    if read_pid(base_dir) == os.getpid():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{base_dir}/{PID_FILE}")


def link_config(base_dir: str, config_file: str) -> None:
    """`dovecot.conf` in base_dir shows the configuration file of the running server."""
    path = f"{base_dir}/{CONFIG_LINK}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.symlink(os.path.abspath(config_file), path)


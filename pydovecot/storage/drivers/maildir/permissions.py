"""Modes and groups of new files and directories: as those of the mail root, as in Dovecot."""

import os
import stat
from typing import Final

from pydovecot.model.errors import InternalError

PRIVATE_DIR: Final = 0o700


class Permissions:
    """What the root has is given to everything below; a root that is not there yet is made private."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known = False
        self._dir_mode, self._gid = PRIVATE_DIR, -1
        self._look()

    def _look(self) -> None:
        try:
            found = os.stat(self._root)
        except OSError:
            return
        self._known = True
        self._dir_mode = stat.S_IMODE(found.st_mode) & 0o777 | 0o700
        # The group matters only where it may do something (Dovecot: mailbox_list_get_permissions).
        shared = found.st_mode & 0o070
        self._gid = found.st_gid if shared and found.st_gid != os.getegid() else -1

    @property
    def file_mode(self) -> int:
        """Mode of files."""
        return self._dir_mode & 0o666

    @property
    def gid(self) -> int:
        """Group of files; -1: ours is right."""
        return self._gid

    def make(self, path: str, *, again: bool = False) -> None:
        """Make a directory and its parents; one that is there stays. `again`: its parent is there."""
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return
        except FileNotFoundError as exc:
            if again:
                # A place like /proc, where nobody makes anything.
                raise InternalError(f"mkdir({path}) failed: {exc.strerror}") from exc
            parent = os.path.dirname(path)
            if not os.path.isdir(parent):  # else another session has made it just now
                self.make(parent)
            self.make(path, again=True)
            return
        if not self._known and path == self._root:
            self._look()
            return
        os.chmod(path, self._dir_mode)
        if self._gid != -1:
            try:
                os.chown(path, -1, self._gid)
            except PermissionError:
                pass

    def touch(self, path: str) -> None:
        """Make an empty file."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return
        try:
            self.apply(fd)
        finally:
            os.close(fd)

    def apply(self, fd: int) -> None:
        """Give an open new file the right mode and group."""
        os.fchmod(fd, self.file_mode)
        if self._gid != -1:
            try:
                os.fchown(fd, -1, self._gid)
            except PermissionError:
                pass

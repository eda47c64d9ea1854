"""Where mailboxes are: files below the root are mailboxes, directories only lead to some (layout fs).

With DIRNAME every mailbox is a directory that has a file of that name, so it can have mailboxes below it.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from typing import Final

from pydovecot.base import eacces
from pydovecot.base.mutf7 import decode_lenient, encode_lenient
from pydovecot.base.privileges import with_group
from pydovecot.base.rawname import raw, shown
from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.storage.backend import INBOX, Existence, Node, Parts
from pydovecot.storage.drivers.mbox import journal
from pydovecot.storage.drivers.mbox.locks import NOT_PRIVILEGED
from pydovecot.storage.list import names
from pydovecot.storage.location import Location

INDEX_DIR: Final = ".imap"  # Dovecot's, too
SUBSCRIPTIONS: Final = ".subscriptions"
LOCK: Final = ".lock"
MAX_DEPTH: Final = 64  # of directories below each other that LIST follows
NO_INFERIORS: Final = "Mailbox doesn't allow inferior mailboxes"


class MboxLayout:
    """Paths of mailboxes."""

    separator = "/"
    has_nodes = True

    def __init__(self, location: Location, *, inbox: bool, privileged_gid: int) -> None:
        self.root, self.inbox = location.root, inbox
        self.inbox_path = location.key("INBOX") or f"{location.root}/inbox"
        self._top = location.key("MAILBOXDIR").strip("/")
        self._dirname = location.key("DIRNAME") or location.key("FULLDIRNAME")
        self._nodes_are_mailboxes = bool(location.key("NO-NOSELECT"))
        self._utf8 = bool(location.key("UTF-8"))
        self._subscriptions = location.key("SUBSCRIPTIONS") or SUBSCRIPTIONS
        self._privileged_gid = privileged_gid
        self._index, self._control = location.key("INDEX"), location.key("CONTROL")
        if os.path.exists(self.root) and not os.path.isdir(self.root):
            raise InternalError(
                f"Initialization failed: mbox: root mailbox directory can't be a file: {self.root}"
            )

    def check(self, parts: Parts, separator: str) -> None:
        """Names that a file can have, and none that other programs would misread."""
        names.check(parts, separator, self.separator)
        if ".." in parts:
            names.refuse("Contains '..' part")
        if "." in parts:
            names.refuse("Contains '.' part")
        if any(self._is_reserved(part) for part in parts):
            names.refuse("Contains reserved name")

    def _is_reserved(self, part: str) -> bool:
        if self._dirname:
            return part in (self._dirname, self._subscriptions, INDEX_DIR)
        return part in (INDEX_DIR, self._subscriptions) or part.endswith(LOCK)

    def relative(self, parts: Parts) -> str:
        """`A/B`: its name in the index."""
        if self._utf8:
            return "/".join(raw(part) for part in parts)
        return "/".join(os.fsdecode(encode_lenient(part)) for part in parts)

    def index_path(self, parts: Parts) -> str:
        """Directory that is known as that of the mailbox's index; there is one for all."""
        return f"{self._index or self.root}/{INDEX_DIR}/{self.relative(parts)}"

    def control_path(self, parts: Parts) -> str:
        """Directory that other programs keep what belongs to the mailbox in."""
        return f"{self._control or self.root}/{INDEX_DIR}/{self.relative(parts)}"

    def _decode(self, text: str) -> str:
        return shown(text) if self._utf8 else decode_lenient(os.fsencode(text))

    @property
    def _directory(self) -> str:
        return f"{self.root}/{self._top}" if self._top else self.root

    def path(self, parts: Parts) -> str:
        """The file."""
        if self.inbox and parts == INBOX:
            return self.inbox_path
        where = f"{self._directory}/{self.relative(parts)}"
        return f"{where}/{self._dirname}" if self._dirname else where

    def _place(self, parts: Parts) -> str:
        """What is renamed, and what a node is: the directory of a mailbox, if it has one."""
        path = self.path(parts)
        return os.path.dirname(path) if self._dirname and not (self.inbox and parts == INBOX) else path

    def nodes(self) -> Iterator[Node]:
        """All files and directories but those of the server's own."""
        if self.inbox and os.path.isfile(self.inbox_path):
            yield Node(INBOX, no_inferiors=self.inbox_path == f"{self._directory}/INBOX")
        yield from self._walk(self._directory, (), 0)

    def _walk(self, directory: str, parts: Parts, depth: int) -> Iterator[Node]:
        try:
            entries = list(os.scandir(directory))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        for entry in entries:
            name, path = entry.name, f"{directory}/{entry.name}"
            if self._is_reserved(name) or name.startswith(".nfs"):
                continue
            below = (*parts, self._decode(name))
            if self.inbox and path == self.inbox_path:
                continue
            if entry.is_dir():
                if not (self.inbox and below == INBOX):
                    found = bool(self._dirname) and os.path.isfile(f"{path}/{self._dirname}")
                    yield Node(below, selectable=found)
                if depth < MAX_DEPTH:
                    yield from self._walk(path, below, depth + 1)
            elif entry.is_file() and not self._dirname and not (self.inbox and below == INBOX):
                yield Node(below, no_inferiors=True)

    def existence(self, parts: Parts) -> Existence:
        """A directory is a node."""
        path = self.path(parts)
        if os.path.isfile(path):
            return Existence.MAILBOX
        return Existence.NODE if os.path.isdir(self._place(parts)) else Existence.NONE

    def make_node(self, parts: Parts) -> None:
        """A directory, or a mailbox after all (NO-NOSELECT)."""
        if self._nodes_are_mailboxes:
            self.make_mailbox(parts)
        else:
            self._make_dirs(self._place(parts))

    def make_mailbox(self, parts: Parts) -> None:
        """An empty file."""
        path = self.path(parts)
        if os.path.isdir(path):
            raise UserError(Code.ALREADYEXISTS, "Mailbox already exists")
        if not (self.inbox and parts == INBOX):
            self._make_dirs(os.path.dirname(path))
        try:
            try:
                self._make_file(path)
            except FileNotFoundError:
                self._make_dirs(os.path.dirname(path))
                self._make_file(path)
        except PermissionError as exc:
            spool = self.inbox and parts == INBOX and not path.startswith(self.root + "/")
            if not spool:
                raise _failure(exc) from exc
            why = f"open({path}) failed: {exc.strerror} {eacces.explain(path)}"
            if self._privileged_gid < 0:
                raise InternalError(why) from exc
            try:
                with with_group(self._privileged_gid):
                    self._make_file(path)
            except PermissionError as again:
                raise InternalError(why + NOT_PRIVILEGED if again.errno == errno.EPERM else why) from again
            except OSError as again:
                raise _failure(again) from again
        except OSError as exc:
            raise _failure(exc) from exc

    @staticmethod
    def _make_file(path: str) -> None:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        except FileExistsError:
            pass

    @staticmethod
    def _make_dirs(path: str) -> None:
        try:
            os.makedirs(path, 0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as exc:
            raise UserError(Code.CANNOT, NO_INFERIORS) from exc
        except OSError as exc:
            raise _failure(exc) from exc

    def delete(self, parts: Parts) -> None:
        """Unlink the file; a directory must be empty but for Dovecot's index."""
        path, place = self.path(parts), self._place(parts)
        try:
            if os.path.isfile(path):
                os.unlink(path)
                if place != path:
                    self._remove_empty(place)
            elif os.path.isdir(place):
                if set(os.listdir(place)) <= {INDEX_DIR}:
                    shutil.rmtree(f"{place}/{INDEX_DIR}", ignore_errors=True)
                os.rmdir(place)  # noqa: PTH106
            else:
                os.unlink(path)  # says why not
            if self._nodes_are_mailboxes:
                for count in range(len(parts) - 1, 0, -1):
                    self._remove_empty(self._place(parts[:count]))
        except OSError as exc:
            if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise UserError(Code.HASCHILDREN, "Mailbox has children, delete them first") from exc
            raise _failure(exc) from exc

    @staticmethod
    def _remove_empty(directory: str) -> None:
        try:
            if set(os.listdir(directory)) <= {INDEX_DIR}:
                shutil.rmtree(f"{directory}/{INDEX_DIR}", ignore_errors=True)
                os.rmdir(directory)  # noqa: PTH106
        except OSError:
            pass  # not empty, or gone

    def rename(self, old: Parts, new: Parts) -> None:
        """The file, or the directory with all in it."""
        source, target = self._place(old), self._place(new)
        self._make_dirs(os.path.dirname(target))
        try:
            os.rename(source, target)
        except OSError as exc:
            raise _failure(exc) from exc
        if self._dirname and len(old) > 1:
            self._remove_empty(self._place(old[:-1]))


def _failure(exc: OSError) -> Exception:
    if exc.errno == errno.ENAMETOOLONG:
        return UserError(Code.CANNOT, "Mailbox name too long")
    if exc.errno == errno.ENOTDIR:
        return UserError(Code.CANNOT, NO_INFERIORS)
    if exc.errno == errno.ENOENT:
        return UserError(Code.NONEXISTENT, "Mailbox was deleted")  # by another session, meanwhile
    return journal.failure(exc)

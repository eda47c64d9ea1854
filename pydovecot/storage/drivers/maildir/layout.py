"""Where mailboxes are: Maildir++ (`.A.B` beside each other) and fs (directories in directories).

Directory names are modified UTF-7, or UTF-8 with the UTF-8 key of mail_location. Names that are neither are
shown byte by byte and found again.
"""

import errno
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Final

from pydovecot.base.mutf7 import decode_lenient, encode_lenient, hide_inbox
from pydovecot.base.rawname import raw, shown
from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.storage.backend import INBOX, Existence, Node, Parts
from pydovecot.storage.drivers.maildir.permissions import Permissions
from pydovecot.storage.list import names
from pydovecot.storage.location import Location

SUBDIRS: Final = ("cur", "new", "tmp")
MAX_DEPTH: Final = 64  # of directories below each other that LIST follows
TRASH: Final = "..DOVECOT-TRASHED"


def long_name(exc: OSError) -> Exception:
    """What a failed mkdir or rename means."""
    if exc.errno == errno.ENAMETOOLONG:
        return UserError(Code.CANNOT, "Mailbox name too long")
    if exc.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return UserError(Code.NOPERM, "Permission denied")
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(Code.OVERQUOTA, "Not enough disk space")
    if exc.errno == errno.ENOENT:
        return UserError(Code.NONEXISTENT, "Mailbox was deleted")  # by another session, meanwhile
    return InternalError(f"{exc.filename}: {exc.strerror}")


class Layout(ABC):
    """`relative(parts)` is the directory below the mail root (and below CONTROL); "" is the root itself."""

    separator: str
    has_nodes = False

    def __init__(self, location: Location, permissions: Permissions, *, inbox: bool) -> None:
        self.root = location.root
        self.control = location.key("CONTROL") or location.root
        self._index = location.key("INDEX")
        self.inbox_path = location.key("INBOX") or location.root
        self.inbox = inbox
        self.permissions = permissions
        self._utf8 = bool(location.key("UTF-8"))

    def encode(self, part: str) -> str:
        """A part as it is on disk."""
        return raw(part) if self._utf8 else os.fsdecode(encode_lenient(part))

    def decode(self, text: str) -> str:
        """A part from disk."""
        return shown(text) if self._utf8 else decode_lenient(os.fsencode(text))

    def check(self, parts: Parts, separator: str) -> None:
        """Names that this layout can hold."""
        names.check(parts, separator, self.separator)

    @abstractmethod
    def relative(self, parts: Parts) -> str:
        """Directory of a mailbox below the root."""

    def path(self, parts: Parts) -> str:
        """Directory with cur, new and tmp."""
        if self.inbox and parts == INBOX:
            return self.inbox_path
        relative = self.relative(parts)
        return f"{self.root}/{relative}" if relative else self.root

    def index_path(self, parts: Parts) -> str:
        """Directory that is known as that of the mailbox's index, as INDEX= says; there is one for all."""
        index = self._index
        return f"{index}/{self.relative(parts)}" if index and index != "MEMORY" else self.path(parts)

    def control_path(self, parts: Parts) -> str:
        """Directory with dovecot-uidlist and dovecot-keywords."""
        if self.inbox and parts == INBOX and self.control == self.root:
            return self.inbox_path
        relative = self.relative(parts)
        return f"{self.control}/{relative}" if relative else self.control

    @abstractmethod
    def nodes(self) -> Iterator[Node]: ...

    @abstractmethod
    def existence(self, parts: Parts) -> Existence: ...

    @abstractmethod
    def make_node(self, parts: Parts) -> bool:
        """Make only the name; False: this layout has no names without a mailbox."""

    @abstractmethod
    def delete(self, parts: Parts) -> None: ...

    @abstractmethod
    def rename(self, old: Parts, new: Parts) -> Callable[[str], str]:
        """Rename directories; returns what a relative directory is called afterwards."""

    def make_mailbox(self, parts: Parts) -> None:
        """Make the directories of a mailbox; those that are there already are fine."""
        try:
            self._make_dirs(parts)
        except OSError as exc:
            raise long_name(exc) from exc

    def _make_dirs(self, parts: Parts) -> None:
        path, control = self.path(parts), self.control_path(parts)
        for directory in dict.fromkeys((self.root, path, self.control, control)):
            self.permissions.make(directory)
        # cur last: with it the mailbox exists.
        for name in reversed(SUBDIRS):
            self.permissions.make(f"{path}/{name}")


class MaildirPlusPlus(Layout):
    """INBOX is the root, ("A", "B") the directory `.A.B` in it."""

    separator = "."

    def relative(self, parts: Parts) -> str:
        """`.A.B`."""
        if self.inbox and parts == INBOX:
            return ""
        return "".join(f".{self.encode(part)}" for part in parts)

    def nodes(self) -> Iterator[Node]:
        """Every directory with a dot in front."""
        try:
            entries = list(os.scandir(self.root))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            name = entry.name
            if not name.startswith(".") or name in (".", "..") or name.startswith((".nfs", "..")):
                continue
            parts = tuple(self.decode(text) for text in name[1:].split("."))
            if self.inbox:
                parts = (hide_inbox(parts[0]), *parts[1:])
            if all(parts) and entry.is_dir():
                yield Node(parts)

    def existence(self, parts: Parts) -> Existence:
        """A parent of others is a node."""
        if os.path.isdir(self.path(parts)):
            inbox = self.inbox and parts == INBOX
            if not inbox or os.path.isdir(self.path(parts) + "/cur"):
                return Existence.MAILBOX
        if self._below(self.relative(parts)) and not (self.inbox and parts == INBOX):
            return Existence.NODE
        return Existence.NONE

    def _below(self, relative: str) -> list[str]:
        try:
            return [name for name in os.listdir(self.root) if name.startswith(relative + ".")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def make_node(self, parts: Parts) -> bool:
        """Every name is a mailbox."""
        return False

    def make_mailbox(self, parts: Parts) -> None:
        """With the mark that says it is a folder."""
        super().make_mailbox(parts)
        if parts != INBOX or not self.inbox:
            self.permissions.touch(self.path(parts) + "/maildirfolder")

    def delete(self, parts: Parts) -> None:
        """Set the directory aside under a name that nobody lists, then remove it."""
        path = self.path(parts)
        if not os.path.isdir(path):
            raise UserError(Code.NONEXISTENT, "Mailbox doesn't exist: " + self.separator.join(parts))
        discard(path, f"{self.root}/{TRASH}")
        control = self.control_path(parts)
        if control != path:
            shutil.rmtree(control, ignore_errors=True)

    def rename(self, old: Parts, new: Parts) -> Callable[[str], str]:
        """The mailbox and all whose names go on behind it."""
        source, target = self.relative(old), self.relative(new)

        def renamed(relative: str) -> str:
            below = relative == source or relative.startswith(source + ".")
            return target + relative[len(source) :] if below else relative

        try:
            for base in dict.fromkeys((self.root, self.control)):
                for name in sorted(os.listdir(base)):
                    if renamed(name) != name:
                        os.rename(f"{base}/{name}", f"{base}/{renamed(name)}")
        except OSError as exc:
            raise long_name(exc) from exc
        return renamed


class FsLayout(Layout):
    """("A", "B") is the directory A/B below the root and MAILBOXDIR, with DIRNAME behind it."""

    separator = "/"
    has_nodes = True

    def __init__(self, location: Location, permissions: Permissions, *, inbox: bool) -> None:
        super().__init__(location, permissions, inbox=inbox)
        self._top = location.key("MAILBOXDIR").strip("/")
        self._dirname = location.key("DIRNAME").strip("/")
        if (self._top or self._dirname) and not location.key("INBOX"):
            self.inbox_path = f"{self.root}/{self._directory(INBOX)}"

    def check(self, parts: Parts, separator: str) -> None:
        """Also nothing that means something to the file system or to Maildir."""
        super().check(parts, separator)
        if ".." in parts:
            names.refuse("Contains '..' part")
        if "." in parts:
            names.refuse("Contains '.' part")
        reserved = {self._dirname} if self._dirname else set(SUBDIRS)
        if reserved.intersection(parts):
            names.refuse("Contains reserved name")

    def _node(self, parts: Parts) -> str:
        return "/".join(([self._top] if self._top else []) + [self.encode(part) for part in parts])

    def _directory(self, parts: Parts) -> str:
        return self._node(parts) + (f"/{self._dirname}" if self._dirname else "")

    def relative(self, parts: Parts) -> str:
        """`A/B`."""
        if self.inbox and parts == INBOX:
            own_place = self._top or self._dirname
            return self._directory(parts) if own_place else ""
        return self._directory(parts)

    def nodes(self) -> Iterator[Node]:
        """Directories; those with cur are mailboxes."""
        yield from self._walk(f"{self.root}/{self._top}" if self._top else self.root, (), 0)

    def _walk(self, directory: str, parts: Parts, depth: int) -> Iterator[Node]:
        try:
            entries = list(os.scandir(directory))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        for entry in entries:
            name = entry.name
            hidden = name == self._dirname if self._dirname else name in SUBDIRS
            if hidden or name.startswith((TRASH, ".nfs")) or not entry.is_dir():
                continue
            path = f"{directory}/{name}"
            below = (*parts, self.decode(name))
            yield Node(below, selectable=os.path.isdir(self._mail_of(path) + "/cur"))
            if depth < MAX_DEPTH:
                yield from self._walk(path, below, depth + 1)

    def _mail_of(self, node: str) -> str:
        return f"{node}/{self._dirname}" if self._dirname else node

    def existence(self, parts: Parts) -> Existence:
        """A directory without cur is a node."""
        if os.path.isdir(self.path(parts) + "/cur"):
            return Existence.MAILBOX
        if not (self.inbox and parts == INBOX) and os.path.isdir(f"{self.root}/{self._node(parts)}"):
            return Existence.NODE
        return Existence.NONE

    def make_node(self, parts: Parts) -> bool:
        """Directories only."""
        try:
            self.permissions.make(f"{self.root}/{self._node(parts)}")
        except OSError as exc:
            raise long_name(exc) from exc
        return True

    def delete(self, parts: Parts) -> None:
        """The mail goes, children stay; a node must be empty."""
        node = f"{self.root}/{self._node(parts)}"
        if self.existence(parts) is Existence.NODE:
            try:
                os.rmdir(node)  # noqa: PTH106
            except OSError as exc:
                raise UserError(Code.HASCHILDREN, "Mailbox has children, delete them first") from exc
            return
        path = self.path(parts)
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name != "cur"):
            if entry.is_dir(follow_symlinks=False):
                if self._dirname or entry.name in SUBDIRS:
                    discard(entry.path, f"{self.root}/{TRASH}")
            else:
                os.unlink(entry.path)
        control = self.control_path(parts)
        if control != path and os.path.isdir(control):
            for entry in list(os.scandir(control)):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
        for directory in dict.fromkeys((path, node)):
            try:
                os.rmdir(directory)  # noqa: PTH106
            except OSError:
                break  # children are there

    @staticmethod
    def _prune(base: str, relative: str) -> None:
        while relative := os.path.dirname(relative):
            try:
                os.rmdir(f"{base}/{relative}")  # noqa: PTH106
            except OSError:
                break  # others are there

    def rename(self, old: Parts, new: Parts) -> Callable[[str], str]:
        """The directory with all in it. Directories above that are empty then go."""
        source, target = self._node(old), self._node(new)
        try:
            for base in dict.fromkeys((self.root, self.control)):
                if base != self.root and not os.path.isdir(f"{base}/{source}"):
                    continue
                if len(new) > 1:
                    self.permissions.make(os.path.dirname(f"{base}/{target}"))
                os.rename(f"{base}/{source}", f"{base}/{target}")
                self._prune(base, source)
        except OSError as exc:
            raise long_name(exc) from exc

        def renamed(relative: str) -> str:
            below = relative == source or relative.startswith(source + "/")
            return target + relative[len(source) :] if below else relative

        return renamed


def discard(path: str, trash: str) -> None:
    """Remove a directory tree: renamed away first, so that it is gone at once for everybody."""
    aside = f"{trash}.{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(path, aside)
    except OSError as exc:
        raise long_name(exc) from exc
    shutil.rmtree(aside, ignore_errors=True)

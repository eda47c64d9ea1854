"""The mailboxes of a maildir location."""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Final

from pydovecot.base.dotlock import TIMEOUT_SECS
from pydovecot.base.rawname import raw, shown
from pydovecot.index.database import MEMORY, Database
from pydovecot.index.mailbox import MailboxIndex
from pydovecot.index.schema import FILE_NAME
from pydovecot.model.errors import InternalError
from pydovecot.settings.view import SettingsView
from pydovecot.storage.api import Status
from pydovecot.storage.attachments import Detection
from pydovecot.storage.backend import INBOX, Existence, Node, Parts, Resolver
from pydovecot.storage.drivers.maildir import changing, quota, renumbering
from pydovecot.storage.drivers.maildir.disk import NEVER_NS, NFS_TICK_NS, OWN_NS, TICK_NS
from pydovecot.storage.drivers.maildir.filename import Generator
from pydovecot.storage.drivers.maildir.folder import MaildirFolder
from pydovecot.storage.drivers.maildir.layout import FsLayout, Layout, MaildirPlusPlus
from pydovecot.storage.drivers.maildir.permissions import Permissions
from pydovecot.storage.drivers.maildir.saving import MaildirSave
from pydovecot.storage.drivers.maildir.settings import MaildirSettings
from pydovecot.storage.hooks import BackendHook
from pydovecot.storage.indexed.status import status_of
from pydovecot.storage.indexed.view import IndexedView
from pydovecot.storage.indexed.watch import ring
from pydovecot.storage.list.subscriptions import Subscriptions
from pydovecot.storage.location import Location
from pydovecot.storage.settings import MailSettings
from pydovecot.storage.updating import MailboxUpdate

LAYOUTS: Final[dict[str, type[Layout]]] = {"maildir++": MaildirPlusPlus, "fs": FsLayout}
TMP_SECS: Final = 36 * 3600  # older files in tmp/ are left over; as Dovecot and the Maildir manual have it


class MaildirBackend:
    """See storage.backend.Backend. The index is opened when the first mailbox is."""

    driver = "maildir"
    node_text = ""

    def __init__(self, location: Location, settings: SettingsView, resolve: Resolver, *, inbox: bool) -> None:
        mail, maildir = settings.get(MailSettings), settings.get(MaildirSettings)
        layout = LAYOUTS.get(location.key("LAYOUT") or "maildir++")
        if layout is None:
            raise InternalError(f"Initialization failed: Unknown layout {location.key('LAYOUT')}")
        self.permissions = Permissions(location.root)
        self.layout = layout(location, self.permissions, inbox=inbox)
        self.separator, self.has_nodes = self.layout.separator, self.layout.has_nodes
        self.control_root = self.layout.control
        self.names = Generator()
        self.fsync, self.fsync_always = mail.mail_fsync != "never", mail.mail_fsync == "always"
        self.trust_sizes = not maildir.maildir_broken_filename_sizes
        self.hardlinks = maildir.maildir_copy_with_hardlinks
        self.own_ns = NEVER_NS if maildir.maildir_very_dirty_syncs else OWN_NS
        self.lock_secs = min(mail.mail_max_lock_timeout or TIMEOUT_SECS, TIMEOUT_SECS)
        self.tick = NFS_TICK_NS if mail.mail_nfs_storage else TICK_NS
        self._crlf, self._tmp_interval = mail.mail_save_crlf, mail.mail_temp_scan_interval
        self._detection = Detection.configured(mail.mail_attachment_detection_options)
        self._resolve, self._location = resolve, location
        self._database: Database | None = None
        self.hook: BackendHook | None = None
        self._folders: dict[Parts, MaildirFolder] = {}
        self._subscriptions = Subscriptions(
            f"{self.control_root}/{location.key('SUBSCRIPTIONS') or 'subscriptions'}",
            self.separator,
            mode=self.permissions.file_mode,
            gid=self.permissions.gid,
        )

    @property
    def database(self) -> Database:
        """The index of this location."""
        if self._database is None:
            index = self._location.key("INDEX")
            if index == "MEMORY" or not self._can_write(index or self.layout.root):
                path = MEMORY
            else:
                path = f"{index or self.layout.root}/{FILE_NAME}"
            self._database = Database(
                path, mode=self.permissions.file_mode or 0o600, gid=self.permissions.gid
            )
        return self._database

    @staticmethod
    def _can_write(directory: str) -> bool:
        return not os.path.isdir(directory) or os.access(directory, os.W_OK)

    def check(self, parts: Parts, separator: str) -> None:
        """Names that the layout can hold."""
        self.layout.check(parts, separator)

    def nodes(self) -> Iterable[Node]:
        """All directories that are mailboxes or lead to some."""
        return self.layout.nodes()

    def existence(self, parts: Parts) -> Existence:
        """By looking at the directories."""
        return self.layout.existence(parts)

    def create(self, parts: Parts, *, node_only: bool) -> None:
        """Directories, uidlist and row in the index."""
        if node_only and self.layout.make_node(parts):
            return
        self.layout.make_mailbox(parts)
        self.folder(parts).sync(take_new=False)

    def delete(self, parts: Parts) -> None:
        """Directories and what the index knows."""
        existed = self.layout.existence(parts)
        name = shown(self.layout.relative(parts))
        lost = self._content(parts) if self.hook is not None and existed is Existence.MAILBOX else None
        self.layout.delete(parts)
        if self.hook is not None and lost is not None and lost[0]:
            self.hook.mailbox(parts).left(*lost)
        self._folders.pop(parts, None)
        if existed is Existence.MAILBOX:
            with self.database.write():
                MailboxIndex(self.database, name).drop()

    def _content(self, parts: Parts) -> tuple[int, int, int]:
        """Messages, their octets as stored and in the CRLF form."""
        folder = self.folder(parts)
        folder.sync(take_new=False)
        return changing.sizes(folder, folder.index.load()[1])

    def rename(self, old: Parts, new: Parts) -> None:
        """Directories and rows of the index."""
        with ExitStack() as locks:
            # A lock inside would be renamed with its mailbox, and whoever holds it could not find it again.
            for parts in sorted(self._mailboxes_below(old)):
                locks.enter_context(self.folder(parts).uidlist_lock())
            renamed = self.layout.rename(old, new)
        self._folders.clear()
        moved: list[str] = []
        with self.database.write():
            for mailbox, name in self.database.rows("SELECT id, name FROM mailbox"):
                now = shown(renamed(raw(name)))
                if now != name:
                    # A row left over from a mailbox that is no more must not be in the way.
                    self.database.execute("DELETE FROM mailbox WHERE name = ?", (now,))
                    self.database.execute("UPDATE mailbox SET name = ? WHERE id = ?", (now, mailbox))
                    moved.append(now)
        for name in moved:
            # With the directory above it moved, nothing has happened to the mailbox's own.
            ring(f"{self.layout.root}/{raw(name)}/cur")

    def _mailboxes_below(self, parts: Parts) -> Iterable[Parts]:
        """The mailbox and its children."""
        for node in self.layout.nodes():
            if node.selectable and node.parts[: len(parts)] == parts:
                yield node.parts

    def folder(self, parts: Parts) -> MaildirFolder:
        """One mailbox; the same object for the same name."""
        found = self._folders.get(parts)
        if found is None:
            found = self._folders[parts] = MaildirFolder(
                self,
                shown(self.layout.relative(parts)),
                self.layout.path(parts),
                self.layout.control_path(parts),
                self.hook.mailbox(parts) if self.hook is not None else None,
            )
        return found

    def open(self, parts: Parts, shown: str, *, readonly: bool, keep_recent: bool) -> IndexedView:
        """Select."""
        self._repair(parts)
        folder = self.folder(parts)
        self._clean_tmp(folder.path)
        # Mail of others that may only be read (or a file system that is): no command can change anything.
        readonly = readonly or not os.access(folder.path + "/cur", os.W_OK, effective_ids=True)
        return IndexedView(folder, shown, self._resolve, readonly=readonly, keep_recent=keep_recent)

    def _repair(self, parts: Parts) -> None:
        """A Maildir that lacks new/ or tmp/ gets them, and a control directory its own."""
        path, control = self.layout.path(parts), self.layout.control_path(parts)
        for directory in (f"{path}/new", f"{path}/tmp", f"{path}/cur", control):
            if not os.path.isdir(directory):
                self.permissions.make(directory)

    def _clean_tmp(self, path: str) -> None:
        """Remove old leftovers, at most every mail_temp_scan_interval (by its atime, as Dovecot)."""
        if not self._tmp_interval:
            return
        now = time.time()
        try:
            found = os.stat(path + "/tmp")
            if found.st_atime > found.st_ctime + TMP_SECS and now - found.st_atime < self._tmp_interval:
                return
            if now - found.st_atime < self._tmp_interval:
                return
            for entry in os.scandir(path + "/tmp"):
                times = entry.stat(follow_symlinks=False)
                if now - max(times.st_mtime, times.st_ctime) > TMP_SECS:
                    os.unlink(entry.path)
            os.utime(path + "/tmp", (now, found.st_mtime))
        except OSError:
            return  # not ours to clean

    def status(self, parts: Parts, *, size: bool) -> Status:
        """From the index, after a look at the directories."""
        self._repair(parts)
        folder = self.folder(parts)
        folder.sync(take_new=False)
        header = folder.index.header()
        return status_of(folder.index, self.database, header, self._size(parts, folder) if size else 0)

    def _size(self, parts: Parts, folder: MaildirFolder) -> int:
        total = folder.index.total_size()
        if total is None:
            view = self.open(parts, "", readonly=True, keep_recent=True)
            total = view.total_size()
            view.close()
        return total

    def update(self, parts: Parts, changes: MailboxUpdate) -> None:
        """Another UIDVALIDITY, GUID or limit."""
        self._repair(parts)
        folder = self.folder(parts)
        folder.sync(take_new=False)
        renumbering.renumber(folder, changes)
        folder.sync(take_new=False)
        renumbering.raise_limits(folder, changes)

    def save(self, parts: Parts) -> MaildirSave:
        """Start to save."""
        self._repair(parts)
        folder = self.folder(parts)
        folder.ensure()
        return MaildirSave(folder, crlf=self._crlf, detection=self._detection)

    def subscriptions(self) -> Sequence[str]:
        """Names in the file."""
        return self._subscriptions.names()

    def set_subscribed(self, name: str, subscribed: bool) -> bool:
        """Change the file."""
        if subscribed and self.layout.existence(INBOX) is Existence.NONE:
            self.permissions.make(self.control_root)
        return self._subscriptions.set(name, subscribed)

    def count_quota(self, octets: int, messages: int) -> None:
        """maildirsize, unless a plugin keeps it."""
        if messages and self.hook is None:
            quota.count(self.layout.root, octets, messages)

    def close(self) -> None:
        """Close the index."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._folders.clear()

"""The mailboxes of an mbox location."""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from pydovecot.base.hostdomain import host_domain
from pydovecot.base.privileges import PrivilegeError, group_id
from pydovecot.base.rawname import shown
from pydovecot.index.database import MEMORY, Database
from pydovecot.index.mailbox import MailboxIndex
from pydovecot.index.schema import FILE_NAME
from pydovecot.model.errors import InternalError
from pydovecot.settings.view import SettingsView
from pydovecot.storage.api import Status
from pydovecot.storage.attachments import Detection
from pydovecot.storage.backend import INBOX, Existence, Node, Parts, Resolver
from pydovecot.storage.drivers.maildir import uidvalidity
from pydovecot.storage.drivers.mbox.folder import MboxFolder
from pydovecot.storage.drivers.mbox.layout import INDEX_DIR, SUBSCRIPTIONS, MboxLayout
from pydovecot.storage.drivers.mbox.locks import LockRules
from pydovecot.storage.drivers.mbox.place import Habits
from pydovecot.storage.drivers.mbox.saving import MboxSave
from pydovecot.storage.drivers.mbox.settings import MboxSettings
from pydovecot.storage.hooks import BackendHook
from pydovecot.storage.indexed.status import status_of
from pydovecot.storage.indexed.view import IndexedView
from pydovecot.storage.list.subscriptions import Subscriptions
from pydovecot.storage.location import Location
from pydovecot.storage.settings import MailSettings


class MboxBackend:
    """See storage.backend.Backend. The index is beside Dovecot's, in `.imap` below the root (or INDEX)."""

    driver = "mbox"
    node_text: str = "Mailbox isn't selectable"

    def __init__(
        self,
        location: Location,
        username: str,
        settings: SettingsView,
        resolve: Resolver,
        *,
        inbox: bool,
        log_error: Callable[[str], None],
    ) -> None:
        if location.key("LAYOUT") not in ("", "fs"):
            raise InternalError(f"Initialization failed: Unknown layout {location.key('LAYOUT')}")
        mail, mbox = settings.get(MailSettings), settings.get(MboxSettings)
        privileged = _gid(mail.mail_privileged_group)
        self.layout = MboxLayout(location, inbox=inbox, privileged_gid=privileged)
        self.separator, self.has_nodes = self.layout.separator, self.layout.has_nodes
        if location.key("DIRNAME"):
            self.node_text = ""
        self.control_root = location.key("CONTROL") or location.root
        self.fsync = mail.mail_fsync != "never"
        self.crlf = mail.mail_save_crlf
        self._username = username
        self.file_mode = 0o600
        wait = min(mail.mail_max_lock_timeout or mbox.mbox_lock_timeout, mbox.mbox_lock_timeout)
        rules = (mbox.mbox_read_locks, mbox.mbox_write_locks, wait, mbox.mbox_dotlock_change_timeout)
        self._rules = LockRules.configured(*rules)
        self._inbox_rules = LockRules.configured(*rules, privileged)
        self._detection = Detection.configured(mail.mail_attachment_detection_options)
        self._resolve, self._location, self.warn = resolve, location, log_error
        self.habits = Habits(
            mbox.mbox_lazy_writes, mbox.mbox_dirty_syncs, mbox.mbox_very_dirty_syncs,
            md5_all=mbox.mbox_md5 == "all", delivery_ids="%m" in mbox.pop3_uidl_format,
        )  # fmt: skip
        self._min_index_size = mbox.mbox_min_index_size
        self._database: Database | None = None
        self._memory: Database | None = None  # of mailboxes that are too small for one on disk
        self.hook: BackendHook | None = None
        self._folders: dict[Parts, MboxFolder] = {}
        self.journals = self._journals()
        name = location.key("SUBSCRIPTIONS") or SUBSCRIPTIONS
        self._subscriptions = Subscriptions(f"{self.control_root}/{name}", self.separator)

    def _journals(self) -> str:
        """A directory that all sessions of this location share, whatever INDEX says."""
        for base in (self.control_root, self._location.key("INDEX")):
            if base and base != "MEMORY":
                directory = f"{base}/{INDEX_DIR}"
                try:
                    os.makedirs(directory, 0o700, exist_ok=True)
                except OSError:
                    continue
                if os.access(directory, os.W_OK, effective_ids=True):
                    return directory
        return ""

    def rules(self, path: str) -> LockRules:
        """Privileges are there for an INBOX outside of the user's own directory only, as in Dovecot."""
        spool = path == self.layout.inbox_path and not path.startswith(self.layout.root + "/")
        return self._inbox_rules if spool else self._rules

    @cached_property
    def sender(self) -> str:
        """Who is named in From_ lines of mail that no envelope came with."""
        return self._username if "@" in self._username else f"{self._username}@{host_domain()}"

    @property
    def database(self) -> Database:
        """The index of this location."""
        if self._database is None:
            path = self._database_path
            if self._location.key("INDEX") == "MEMORY" or not self._can_write(os.path.dirname(path)):
                path = MEMORY
            self._database = Database(path)
        return self._database

    @property
    def _database_path(self) -> str:
        index = self._location.key("INDEX") or self._location.root
        return f"{index}/{INDEX_DIR}/{FILE_NAME}"

    @staticmethod
    def _can_write(directory: str) -> bool:
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
        except OSError:
            return False
        return os.access(directory, os.W_OK, effective_ids=True)

    def new_uidvalidity(self) -> int:
        """A value that no mailbox of this location has had."""
        directory = f"{self.control_root}/{INDEX_DIR}"
        if not self._can_write(directory):
            directory = self.journals
        return uidvalidity.take_next(directory)

    def check(self, parts: Parts, separator: str) -> None:
        """Names that the layout can hold."""
        self.layout.check(parts, separator)

    def nodes(self) -> Iterable[Node]:
        """All files and directories."""
        return self.layout.nodes()

    def existence(self, parts: Parts) -> Existence:
        """By looking."""
        return self.layout.existence(parts)

    def create(self, parts: Parts, *, node_only: bool) -> None:
        """A file and its row in the index."""
        if node_only:
            self.layout.make_node(parts)
            return
        self.layout.make_mailbox(parts)
        self.folder(parts).sync(take_new=False)

    def delete(self, parts: Parts) -> None:
        """The file and what the index knows."""
        existed = self.layout.existence(parts)
        lost = self.status(parts, size=True) if self.hook and existed is Existence.MAILBOX else None
        self.layout.delete(parts)
        self._folders.pop(parts, None)
        if self.hook is not None and lost is not None and lost.messages:
            # As stored a message is no larger; who counts octets of files looks at the files.
            self.hook.mailbox(parts).left(lost.messages, lost.size, lost.size)
        if existed is Existence.MAILBOX:
            for database in self._databases():
                with database.write():
                    MailboxIndex(database, shown(self.layout.relative(parts))).drop()

    def rename(self, old: Parts, new: Parts) -> None:
        """The file (or directory) and rows of the index."""
        for node in list(self.layout.nodes()):
            if node.selectable and node.parts != INBOX and node.parts[: len(old)] == old:
                # Nothing is left of a change that a crash has cut off: the journal goes by the path.
                with self.folder(node.parts).locked(write=True):
                    pass
        self.layout.rename(old, new)
        self._folders.clear()
        source, target = shown(self.layout.relative(old)), shown(self.layout.relative(new))
        for database in self._databases():
            with database.write():
                for mailbox, name in database.rows("SELECT id, name FROM mailbox"):
                    if name == source or name.startswith(source + "/"):
                        now = target + name[len(source) :]
                        # A row left over from a mailbox that is no more must not be in the way.
                        database.execute("DELETE FROM mailbox WHERE name = ?", (now,))
                        database.execute("UPDATE mailbox SET name = ? WHERE id = ?", (now, mailbox))

    def folder(self, parts: Parts) -> MboxFolder:
        """One mailbox; the same object for the same name."""
        found = self._folders.get(parts)
        if found is None:
            name = "INBOX" if parts == INBOX else shown(self.layout.relative(parts))
            path = self.layout.path(parts)
            hook = self.hook.mailbox(parts) if self.hook is not None else None
            found = MboxFolder(self, self._database_of(name, path), name, path, hook)
            self._folders[parts] = found
        return found

    def _database_of(self, name: str, path: str) -> Database:
        """Small mailboxes have none on disk (mbox_min_index_size); what is there already is read."""
        if not self._min_index_size:
            return self.database
        try:
            size = os.stat(path).st_size
        except OSError:
            size = 0
        if size >= self._min_index_size:
            return self.database
        if self._memory is None:
            self._memory = Database(MEMORY)
        if self._has_database():
            MailboxIndex(self._memory, name).copy_from(self.database)
        return self._memory

    def _has_database(self) -> bool:
        return not self._min_index_size or self._database is not None or os.path.exists(self._database_path)

    def _databases(self) -> list[Database]:
        disk = [self.database] if self._has_database() else []
        return [*disk, self._memory] if self._memory is not None else disk

    def open(self, parts: Parts, shown: str, *, readonly: bool, keep_recent: bool) -> IndexedView:
        """Select."""
        folder = self.folder(parts)
        readonly = readonly or not folder.journal or not os.access(folder.path, os.W_OK, effective_ids=True)
        view = IndexedView(folder, shown, self._resolve, readonly=readonly, keep_recent=keep_recent)
        folder.views += not readonly
        return view

    def status(self, parts: Parts, *, size: bool) -> Status:
        """From the index, after a look at the file."""
        folder = self.folder(parts)
        folder.sync(take_new=False)
        if not folder.views:
            folder.write_back()
        header = folder.index.header()
        return status_of(folder.index, folder.database, header, self._size(parts, folder) if size else 0)

    def _size(self, parts: Parts, folder: MboxFolder) -> int:
        total = folder.index.total_size()
        if total is None:
            view = self.open(parts, "", readonly=True, keep_recent=True)
            total = view.total_size()
            view.close()
        return total

    def save(self, parts: Parts) -> MboxSave:
        """Start to save."""
        folder = self.folder(parts)
        folder.ensure()
        return MboxSave(folder, detection=self._detection)

    def subscriptions(self) -> Sequence[str]:
        """Names in the file."""
        return self._subscriptions.names()

    def set_subscribed(self, name: str, subscribed: bool) -> bool:
        """Change the file."""
        if subscribed:
            os.makedirs(self.control_root, 0o700, exist_ok=True)
        return self._subscriptions.set(name, subscribed)

    def close(self) -> None:
        """Close the index."""
        for database in (self._database, self._memory):
            if database is not None:
                database.close()
        self._database = self._memory = None
        self._folders.clear()


def _gid(name: str) -> int:
    if not name:
        return -1
    try:
        return group_id(name)
    except PrivilegeError as exc:
        raise InternalError(str(exc)) from exc

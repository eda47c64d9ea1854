"""All mail of one user: names to namespaces, and the rules of CREATE, DELETE, RENAME and subscriptions.

What is the same for every driver is here; drivers do what their format is about (storage/backend.py).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pydovecot.model.errors import Code, UserError
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import ListEntry, ListOptions, MailboxGoneError, Namespace, Save, Status, View
from pydovecot.storage.autoexpunge import autoexpunge
from pydovecot.storage.backend import INBOX, Backend, Existence, Parts, Resolver
from pydovecot.storage.hooks import StoreWatcher
from pydovecot.storage.list.pattern import Matcher
from pydovecot.storage.list.tree import Tree
from pydovecot.storage.namespaces import NamespaceEntry, Namespaces
from pydovecot.storage.updating import CanUpdate, MailboxUpdate

ALL: Final = SeqSet.from_ranges([(1, 0xFFFFFFFF)])


def missing(name: str) -> UserError:
    """Dovecot's words for a mailbox that is not there."""
    return UserError(Code.NONEXISTENT, f"Mailbox doesn't exist: {name}")


class UserStore:
    """See storage.api.Store. `make_spaces` gets the resolver that drivers copy with."""

    def __init__(self, make_spaces: Callable[[Resolver], Namespaces]) -> None:
        self._spaces = make_spaces(self.resolve)
        self.autoexpunged = 0
        self.plugins: dict[str, object] = {}  # what plugins have put here, by their names
        self.watcher: StoreWatcher | None = None

    @property
    def entries(self) -> Sequence[NamespaceEntry]:
        """The namespaces with their backends, for plugins."""
        return self._spaces.entries

    @property
    def namespaces(self) -> Sequence[Namespace]:
        """As the NAMESPACE command shows them."""
        return [entry.public() for entry in self._spaces.entries]

    def find(self, name: str) -> tuple[NamespaceEntry, Parts]:
        """Namespace and parts of a name, whether such a mailbox exists or not."""
        return self._checked(name)

    def resolve(self, name: str) -> tuple[Backend, Parts]:
        """Backend and parts of an existing mailbox; one with `auto` is made now."""
        entry, parts = self._checked(name)
        self._existing(entry, parts)
        return entry.backend, parts

    def _checked(self, name: str) -> tuple[NamespaceEntry, Parts]:
        entry, parts = self._spaces.find(name)
        if entry.prefix and name == entry.prefix:
            raise UserError(Code.CANNOT, f"Invalid mailbox name '{name}': Ends with hierarchy separator")
        entry.backend.check(parts, entry.separator)
        return entry, parts

    def _existing(self, entry: NamespaceEntry, parts: Parts) -> None:
        """Make sure that a mailbox is there; those with `auto` are made when somebody first asks for them."""
        found = entry.backend.existence(parts)
        if found is Existence.MAILBOX:
            return
        if not self._auto(entry, parts):
            if found is Existence.NODE and entry.backend.node_text:
                raise UserError(Code.NONEXISTENT, entry.backend.node_text)
            raise missing(entry.name(parts))
        entry.backend.create(parts, node_only=False)
        if self.watcher is not None:
            self.watcher.created(entry.name(parts))
        settings = entry.mailboxes.get(parts)
        if settings is not None and settings.auto == "subscribe":
            self._set_subscribed(entry.name(parts), True)

    @staticmethod
    def _auto(entry: NamespaceEntry, parts: Parts) -> bool:
        """Made when somebody first asks for it: INBOX, and mailboxes with `auto`."""
        if parts == INBOX and entry.inbox:
            return True
        settings = entry.mailboxes.get(parts)
        return settings is not None and settings.auto != "no"

    @staticmethod
    def _there(entry: NamespaceEntry, parts: Parts) -> Existence:
        """As clients see it: there is always an INBOX."""
        if parts == INBOX and entry.inbox:
            return Existence.MAILBOX
        return entry.backend.existence(parts)

    def list(self, patterns: Sequence[str], options: ListOptions = ListOptions()) -> Iterator[ListEntry]:
        """One walk over the tree of all listed namespaces, and of unlisted ones that a pattern names."""
        tree = Tree()
        for entry in self._spaces.entries:
            named = entry.prefix and any(pattern.startswith(entry.prefix) for pattern in patterns)
            if entry.settings.list != "no" or named:
                tree.add_namespace(entry)
        if options.subscribed or options.want_subscribed:
            for name, separator in self._subscriptions():
                tree.add(name, separator).subscribed = True
        for entry in self._spaces.entries:
            tree.mark(entry)
        return tree.walk(Matcher(patterns, self._spaces.entries[0].separator), options)

    def _subscriptions(self) -> Iterator[tuple[str, str]]:
        for entry in self._spaces.entries:
            if not entry.settings.subscriptions or entry.settings.alias_for:
                continue
            for name in entry.backend.subscriptions():
                shown = name.replace(entry.backend.separator, entry.separator)
                yield (shown if shown == "INBOX" and entry.inbox else entry.prefix + shown), entry.separator
        for entry in self._spaces.entries:
            for parts, settings in entry.mailboxes.items():
                if settings.auto == "subscribe":
                    yield entry.name(parts), entry.separator

    def exists(self, name: str) -> bool:
        """A mailbox that can be selected (one with `auto` always can)."""
        try:
            entry, parts = self._checked(name)
        except UserError:
            return False
        return entry.backend.existence(parts) is Existence.MAILBOX or self._auto(entry, parts)

    @contextmanager
    def _deleted_meanwhile(self, entry: NamespaceEntry, parts: Parts) -> Iterator[None]:
        """A mailbox that another session deletes under our hands is missing; nothing worse has happened."""
        try:
            yield
        except (MailboxGoneError, FileNotFoundError) as exc:
            raise missing(entry.name(parts)) from exc

    def open(self, name: str, *, readonly: bool = False, keep_recent: bool = False) -> View:
        """Select."""
        entry, parts = self._checked(name)
        with self._deleted_meanwhile(entry, parts):
            self._existing(entry, parts)
            return self._open(entry, parts, readonly=readonly, keep_recent=keep_recent)

    def _open(self, entry: NamespaceEntry, parts: Parts, *, readonly: bool, keep_recent: bool) -> View:
        view = entry.backend.open(parts, entry.name(parts), readonly=readonly, keep_recent=keep_recent)
        return view if self.watcher is None else self.watcher.view(view)

    def status(self, name: str, *, size: bool = False) -> Status:
        """STATUS."""
        entry, parts = self._checked(name)
        with self._deleted_meanwhile(entry, parts):
            self._existing(entry, parts)
            return entry.backend.status(parts, size=size)

    def create(self, name: str, *, special_use: Sequence[str] = ()) -> str:
        """Make a mailbox, or with a trailing separator a node where the layout has such; gives its GUID."""
        if special_use:
            raise UserError(Code.CANNOT, "Special-use attributes can't be set")
        entry, _ = self._spaces.find(name)
        node_only = name.endswith(entry.separator) and len(name) > len(entry.separator)
        entry, parts = self._checked(name.removesuffix(entry.separator) if node_only else name)
        found = self._there(entry, parts)
        if found is Existence.MAILBOX or (found is Existence.NODE and node_only):
            raise UserError(Code.ALREADYEXISTS, "Mailbox already exists")
        with self._deleted_meanwhile(entry, parts):
            entry.backend.create(parts, node_only=node_only)
            made = not node_only or entry.backend.existence(parts) is Existence.MAILBOX
            if self.watcher is not None:
                self.watcher.created(entry.name(parts))
            return entry.backend.status(parts, size=False).guid if made else ""

    def update(self, name: str, changes: MailboxUpdate) -> None:
        """UIDVALIDITY, GUID and the like, where the format keeps them so that they can be changed."""
        entry, parts = self._checked(name)
        with self._deleted_meanwhile(entry, parts):
            self._existing(entry, parts)
            if not isinstance(entry.backend, CanUpdate):
                raise UserError(Code.CANNOT, "Updating mailbox is not supported by this mail format")
            entry.backend.update(parts, changes)

    def delete(self, name: str) -> None:
        """Remove a mailbox; its children stay."""
        if not name:
            raise UserError(Code.CANNOT, "Storage root can't be deleted")
        entry, parts = self._checked(name)
        if parts == INBOX and entry.inbox:
            raise UserError(Code.NONE, "INBOX can't be deleted")
        if entry.backend.existence(parts) is Existence.NONE:
            raise missing(entry.name(parts))
        if self.watcher is not None and entry.backend.existence(parts) is Existence.MAILBOX:
            view = entry.backend.open(parts, entry.name(parts), readonly=True, keep_recent=True)
            try:
                self.watcher.deleting(view)
            finally:
                view.close()
        entry.backend.delete(parts)
        if self.watcher is not None:
            self.watcher.deleted(entry.name(parts))

    def rename(self, old: str, new: str) -> None:
        """Rename with children. INBOX: its mail moves, INBOX and its children stay. RFC 3501 6.3.5."""
        source, old_parts = self._checked(old)
        target, new_parts = self._checked(new)
        if source is target and old_parts == new_parts:
            raise UserError(Code.ALREADYEXISTS, "Can't rename mailbox to itself")
        if old_parts == INBOX and source.inbox:
            self._rename_inbox(new)
            return
        if source is target and new_parts[: len(old_parts)] == old_parts:
            raise UserError(Code.NONE, "Can't rename mailbox under its own child")
        if source.backend.existence(old_parts) is Existence.NONE:
            raise missing(source.name(old_parts))
        if source is not target:
            private = source.settings.type == target.settings.type == "private"
            kind = "namespaces." if private else "non-private namespaces."
            raise UserError(Code.CANNOT, f"Renaming not supported across {kind}")
        if self._there(target, new_parts) is not Existence.NONE:
            raise UserError(Code.ALREADYEXISTS, "Target mailbox already exists")
        source.backend.rename(old_parts, new_parts)
        if self.watcher is not None:
            self.watcher.renamed(source.name(old_parts), target.name(new_parts))

    def _rename_inbox(self, new: str) -> None:
        self.create(new)
        view = self.open("INBOX", keep_recent=True)
        try:
            view.move(ALL, new)
        finally:
            view.close()

    def subscribe(self, name: str, *, unchecked: bool = False) -> None:
        """Only what is there can be subscribed to; `unchecked`: any name that a mailbox may have."""
        if not name:
            raise missing(name)
        if unchecked:
            entry, parts = self._checked(name)
            self._set_subscribed(entry.name(parts), True)
            return
        try:
            entry, parts = self._checked(name)
        except UserError as exc:
            # What cannot be a name is not there either.
            raise missing(name.removesuffix(self._spaces.find(name)[0].separator)) from exc
        found = self._there(entry, parts)
        # A node is something to subscribe to only where it is a directory of its own.
        there = found is Existence.MAILBOX or (found is Existence.NODE and entry.backend.has_nodes)
        if not there and not self._auto(entry, parts):
            raise missing(entry.name(parts))
        self._set_subscribed(entry.name(parts), True)

    def unsubscribe(self, name: str) -> None:
        """No error when it was not subscribed. Names that only others can have made can be removed, too."""
        entry, parts = self._spaces.find(name)
        if not name or not self._set_subscribed(entry.name(parts), False):
            self._checked(name)

    def _set_subscribed(self, name: str, subscribed: bool) -> bool:
        entry, below = self._spaces.subscription_home(name)
        return entry.backend.set_subscribed(below, subscribed)

    def save(self, name: str) -> Save:
        """Start an APPEND."""
        entry, parts = self._checked(name)
        with self._deleted_meanwhile(entry, parts):
            self._existing(entry, parts)
            save = entry.backend.save(parts)
            return save if self.watcher is None else self.watcher.save(entry.name(parts), save)

    def refusal(self, name: str, octets: int = 0) -> UserError | None:
        """Why a message of this size could not be saved now, for who wants to know before there is one.

        0: why none could at all.
        """
        entry, parts = self._checked(name)
        if entry.backend.hook is None:
            return None
        try:
            entry.backend.hook.mailbox(parts).arriving().expect(octets)
        except UserError as exc:
            return exc
        return None

    def close(self, *, logout: bool = True) -> None:
        """Log out: mailboxes with autoexpunge lose what is too old, then everything is closed.

        `logout` False: no session of the user's ends here, so nothing is expunged.
        """
        for entry in self._spaces.entries if logout else ():
            for parts, settings in entry.mailboxes.items():
                if settings.autoexpunge or settings.autoexpunge_max_mails:
                    self.autoexpunged += autoexpunge(entry, parts, settings, self._open)
        for entry in self._spaces.entries:
            entry.backend.close()

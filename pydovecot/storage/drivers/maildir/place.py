"""One mailbox in Maildir format: its paths, its locks, and what was last seen of it.

Lock order: dovecot-uidlist.lock, then the index's write transaction. Files change before the index does: a
process that dies in between leaves a Maildir that the next sync reads again. All renames of ours happen
inside the write transaction, so a listing made there sees no half-done change of ours.
"""

import errno
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from pydovecot.base.dotlock import Dotlock, LockTimeout
from pydovecot.base.rawname import raw, shown_all
from pydovecot.index.database import Database
from pydovecot.index.mailbox import MailboxIndex
from pydovecot.index.schema import KEYWORD_SHIFT, MAX_KEYWORDS
from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.model.flags import in_order
from pydovecot.storage.api import ExpungedError, MailboxGoneError
from pydovecot.storage.drivers.maildir import keywords, uidlist
from pydovecot.storage.drivers.maildir.disk import DiskState, Times, own_change
from pydovecot.storage.drivers.maildir.filename import Generator, base_of
from pydovecot.storage.drivers.maildir.permissions import Permissions
from pydovecot.storage.hooks import MailboxHook

NEW: Final = "new/"  # in front of the name of a message that is still in new/


class Host(Protocol):
    """What a folder needs of its backend."""

    @property
    def database(self) -> Database: ...

    permissions: Permissions
    names: Generator
    fsync: bool
    fsync_always: bool
    trust_sizes: bool
    hardlinks: bool
    tick: int
    own_ns: int
    lock_secs: int
    control_root: str

    def count_quota(self, octets: int, messages: int) -> None: ...


class MaildirPlace:
    """Paths, locks and what was last seen; sync, changing, linking and saving work on it."""

    def __init__(
        self, host: Host, name: str, path: str, control: str, hook: MailboxHook | None = None
    ) -> None:
        self.host, self.path, self.control, self.hook = host, path, control, hook
        self.uidlist_path = f"{control}/{uidlist.FILE_NAME}"
        self.keywords_path = f"{control}/{keywords.FILE_NAME}"
        self.index = MailboxIndex(host.database, name)

    # -- paths, locks and state ----------------------------------------------------------------------------

    def file_of(self, name: str) -> str:
        """Path of a message by the name in the index."""
        return raw(f"{self.path}/{name}" if name.startswith(NEW) else f"{self.path}/cur/{name}")

    @contextmanager
    def uidlist_lock(self) -> Iterator[bool]:
        """dovecot-uidlist.lock. False: the mailbox is read-only for us and goes without."""
        lock = Dotlock(
            self.uidlist_path, timeout=self.host.lock_secs, mode=self.host.permissions.file_mode or 0o600
        )
        try:
            lock.acquire()
        except LockTimeout as exc:
            raise InternalError(str(exc), shown="Timeout while waiting for lock") from exc
        except PermissionError:
            yield False
            return
        except FileNotFoundError as exc:
            raise MailboxGoneError(self.path) from exc
        except OSError as exc:
            if exc.errno != errno.EROFS:
                raise InternalError(f"{lock.path}: {exc.strerror}") from exc
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def uidlist_stamp(self) -> uidlist.Stamp:
        """How dovecot-uidlist looks now."""
        return uidlist.stamp(self.uidlist_path)

    def times(self) -> Times:
        """mtimes of new/ and cur/."""
        try:
            return Times(self.path)
        except FileNotFoundError as exc:
            raise MailboxGoneError(self.path) from exc

    def disk(self) -> DiskState:
        """What was last seen."""
        return DiskState.parse(self.index.header().disk)

    @contextmanager
    def own_changes(self) -> Iterator[DiskState]:
        """Around renames of ours, inside the write transaction: the times they cause are known."""
        state = self.disk()
        before = self.times()
        yield state
        own_change(state, before, self.times(), time.time_ns(), self.host.tick)
        self.index.set(disk=state.format())

    def remember(self, state: DiskState, before: Times) -> None:
        """Take the times that our own new files caused into `state`."""
        own_change(state, before, self.times(), time.time_ns(), self.host.tick)

    def listing(self) -> list[str]:
        """Names in cur/, and names in new/ with NEW in front."""
        try:
            found = shown_all(os.listdir(self.path + "/cur"))
            found += [NEW + name for name in shown_all(os.listdir(self.path + "/new"))]
        except FileNotFoundError as exc:
            raise MailboxGoneError(self.path) from exc
        return found

    def locate(self, bases: Collection[str]) -> dict[str, str]:
        """Where messages are now that others have renamed, by base."""
        wanted = set(bases)
        for _ in range(3):  # a listing can miss a file that is renamed at the same time
            found = {
                base: name for name in self.listing() if (base := base_of(name.removeprefix(NEW))) in wanted
            }
            if len(found) == len(wanted):
                break
        return found

    def keyword_bits(self, names: Collection[str], *, create: bool) -> int:
        """Bits of keywords; new ones get the next letter, those after z live in the index only."""
        stamp = keywords.stamp(self.keywords_path)
        if stamp != self.disk().keywords:
            with self.host.database.write():
                self.load_keywords()  # another program has added some
        bits, missing = self._known_bits(names)
        lost = stamp == keywords.NO_FILE and bits  # others could not know what the letters mean
        if not create or not (missing or lost):
            return bits
        with self.uidlist_lock() as locked, self.host.database.write():
            known = self.load_keywords()
            bits, missing = self._known_bits(names)
            for name in missing:
                if len(known) >= MAX_KEYWORDS:
                    raise UserError(Code.LIMIT, "Too many keywords")
                bits |= 1 << (KEYWORD_SHIFT + len(known))
                known.append(name)
            self.index.set(keywords=" ".join(known))
            if locked:
                permissions = self.host.permissions
                keywords.write(
                    self.keywords_path, known, mode=permissions.file_mode, gid=permissions.gid, fsync=False
                )
            state = self.disk()
            state.saw_keywords(self.keywords_path)
            self.index.set(disk=state.format())
        return bits

    def _known_bits(self, names: Collection[str]) -> tuple[int, list[str]]:
        known = {name.lower(): bit for bit, name in enumerate(self.index.header().keyword_names()) if name}
        bits, missing = 0, []
        for name in in_order(names):
            bit = known.get(name.lower())
            if bit is None:
                missing.append(name)
            else:
                bits |= 1 << (KEYWORD_SHIFT + bit)
        return bits, missing

    def load_keywords(self) -> list[str]:
        """Take over dovecot-keywords if it changed (in a write transaction); names by bit."""
        names = self.index.header().keyword_names()
        state = self.disk()
        if keywords.stamp(self.keywords_path) == state.keywords:
            return names
        on_disk = keywords.read(self.keywords_path)
        if on_disk is not None:
            count = keywords.MAX_KEYWORDS
            own = names[count:]
            names = on_disk + ([""] * (count - len(on_disk)) if own else []) + own
            self.index.set(keywords=" ".join(names))
            state.saw_keywords(self.keywords_path)
            self.index.set(disk=state.format())
        return names

    def with_file(self, name: str, use: Callable[[str], bytes]) -> bytes:
        """Use a file wherever it was renamed to; ExpungedError when there is none."""
        try:
            return use(self.file_of(name))
        except FileNotFoundError:
            pass
        base = base_of(name.removeprefix(NEW))
        for _ in range(5):  # it may be renamed again before we open it
            found = self.locate([base])
            if not found:
                break
            try:
                return use(self.file_of(found[base]))
            except FileNotFoundError:
                continue
        raise ExpungedError

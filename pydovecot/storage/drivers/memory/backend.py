"""The mailboxes of a memory location: a dictionary that all stores of this process share by its name."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import Flag
from pydovecot.model.numbers import ModSeq, Uid
from pydovecot.storage.api import Status
from pydovecot.storage.attachments import Detection
from pydovecot.storage.backend import INBOX, Existence, Node, Parts, Resolver
from pydovecot.storage.content import crlf_size
from pydovecot.storage.drivers.memory.mailbox import GUID_BYTES, Mailbox
from pydovecot.storage.drivers.memory.save import MemorySave
from pydovecot.storage.drivers.memory.view import MemoryView
from pydovecot.storage.hooks import BackendHook, MailboxHook
from pydovecot.storage.list import names


@dataclass(slots=True)
class Room:
    """All mailboxes (None: only a node) and subscriptions under one location name."""

    mailboxes: dict[Parts, Mailbox | None] = field(default_factory=dict)
    subscribed: list[str] = field(default_factory=list)
    uidvalidity: int = field(default_factory=lambda: int(time.time()))


_rooms: dict[str, Room] = {}


def forget_all() -> None:
    """Empty every memory location of this process (between tests)."""
    _rooms.clear()


class MemoryBackend:
    """See storage.backend.Backend."""

    driver = "memory"
    node_text = ""
    separator = "."
    has_nodes = False
    hook: BackendHook | None = None

    def __init__(
        self, room: str, resolve: Resolver, *, inbox: bool, detection: Detection | None = None
    ) -> None:
        self._detection = detection
        self._room = _rooms.setdefault(room, Room())
        self._resolve = resolve
        if inbox and INBOX not in self._room.mailboxes:
            self._make(INBOX)

    def _make(self, parts: Parts) -> None:
        self._room.mailboxes[parts] = Mailbox(self._room.uidvalidity, os.urandom(GUID_BYTES).hex())
        self._room.uidvalidity += 1

    def check(self, parts: Parts, separator: str) -> None:
        """The rules that all names obey; "." is the separator as in maildir++."""
        names.check(parts, separator, self.separator)

    def nodes(self) -> Iterable[Node]:
        """Everything in the room."""
        return [Node(parts, selectable=box is not None) for parts, box in self._room.mailboxes.items()]

    def existence(self, parts: Parts) -> Existence:
        """A parent of something is a node."""
        if self._room.mailboxes.get(parts) is not None:
            return Existence.MAILBOX
        below = any(other[: len(parts)] == parts for other in self._room.mailboxes)
        return Existence.NODE if below else Existence.NONE

    def create(self, parts: Parts, *, node_only: bool) -> None:
        """Add an empty mailbox."""
        if node_only:
            self._room.mailboxes.setdefault(parts, None)
        else:
            self._make(parts)

    def delete(self, parts: Parts) -> None:
        """Drop it."""
        box = self._room.mailboxes.pop(parts, None)
        if box is None:
            raise UserError(Code.NONEXISTENT, "Mailbox doesn't exist: " + self.separator.join(parts))
        box.deleted = True
        box.wake()
        if self.hook is not None and box.mails:
            gone = [mail.stored for mail in box.mails.values()]
            self.hook.mailbox(parts).left(len(gone), sum(map(len, gone)), sum(map(crlf_size, gone)))

    def rename(self, old: Parts, new: Parts) -> None:
        """Move it and everything below."""
        boxes = self._room.mailboxes
        for parts in [parts for parts in boxes if parts[: len(old)] == old]:
            boxes[new + parts[len(old) :]] = boxes.pop(parts)

    def _mailbox(self, parts: Parts) -> Mailbox:
        mailbox = self._room.mailboxes.get(parts)
        if mailbox is None:
            raise UserError(Code.NONEXISTENT, "Mailbox doesn't exist: " + self.separator.join(parts))
        return mailbox

    def open(self, parts: Parts, shown: str, *, readonly: bool, keep_recent: bool) -> MemoryView:
        """Select."""
        mailbox = self._mailbox(parts)
        hook = self._hook(parts)
        return MemoryView(
            mailbox, shown, self._resolve, readonly=readonly, keep_recent=keep_recent, hook=hook
        )

    def status(self, parts: Parts, *, size: bool) -> Status:
        """Count."""
        box = self._mailbox(parts)
        mails = box.mails.values()
        return Status(
            messages=len(mails),
            recent=sum(mail.uid >= box.first_recent for mail in mails),
            unseen=sum(not mail.system & Flag.SEEN for mail in mails),
            uidnext=Uid(box.uidnext),
            uidvalidity=box.uidvalidity,
            highest_modseq=ModSeq(box.modseq),
            size=sum(crlf_size(mail.stored) for mail in mails) if size else 0,
            guid=box.guid,
            deleted=sum(bool(mail.system & Flag.DELETED) for mail in mails),
        )

    def save(self, parts: Parts) -> MemorySave:
        """Start to save."""
        return MemorySave(self._mailbox(parts), self._detection, self._hook(parts))

    def _hook(self, parts: Parts) -> MailboxHook | None:
        return self.hook.mailbox(parts) if self.hook is not None else None

    def subscriptions(self) -> Sequence[str]:
        """Names in the order of subscribing."""
        return self._room.subscribed

    def set_subscribed(self, name: str, subscribed: bool) -> bool:
        """Add or remove one name."""
        if (name in self._room.subscribed) == subscribed:
            return False
        if subscribed:
            self._room.subscribed.append(name)
        else:
            self._room.subscribed.remove(name)
        return True

    def close(self) -> None:
        """Nothing is held open."""

"""What a driver gives an indexed view: one mailbox on disk, kept equal with its part of the index."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pydovecot.index.mailbox import MailboxIndex
from pydovecot.model.flags import StoreOp
from pydovecot.storage.api import Column, CopyResult, Save, SaveResult
from pydovecot.storage.indexed.watch import Watched


@dataclass(frozen=True, slots=True)
class StateChange:
    """STORE in terms of states: bits of system flags and keywords."""

    op: StoreOp
    bits: int

    def apply(self, state: int) -> int:
        """The new state."""
        if self.op is StoreOp.ADD:
            return state | self.bits
        if self.op is StoreOp.REMOVE:
            return state & ~self.bits
        return self.bits


@dataclass(slots=True)
class StoreOutcome:
    """States after a STORE of all messages that are there; `modified` failed `unchanged_since`."""

    states: list[tuple[int, int, bool]] = field(default_factory=list)  # uid, state, changed by this
    modified: list[int] = field(default_factory=list)
    gone: bool = False
    modseq: int = 0


@dataclass(slots=True)
class Filled:
    """What was found out about one message; None: not asked for."""

    received: int | None = None
    saved: int | None = None
    size: int | None = None
    psize: int | None = None
    envelope: bytes | None = None
    body: bytes | None = None
    bodystructure: bytes | None = None
    sent: int | None = None
    sent_day: int | None = None
    header: bytes | None = None
    fields: bytes | None = None
    preview: bytes | None = None
    email_id: bytes | None = None
    thread_id: bytes | None = None  # known whenever `email_id` is


@runtime_checkable
class SharesFiles(Protocol):
    """A folder whose messages may be in others too, by hard links."""

    def links(self, uid: int) -> int:
        """In how many a message is. ExpungedError when it is gone."""
        ...


class Folder(Protocol):
    """One mailbox of an indexed driver."""

    index: MailboxIndex
    guid_is_header_md5: bool

    def sync(self, *, take_new: bool, after: int = 0, full: bool = False) -> None:
        """Bring the index up to what is on disk. `take_new`: a session has seen what is new.

        `after`: something may have happened until then (time.time_ns), whatever times of files say.
        `full`: also what a driver may look at now and then only (SELECT, CHECK).
        """
        ...

    def write_back(self) -> None:
        """Bring to disk what a driver may keep in the index meanwhile (CHECK)."""
        ...

    def leave(self) -> None:
        """A view that could change something is closed; likewise."""
        ...

    def ensure(self) -> int:
        """The index is there, and was not replaced by an empty one. Gives the mailbox's UIDVALIDITY now."""
        ...

    def keyword_bits(self, names: Collection[str], *, create: bool) -> int:
        """State bits of keywords; unknown ones are made, or left out without `create`."""
        ...

    def store(
        self, uids: Sequence[int], change: StateChange, *, unchanged_since: int | None
    ) -> StoreOutcome: ...

    def replace(self, uid: int, save: Save) -> SaveResult:
        """See storage.api.View.replace."""
        ...

    def expunge(self, uids: Sequence[int], *, only_deleted: bool) -> None: ...

    def read(self, uid: int) -> bytes:
        """The message as stored. ExpungedError when it is gone."""
        ...

    def fill(self, uid: int, name: str, wanted: Collection[Column]) -> Filled:
        """Find out columns. ExpungedError when that needs a message that is gone."""
        ...

    def copy(self, uids: Sequence[int], target: "Folder", *, move: bool) -> CopyResult | None:
        """Copy or move by the format's own means; None: there are none between these two."""
        ...

    def guid_of(self, name: str) -> str:
        """GUID of a message without one of its own."""
        ...

    def sender_of(self, uid: int) -> str | None:
        """The envelope's sender, if the format keeps it."""
        ...

    def save_uidls(self, uidls: Sequence[tuple[int, str]]) -> None: ...

    def watched(self) -> Sequence[Watched]:
        """Directories whose entries tell of changes."""
        ...

    def explains(self, names: Collection[str], modseq: int) -> bool:
        """The index has taken in what happened to these files; by its changes after `modseq`, cheaply."""
        ...

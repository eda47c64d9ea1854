"""Saving into a memory mailbox."""

from dataclasses import dataclass

from pydovecot.model.flags import FlagSet
from pydovecot.model.numbers import Uid
from pydovecot.storage.api import SavedContent, SaveResult
from pydovecot.storage.attachments import KEYWORDS, Detection
from pydovecot.storage.content import crlf_size, to_lf
from pydovecot.storage.drivers.memory.mailbox import Mailbox
from pydovecot.storage.hooks import MailboxHook


@dataclass(slots=True)
class _Pending:
    flags: FlagSet
    received: int | None
    guid: str
    pop3_uidl: str
    chunks: list[bytes]
    moved: bool = False


class MemorySave:
    """See storage.api.Save."""

    def __init__(
        self, mailbox: Mailbox, detection: Detection | None = None, hook: MailboxHook | None = None
    ) -> None:
        self._mailbox, self._detection = mailbox, detection
        self._arrival = hook.arriving() if hook is not None else None
        self._pending: list[_Pending] = []
        self._current: _Pending | None = None

    def begin(
        self, flags: FlagSet, received: int | None, *, guid: str = "", pop3_uidl: str = "",
        expected: int = 0, moved: bool = False, sender: str | None = None,
    ) -> None:  # fmt: skip
        """Start a message."""
        if self._arrival is not None and expected:
            self._arrival.expect(expected)
        self._current = _Pending(flags, received, guid, pop3_uidl, [], moved)

    def begin_shared(self, content: SavedContent, flags: FlagSet, received: int | None) -> bool:
        """The bytes of a message in memory are shared by all its copies."""
        if not isinstance(content.reference, bytes):
            return False
        self.begin(flags, received)
        self.write(content.reference)
        return True

    def write(self, chunk: bytes) -> None:
        """Append bytes to it."""
        assert self._current is not None
        self._current.chunks.append(bytes(chunk))

    def finish(self) -> None:
        """The message is whole."""
        current = self._current
        assert current is not None
        if self._arrival is not None:
            text = to_lf(b"".join(current.chunks))
            self._arrival.add(len(text), crlf_size(text), moved=current.moved)
        if self._detection is not None and self._detection.wanted(current.flags.keywords):
            for name in KEYWORDS:
                self._mailbox.spelled((name,))
            keywords = self._detection.keywords(b"".join(current.chunks), current.flags.keywords)
            current.flags = FlagSet(current.flags.system, keywords)
        self._pending.append(current)
        self._current = None

    def commit(self) -> SaveResult:
        """Number all messages in one step; they share a modseq."""
        mailbox = self._mailbox
        modseq = mailbox.next_modseq() if self._pending else mailbox.modseq
        texts = [to_lf(b"".join(p.chunks)) for p in self._pending]
        uids = [
            Uid(mailbox.add(text, p.flags, p.received, p.guid, p.pop3_uidl, modseq).uid)
            for text, p in zip(texts, self._pending, strict=True)
        ]
        self.rollback()
        mailbox.wake()
        if self._arrival is not None:
            self._arrival.done()
        return SaveResult(mailbox.uidvalidity, uids, [SavedContent(text) for text in texts])

    def rollback(self) -> None:
        """Forget what was not committed."""
        self._pending.clear()
        self._current = None

"""APPEND: messages are gathered beside the mailbox and then written to its end, all at once."""

import base64
import re
import secrets
import tempfile
import time
from dataclasses import dataclass
from typing import IO, Final

from pydovecot.index.mailbox import NewMail
from pydovecot.mime import header as mime_header
from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import FlagSet
from pydovecot.model.numbers import Uid
from pydovecot.storage.api import MailboxGoneError, SavedContent, SaveResult
from pydovecot.storage.attachments import KEYWORDS, Detection
from pydovecot.storage.content import crlf_size
from pydovecot.storage.drivers.mbox import fromline, journal, sync
from pydovecot.storage.drivers.mbox.fields import Meta, saved
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.journal import Piece
from pydovecot.storage.drivers.mbox.place import MboxPlace
from pydovecot.storage.drivers.mbox.scan import Mail, without_meta
from pydovecot.storage.drivers.mbox.writing import base_of, flush_or_leave, write_metas

# A field that makes header MD5s unique must not come from outside.
_DELIVERY_ID: Final = re.compile(rb"^(?i:x-delivery-id)[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.MULTILINE)
IN_MEMORY_BYTES: Final = 4 << 20  # larger messages wait in a file


@dataclass(slots=True)
class _Pending:
    """One message, with the line ends of the mailbox."""

    bits: int
    received: int | None
    keywords: frozenset[str]
    uidl: str
    out: IO[bytes]
    moved: bool
    sender: str | None
    last: bytes = b""  # a CR at the end of the last chunk, held back
    header: bytes = b""  # without the format's own fields, with its empty line
    body_at: int = 0
    body_size: int = 0


class MboxSave:
    """See storage.api.Save."""

    def __init__(self, place: MboxPlace, *, detection: Detection | None = None) -> None:
        self._place, self._detection = place, detection
        self._arrival = place.hook.arriving() if place.hook is not None else None
        self._pending: list[_Pending] = []
        self._current: _Pending | None = None

    @property
    def place(self) -> MboxPlace:
        """Where the messages will be."""
        return self._place

    def begin(
        self, flags: FlagSet, received: int | None, *, guid: str = "", pop3_uidl: str = "",
        expected: int = 0, moved: bool = False, sender: str | None = None,
    ) -> None:  # fmt: skip
        """An mbox has no place for a GUID: it is made of the header."""
        if self._arrival is not None and expected:
            self._arrival.expect(expected)
        out = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=self._place.host.journals or None)  # noqa: SIM115
        self._current = _Pending(
            int(flags.system), received, flags.keywords, pop3_uidl, out, moved, sender
        )

    def begin_shared(self, content: SavedContent, flags: FlagSet, received: int | None) -> bool:
        """Nothing can be shared between two mbox files."""
        return False

    def write(self, chunk: bytes) -> None:
        """Append; line ends become what the mailbox has."""
        current = self._current
        assert current is not None
        data = current.last + bytes(chunk)
        current.last = b""
        if data.endswith(b"\r"):
            data, current.last = data[:-1], b"\r"
        self._put(current, data)

    def _put(self, current: _Pending, data: bytes) -> None:
        data = data.replace(b"\r\n", b"\n")
        if self._place.host.crlf:
            data = data.replace(b"\n", b"\r\n")
        try:
            current.out.write(data)
        except OSError as exc:
            raise journal.failure(exc) from exc

    def finish(self) -> None:
        """Take the header apart from the body."""
        current = self._current
        assert current is not None
        if current.last:
            self._put(current, current.last)
        current.out.seek(0)
        data = current.out.read()
        end = mime_header.end(data)
        if end == len(data) or not data.endswith(b"\n"):
            # An empty line stands before the next From_ line, also behind what has no body; as Dovecot.
            data += b"\r\n" if self._place.host.crlf else b"\n"
        current.header, current.body_size = self._fields(data[:end]), len(data) - end
        current.body_at = end
        if self._arrival is not None:
            self._arrival.add(len(data), crlf_size(data), moved=current.moved)
        keywords = current.keywords
        if self._detection is not None and self._detection.wanted(keywords):
            keywords = self._detection.keywords(data, keywords)
            self._place.keyword_bits(KEYWORDS, create=True)
        if keywords:
            current.bits |= self._place.keyword_bits(keywords, create=True)
        self._pending.append(current)
        self._current = None

    def commit(self) -> SaveResult:
        """Lock, number, write."""
        place = self._place
        if not self._pending:
            return SaveResult(place.index.header().uidvalidity, [])
        try:
            with place.locked(write=True) as file, place.database.write():
                if not file.writable:
                    raise UserError(Code.NOPERM, "Permission denied")
                sync.catch_up(place, file)
                flush_or_leave(place, file)
                place.index.begin()
                result = self._append(file)
        except MailboxGoneError as exc:
            raise UserError(Code.NONEXISTENT, "Mailbox was deleted") from exc
        self.rollback()
        if self._arrival is not None:
            self._arrival.done()
        return result

    def _append(self, file: MboxFile) -> SaveResult:
        place = self._place
        header = place.index.header()
        eol = b"\r\n" if place.host.crlf else b"\n"
        place.index.set(uidnext=header.uidnext + len(self._pending))
        if file.size:
            # Before the messages: UIDs and keywords that a crash leaves unused do no harm.
            write_metas(place, file, [], {})
        at = size = file.size
        pieces: list[Piece] = []
        if size and file.read(size - 1, size) != b"\n":
            pieces.append(eol)
            at += len(eol)
        mails: list[NewMail] = []
        now = int(time.time())
        for uid, one in enumerate(self._pending, header.uidnext):
            when = one.received if one.received is not None else now
            meta = Meta(uid, one.bits & 0xFF, False, place.keywords_of(one.bits))
            if at == 0:
                meta.base = base_of(place)
            line = fromline.create(place.host.sender if one.sender is None else one.sender, when)[:-1] + eol
            head = one.header[: len(one.header) - len(eol)] + saved(meta, one.body_size).replace(b"\n", eol)
            one.out.seek(one.body_at)
            body = one.out.read()
            body += eol if not body.endswith(b"\n") else b""
            pieces += [line, head, body, eol]
            begin = at + len(line)
            mail = Mail(at, begin, begin + len(head), begin + len(head) + len(body), 0)
            at = mail.end + len(eol)
            mails.append(self._mail(uid, one, mail, when, now))
        file.replace(size, 0, pieces)
        place.index.add(mails)
        place.remember(file, place.disk())
        return SaveResult(header.uidvalidity, [Uid(mail[0]) for mail in mails])

    def _fields(self, header: bytes) -> bytes:
        """What is stored of a header: whole lines and the empty one, nothing that is the format's own."""
        eol = b"\r\n" if self._place.host.crlf else b"\n"
        raw = _DELIVERY_ID.sub(b"", without_meta(fromline.WHOLE.sub(b"", header)))
        if not raw.endswith(eol + eol) and raw != eol:
            raw = raw + (eol if raw.endswith(eol) or not raw else eol + eol)
        if self._place.host.habits.delivery_ids:
            unique = base64.b64encode(secrets.token_bytes(16))
            raw = b"X-Delivery-ID: %s%s" % (unique, eol) + raw
        return raw

    def _mail(self, uid: int, one: _Pending, mail: Mail, when: int, now: int) -> NewMail:
        guid = self._place.guid_of_header(one.header)
        return (uid, one.bits, mail.place, when, now, None, None, guid, one.uidl or None)

    def rollback(self) -> None:
        """Forget what was gathered."""
        for one in [*self._pending, *([self._current] if self._current else [])]:
            one.out.close()
        self._pending, self._current = [], None

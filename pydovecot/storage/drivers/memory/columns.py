"""The columns of a message in memory."""

from collections.abc import Callable, Sequence
from typing import Final

from pydovecot.mime import objectid
from pydovecot.storage.api import Column
from pydovecot.storage.content import Content, common_fields, crlf_size, preview
from pydovecot.storage.drivers.memory.mailbox import Mail

State = tuple[int, frozenset[str], int]  # system flags, keywords, modseq


def state_of(mail: Mail) -> State:
    """What clients are told of a message."""
    return mail.system, mail.keywords, mail.modseq


def _preview(mail: Mail) -> bytes:
    if mail.preview is None:
        mail.preview = preview(mail.stored)
    return mail.preview


MAIL_COLUMNS: Final[dict[Column, Callable[[Mail], object]]] = {
    Column.RECEIVED: lambda mail: mail.received,
    Column.SAVED: lambda mail: mail.saved,
    Column.SIZE: lambda mail: crlf_size(mail.stored),
    Column.PHYSICAL_SIZE: lambda mail: len(mail.stored),
    Column.QUICK_SIZE: lambda mail: crlf_size(mail.stored),
    Column.GUID: lambda mail: mail.guid,
    Column.HEADER_MD5: lambda mail: "",
    Column.NAME: lambda mail: mail.guid,
    Column.POP3_UIDL: lambda mail: mail.pop3_uidl,
    Column.ENVELOPE: lambda mail: Content(mail.stored).summary().envelope,
    Column.BODY: lambda mail: Content(mail.stored).summary().body,
    Column.BODYSTRUCTURE: lambda mail: Content(mail.stored).summary().bodystructure,
    Column.HEADER: lambda mail: Content(mail.stored).header(),
    Column.FIELDS: lambda mail: common_fields(Content(mail.stored).header()),
    Column.SENT: lambda mail: Content(mail.stored).summary().sent,
    Column.SENT_DAY: lambda mail: Content(mail.stored).summary().sent_day,
    Column.PREVIEW: _preview,
    Column.KNOWN_PREVIEW: lambda mail: mail.preview,
    Column.EMAIL_ID: lambda mail: objectid.email_id(mail.stored),
    Column.THREAD_ID: lambda mail: objectid.thread_id(Content(mail.stored).header()),
}
CONTENT_COLUMNS: Final = frozenset(
    (
        Column.ENVELOPE,
        Column.BODY,
        Column.BODYSTRUCTURE,
        Column.HEADER,
        Column.FIELDS,
        Column.SENT,
        Column.SENT_DAY,
        Column.PREVIEW,
        Column.EMAIL_ID,
        Column.THREAD_ID,
    )
)


def needs_content(columns: Sequence[Column]) -> bool:
    """Some are made from the message each time."""
    return not CONTENT_COLUMNS.isdisjoint(columns)

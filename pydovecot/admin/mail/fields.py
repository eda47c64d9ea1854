"""The fields of doveadm fetch: a table from a name to how a message's value is made.

What the index knows is a column; the rest is made from the content, which is opened once for each message.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydovecot.admin.errors import AdminError
from pydovecot.admin.mail import utf8text
from pydovecot.mime import address, date, header, words
from pydovecot.model.section import Section, Text
from pydovecot.storage.api import Column, Message, View

# Field names come from a command line, but no message has parts so deep.
_SECTION: Final = re.compile(r"((?:[0-9]{1,9}\.){0,99}[0-9]{1,9}|)(?:(?:(?<=[0-9])\.|^)(header|text|mime))?")


@dataclass(slots=True)
class One:
    """One message, while its fields are printed. `values`: what was read from the index."""

    user: str
    view: View
    seq: int
    values: Mapping[Column, Any] = field(default_factory=dict)
    _message: Message | None = None

    def message(self) -> Message:
        """Its content. Raises ExpungedError."""
        if self._message is None:
            self._message = self.view.message(self.seq)  # type: ignore[arg-type]
        return self._message

    def close(self) -> None:
        if self._message is not None:
            self._message.close()
            self._message = None


Make = Callable[[One], bytes | str | int]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `streamed`: printed as a long value, which formats show in another way."""

    name: str
    make: Make
    columns: tuple[Column, ...] = ()
    streamed: bool = False


def _column(column: Column) -> Make:
    return lambda one: one.values[column]


def _stored(part: Callable[[bytes, int], bytes]) -> Make:
    def make(one: One) -> bytes:
        stored = one.message().stored()
        return part(stored, header.end(stored))

    return make


def _time(column: Column) -> Make:
    return lambda one: shown_time(one.values[column])


def shown_time(seconds: int) -> str:
    """In the local time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _sent(one: One) -> str:
    """With the zone that the sender wrote."""
    found = header.first(one.values[Column.FIELDS], b"date")
    stamp, zone = (found and date.parse(found)) or (0, 0)
    sign, minutes = ("-" if zone < 0 else "+"), abs(zone)
    return f"{shown_time(stamp)} ({sign}{minutes // 60:02}{minutes % 60:02})"


def _without_parentheses(column: Column) -> Make:
    return lambda one: one.values[column][1:-1]


def _preview(one: One) -> bytes:
    """The text itself: the index has it as a quoted string or a literal."""
    wire: bytes = one.values[Column.PREVIEW]
    if wire.startswith(b"{"):
        return wire.partition(b"\r\n")[2]
    return re.sub(rb"\\(.)", rb"\1", wire[1:-1])


def _nothing(_one: One) -> str:
    return ""


def _text_utf8(one: One) -> bytes:
    return utf8text.of(one.message().stored())


def _links(one: One) -> int | str:
    """In how many mailboxes the message's file is, where it has one of its own."""
    return one.view.links(one.seq) or ""  # type: ignore[arg-type]


def _simple(name: str, make: Make, *columns: Column, streamed: bool = False) -> Field:
    return Field(name, make, columns, streamed)


def _plain(name: str, column: Column) -> Field:
    return Field(name, _column(column), (column,))


_FIELDS: Final = (
    _simple("user", lambda one: one.user),
    _simple("mailbox", lambda one: one.view.name),
    _simple("mailbox-guid", lambda one: one.view.guid),
    _simple("seq", lambda one: one.seq),
    _plain("uid", Column.UID),
    _plain("guid", Column.GUID),
    _plain("flags", Column.FLAGS),
    _plain("modseq", Column.MODSEQ),
    _simple("hdr", _stored(lambda stored, end: stored[:end]), streamed=True),
    _simple("body", _stored(lambda stored, end: stored[end:]), streamed=True),
    _simple("body.preview", _preview, Column.PREVIEW),
    _simple("body.snippet", _preview, Column.PREVIEW),
    _simple("text", _stored(lambda stored, _end: stored), streamed=True),
    _simple("text.utf8", _text_utf8, streamed=True),
    _plain("size.physical", Column.PHYSICAL_SIZE),
    _plain("size.virtual", Column.SIZE),
    _simple("date.received", _time(Column.RECEIVED), Column.RECEIVED),
    _simple("date.sent", _sent, Column.FIELDS),
    _simple("date.saved", _time(Column.SAVED), Column.SAVED),
    _plain("date.received.unixtime", Column.RECEIVED),
    _plain("date.sent.unixtime", Column.SENT),
    _plain("date.saved.unixtime", Column.SAVED),
    _simple("imap.envelope", _without_parentheses(Column.ENVELOPE), Column.ENVELOPE),
    _simple("imap.body", _without_parentheses(Column.BODY), Column.BODY),
    _simple("imap.bodystructure", _without_parentheses(Column.BODYSTRUCTURE), Column.BODYSTRUCTURE),
    _plain("pop3.uidl", Column.POP3_UIDL),
    _simple("pop3.order", _nothing),
    _simple("refcount", _links),
    _plain("storageid", Column.NAME),
)
FIELDS: Final[dict[str, Field]] = {one.name: one for one in _FIELDS}
AVAILABLE: Final = "Available fetch fields: hdr.<name> body.<section> binary.<section> " + " ".join(FIELDS)


class UnknownField(AdminError):
    """The list of what there is comes before the text."""


def parse(names: list[str]) -> list[Field]:
    """The fields of these names, in lower case. Raises UnknownField."""
    return [_parse(name.lower()) for name in names]


def _parse(name: str) -> Field:
    known = FIELDS.get(name)
    if known is not None:
        return known
    kind, dot, rest = name.partition(".")
    if dot and kind == "hdr":
        return _header_field(name, rest)
    if dot and kind in ("body", "binary"):
        return _section_field(name, rest, decoded=kind == "binary")
    raise UnknownField(f"Unknown fetch field: {name}")


# -- hdr.<name>


def _header_field(name: str, rest: str) -> Field:
    field_name, dot, form = rest.partition(".")
    wanted = field_name.encode("utf-8", "surrogateescape")

    def make(one: One) -> bytes:
        values = [value for key, value in header.fields(one.message().stored()) if key.lower() == wanted]
        if not dot:
            return b"\n".join(values)
        if form == "utf8":
            return b"\n".join(words.decode(value.replace(b"\n", b"")).encode() for value in values)
        pick = _ADDRESS_FORMS.get(form)
        if pick is None:
            raise AdminError(f"Unknown header filter: {form}")
        return b"\n".join(map(pick, address.parse(b"\n".join(values))))

    return Field(name, make)


def _mailbox_of(one: address.Address) -> bytes:
    return (one.mailbox or b"") + (b"" if one.domain is None else b"@" + one.domain)


def _name_of(one: address.Address) -> bytes:
    return one.name or b""


def _shown_name(one: address.Address) -> bytes:
    return words.decode(one.name or b"").encode()


_ADDRESS_FORMS: Final[dict[str, Callable[[address.Address], bytes]]] = {
    "address": _mailbox_of,
    "address_name": _name_of,
    "address_name.utf8": _shown_name,
}


# -- body.<section>, binary.<section>


def _section_field(name: str, rest: str, *, decoded: bool) -> Field:
    found = _SECTION.fullmatch(rest)
    if found is None or (found[2] == "mime" and not found[1]):
        raise UnknownField(f"Unknown fetch section: {rest}")
    path = tuple(int(number) for number in found[1].split(".") if number)
    section = Section(path, Text((found[2] or "").upper()))

    def make(one: One) -> bytes:
        if decoded:
            return b"".join(one.message().binary(section).chunks)
        return one.message().section(section) or b""

    return Field(name, make, streamed=True)

"""What SORT and THREAD compare of a message's header. RFC 5256 3 and 2.1, RFC 5957 3.

Every function takes a header block with any line ends. Texts are in the form in which they are compared
(casemap.normalise, RFC 5051) and end where a NUL is, as in Dovecot.
"""

import re
from typing import Final

from pydovecot.mime import address, casemap, charset, header, msgid, subject, words
from pydovecot.mime.scanner import REPLACEMENT


def _field(name: bytes) -> "re.Pattern[bytes]":
    """Blanks behind the colon are left out, but of a line of blanks just the first. A NUL ends a name."""
    return re.compile(
        rb"(?:\A|\n)"
        + header.any_case(name)
        + rb"(?:[ \t]*+|\0[^\n:]*+):(?:[ \t]*+(?=[^\r\n])|[ \t]?)([^\n]*(?:\n[ \t][^\n]*)*)"
    )


_SUBJECT: Final = _field(b"subject")
_MESSAGE_ID: Final = _field(b"message-id")
_REFERENCES: Final = _field(b"references")
_IN_REPLY_TO: Final = _field(b"in-reply-to")
_ADDRESSES: Final = {name: _field(name) for name in (b"from", b"to", b"cc")}


def _value(field: "re.Pattern[bytes]", block: bytes) -> bytes | None:
    """The first field's value with LF, None without one."""
    found = field.search(block)
    if found is None:
        return None
    value = found[1]
    if b"\r" in value:
        value = value.replace(b"\r\n", b"\n").removesuffix(b"\r")
    return value.replace(b"\0", REPLACEMENT) if b"\0" in value else value


def base_subject(block: bytes) -> subject.BaseSubject:
    """The base subject; an empty one when there is no Subject."""
    value = _value(_SUBJECT, block)
    if value is None:
        return subject.BaseSubject("", is_reply=False)
    found = subject.base(value)
    return found if "\0" not in found.text else found._replace(text=_until_nul(found.text))


def mailbox(block: bytes, name: bytes) -> str:
    """The mailbox (what stands before the @) of the first address in a field, or the name of a group."""
    first = _first(block, name)
    if first is None or not first.mailbox:
        return ""
    return _until_nul(casemap.normalise(charset.decode(first.mailbox)))


def display(block: bytes, name: bytes) -> str:
    """The first address's name decoded, else its mailbox and domain."""
    first = _first(block, name)
    if first is None:
        return ""
    text = words.decode(first.name) if first.name else ""
    if not text and first.mailbox is not None:
        whole = first.mailbox if first.domain is None else first.mailbox + b"@" + first.domain
        text = charset.decode(whole)
    return _until_nul(casemap.normalise(_until_nul(text)))


def _first(block: bytes, name: bytes) -> address.Address | None:
    value = _value(_ADDRESSES[name], block)
    return None if value is None else address.first(value)


def _until_nul(text: str) -> str:
    return text.partition("\0")[0] if "\0" in text else text


def links(block: bytes) -> list[bytes]:
    """The message's own identifier (b"" when it has none), then those it refers to, the nearest last.

    References counts; where it has no identifier, the first of In-Reply-To does.
    """
    value = _value(_MESSAGE_ID, block)
    own = msgid.find_all(value)[:1] if value else []
    value = _value(_REFERENCES, block)
    found = msgid.find_all(value) if value else []
    if not found and (value := _value(_IN_REPLY_TO, block)):
        found = msgid.find_all(value)[:1]
    return [*(own or [b""]), *found]

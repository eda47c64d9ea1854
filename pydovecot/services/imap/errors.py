"""Failures to tagged answers, in one place. RFC 5530 has the codes; sent where Dovecot sends them."""

from enum import Flag, auto
from typing import Final

from pydovecot.model.errors import Code, UserError
from pydovecot.services.imap.reply import Tagged, no


class Missing(Flag):
    """How a command tells that the mailbox is not there."""

    CODE = auto()  # NO [NONEXISTENT]
    PLAIN = auto()  # NO
    TRYCREATE = auto()  # NO [TRYCREATE]: RFC 3501 6.3.11, 6.4.7


# The codes that have another name (or none) on the wire, unless IMAP4rev2 is enabled.
_WIRE: Final[dict[Code, bytes]] = {
    Code.NONE: b"",
    Code.HASCHILDREN: b"",
}


def refusal(error: UserError, missing: Missing = Missing.CODE, *, rev2: bool = False) -> Tagged:
    """The answer to a command that failed for a reason of the user's. RFC 9051 7.1 wants all codes told."""
    if error.code is Code.NONEXISTENT:
        if missing is Missing.TRYCREATE:
            return no(error.text, b"TRYCREATE")
        if missing is Missing.PLAIN and not rev2:
            return no(error.text)
    code = None if rev2 else _WIRE.get(error.code)
    return no(error.text, error.code.value.encode() if code is None else code)

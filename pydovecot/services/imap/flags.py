"""Flags between the wire and the model. RFC 3501 2.3.2."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from pydovecot.model.errors import Code, UserError
from pydovecot.model.flags import FLAG_BY_NAME, FLAG_NAMES, NO_FLAGS, FlagSet, NamedKeywords
from pydovecot.proto.imap.syntax import Arg, Atom, BadSyntax
from pydovecot.storage.api import View

SYSTEM_FLAGS: Final = " ".join(name for _, name in FLAG_NAMES).encode()
_KEYWORD: Final = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')  # RFC 3501 9: flag-keyword = atom


def parse_flags(args: Sequence[Arg]) -> FlagSet:
    """Flags as STORE and APPEND take them."""
    system = NO_FLAGS
    keywords: list[str] = []
    for arg in args:
        if not isinstance(arg, Atom):
            raise BadSyntax("Flags list contains non-atoms")
        if arg.startswith(b"\\"):
            flag = FLAG_BY_NAME.get(arg.decode("latin-1").lower())
            if flag is None:
                raise BadSyntax(f"Invalid system flag {arg.decode('latin-1').upper()}")
            system |= flag
        else:
            keywords.append(_keyword(arg))
    return FlagSet(system, NamedKeywords(keywords))


def check_keywords(flags: FlagSet, longest: int) -> FlagSet:
    """The flags, unless one is longer than mail_max_keyword_length."""
    if any(len(name) > longest for name in flags.keywords):
        raise UserError(Code.CANNOT, "Keyword length too long")
    return flags


def _keyword(name: bytes) -> str:
    if not _KEYWORD.fullmatch(name):
        raise UserError(Code.CANNOT, "Invalid characters in keyword")
    return name.decode("ascii")


def flags_line(view: View) -> bytes:
    """`* FLAGS (...)`: all that the mailbox knows."""
    return b"* FLAGS (%b)\r\n" % _all(view.keywords)


def permanent_flags_line(view: View) -> bytes:
    r"""What a client may change for good; `\*`: and make new keywords."""
    if view.readonly:
        return b"* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n"
    star = rb" \*" if view.keywords_allowed else b""
    return b"* OK [PERMANENTFLAGS (%b%b)] Flags permitted.\r\n" % (_all(view.keywords), star)


def _all(keywords: Iterable[str]) -> bytes:
    return b" ".join([SYSTEM_FLAGS, *(keyword.encode() for keyword in keywords)])

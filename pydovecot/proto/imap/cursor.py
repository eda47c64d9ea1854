"""A cursor over the arguments of one command: each command's `parse` takes what it expects, in order.

Whatever is missing or of the wrong kind raises BadSyntax; the texts are Dovecot's.
"""

from collections.abc import Callable, Sequence
from typing import Final

from pydovecot.model.numbers import ModSeq
from pydovecot.model.seqset import SAVED, STAR, SeqSet
from pydovecot.proto.imap.syntax import (
    INVALID_ARGUMENTS,
    MISSING_ARGUMENTS,
    Arg,
    Atom,
    BadSyntax,
)

MAX_MODSEQ: Final = 2**63 - 1
MAX_MODSEQ_DIGITS: Final = 20


def _no_names(_wire: bytes) -> str:
    raise NotImplementedError("these arguments have no mailbox names")


class Cursor:
    """Arguments left to read. `to_name` makes mailbox names of bytes, as the session understands them."""

    __slots__ = ("_args", "_pos", "tag", "to_name")

    def __init__(
        self, args: Sequence[Arg], tag: bytes = b"", to_name: Callable[[bytes], str] = _no_names
    ) -> None:
        self._args = args
        self._pos = 0
        self.to_name = to_name
        self.tag = tag

    def more(self) -> bool:
        """True while arguments are left."""
        return self._pos < len(self._args)

    def peek(self, ahead: int = 0) -> Arg | None:
        """The next argument, or one `ahead` of it, without taking it."""
        at = self._pos + ahead
        return self._args[at] if at < len(self._args) else None

    def next(self, missing: str = INVALID_ARGUMENTS) -> Arg:
        """The next argument of any kind."""
        if self._pos >= len(self._args):
            raise BadSyntax(missing)
        self._pos += 1
        return self._args[self._pos - 1]

    def rest(self) -> Sequence[Arg]:
        """All that is left."""
        rest = self._args[self._pos :]
        self._pos = len(self._args)
        return rest

    def atom(self, wrong: str = INVALID_ARGUMENTS) -> bytes:
        """An unquoted word."""
        arg = self.next(wrong)
        if not isinstance(arg, Atom):
            raise BadSyntax(wrong)
        return arg

    def astring(self, missing: str = INVALID_ARGUMENTS, wrong: str = INVALID_ARGUMENTS) -> bytes:
        """A word or any string."""
        arg = self.next(missing)
        if isinstance(arg, list):
            raise BadSyntax(wrong)
        return arg

    def required(self) -> bytes:
        """As `astring`, where Dovecot says "Missing arguments" for none."""
        return self.astring(MISSING_ARGUMENTS)

    def mailbox(self) -> str:
        """A mailbox name."""
        return self.to_name(self.required())

    def string(self, wrong: str = INVALID_ARGUMENTS) -> bytes:
        """A quoted string or literal."""
        arg = self.next(wrong)
        if isinstance(arg, (list, Atom)):
            raise BadSyntax(wrong)
        return arg

    def list(self, wrong: str = INVALID_ARGUMENTS) -> Sequence[Arg]:
        """A parenthesised list."""
        arg = self.next(wrong)
        if not isinstance(arg, list):
            raise BadSyntax(wrong)
        return arg

    def optional_list(self) -> Sequence[Arg] | None:
        """A list if one comes next."""
        arg = self.peek()
        if not isinstance(arg, list):
            return None
        self._pos += 1
        return arg

    def seqset(self, wrong: str, missing: str = INVALID_ARGUMENTS) -> SeqSet:
        """A sequence set as an atom; SAVED for `$` (RFC 5182)."""
        arg = self.next(missing)
        if not isinstance(arg, Atom):
            raise BadSyntax(missing)
        if arg == b"$":
            return SAVED
        found = parse_seqset(arg)
        if found is None:
            raise BadSyntax(wrong)
        return found


def parse_seqset(text: bytes) -> SeqSet | None:
    """`1,3:5,7:*` as a set; None when it is none. RFC 3501 9, sequence-set: no zero, no more than 32 bits."""
    ranges: list[tuple[int, int]] = []
    for part in text.split(b","):
        low, colon, high = part.partition(b":")
        first = _number(low)
        last = _number(high) if colon else first
        if first is None or last is None:
            return None
        ranges.append((first, last))
    return SeqSet.from_ranges(ranges)


def parse_modseq(arg: Arg | None) -> ModSeq | None:
    """A mod-sequence-valzer (RFC 7162 7) as an atom; None when it is none.

    Dovecot takes 64 bits. Nothing is changed after 2**63 - 1, the largest value that RFC 7162 has.
    """
    if not isinstance(arg, Atom) or not arg.isdigit() or len(arg) > MAX_MODSEQ_DIGITS or int(arg) >= 1 << 64:
        return None
    return ModSeq(min(int(arg), MAX_MODSEQ))


def _number(text: bytes) -> int | None:
    if text.isdigit() and len(text) <= 10:
        number = int(text)
        # The largest number is not `*`: "7:4294967295" is what comes after 6, and clients say it.
        return min(number, STAR - 1) if 0 < number <= STAR else None
    return STAR if text == b"*" else None

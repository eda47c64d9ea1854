"""Address lists of From, To, Cc …, parsed the way Dovecot shows them in ENVELOPE. RFC 5322 3.4."""

import re
from typing import Final, NamedTuple

from pydovecot.mime.scanner import Scanner

# Placeholders that clients of Dovecot know for what an address lacks.
MISSING_MAILBOX: Final = b"MISSING_MAILBOX"
MISSING_DOMAIN: Final = b"MISSING_DOMAIN"
SYNTAX_ERROR: Final = b"SYNTAX_ERROR"
INVALID_ROUTE: Final = b"INVALID_ROUTE"


class Address(NamedTuple):
    """One address; a group starts with domain None and its name as mailbox, and ends with all None."""

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    domain: bytes | None


GROUP_END: Final = Address(None, None, None, None)

_ATEXT: Final = rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\xff]"
_DOTTED: Final = _ATEXT + rb"+(?:\." + _ATEXT + rb"+)*"
# The shapes nearly all addresses have: `a@b`, `<a@b>`, `word word <a@b>`, `"quoted" <a@b>`.
_SIMPLE: Final = re.compile(
    rb'[ \t\r\n]*(?:(?:"([^"\\\r\n\x00]*)"|(' + _ATEXT + rb"+(?: " + _ATEXT + rb"+)*))[ \t\r\n]*)?"
    rb"(?(1)<|(?(2)<|(<)?))(" + _DOTTED + rb")@(" + _DOTTED + rb")(?(1)>|(?(2)>|(?(3)>)))[ \t\r\n]*(,|\Z)"
)


def parse(value: bytes, limit: int | None = None) -> list[Address]:
    """The addresses of a header value, in order; broken ones with placeholders, never an exception.

    Not more than `limit` of them (a group and its end count too).
    """
    result: list[Address] = []
    pos = 0
    while (found := _SIMPLE.match(value, pos)) is not None:
        quoted, words, _, mailbox, domain, comma = found.groups()
        result.append(Address(quoted or words or None, None, mailbox, domain))
        pos = found.end()
        if not comma:
            return result if limit is None else result[:limit]
    _Parser(value, pos, result).parse_list(limit)
    return result if limit is None else result[:limit]


def first(value: bytes) -> Address | None:
    """The first address of a header value, without a look at those behind it."""
    found = _SIMPLE.match(value)
    if found is not None:
        quoted, words, _, mailbox, domain, _ = found.groups()
        return Address(quoted or words or None, None, mailbox, domain)
    result: list[Address] = []
    _Parser(value, 0, result).parse_list(enough=1)
    return result[0] if result else None


class _Parser:
    """The whole grammar, obsolete and broken forms included. One pending address is filled by the methods."""

    def __init__(self, value: bytes, pos: int, result: list[Address]) -> None:
        self.scanner = Scanner(value, comments=True)
        self.scanner.pos = pos
        self.result = result
        self.out: list[bytes] = []
        self._clear()

    def _clear(self) -> None:
        self.name: bytes | None = None
        self.route: bytes | None = None
        self.mailbox: bytes | None = None
        self.domain: bytes | None = None
        self.invalid = False

    def _add(self) -> None:
        self.result.append(Address(self.name, self.route, self.mailbox, self.domain))
        self._clear()

    def _add_fixed(self) -> None:
        if self.mailbox is None:
            self.mailbox = MISSING_MAILBOX
        if not self.domain:
            self.domain = MISSING_DOMAIN
        self._add()

    def parse_list(self, enough: int | None = None) -> None:
        """address-list, comma separated, up to `enough`, the end, or to what cannot be understood."""
        scanner = self.scanner
        if (ret := scanner.skip_ws()) <= 0:
            if ret < 0 and self.result:
                self._add_fixed()
            return
        while True:
            if self._address() == 0 or not scanner.peek(b","):
                return
            if enough is not None and len(self.result) >= enough:
                return
            scanner.pos += 1
            if (ret := scanner.skip_ws()) <= 0:
                if ret < 0:
                    self._add_fixed()
                return

    def _address(self) -> int:
        start = self.scanner.pos
        ret = self._group()
        if ret < 0:
            self.scanner.pos = start
            ret = self._mailbox()
        return ret

    def _group(self) -> int:
        scanner = self.scanner
        out: list[bytes] = []
        if scanner.take_phrase(out) <= 0 or not scanner.peek(b":"):
            return -1
        scanner.pos += 1
        ret = scanner.skip_ws()
        self.mailbox = b"".join(out)
        self._add()
        if ret > 0 and not scanner.peek(b";"):
            while True:
                self._mailbox()
                if not scanner.peek(b","):
                    break
                scanner.pos += 1
                if scanner.skip_ws() <= 0:
                    ret = -1
                    break
        if ret >= 0:
            if scanner.peek(b";"):
                scanner.pos += 1
                ret = scanner.skip_ws()
            else:
                ret = -1
        self._add()
        return 0 if ret == 0 else 1

    def _mailbox(self) -> int:
        start = self.scanner.pos
        ret = self._name_addr()
        if ret < 0:
            self.scanner.pos = start
            ret = self._addr_spec()
            if self.invalid and self.name is None and self.mailbox is not None and self.domain is None:
                self.name, self.mailbox = self.mailbox, None
        self._add_fixed()
        return ret

    def _name_addr(self) -> int:
        scanner = self.scanner
        out: list[bytes] = []
        if scanner.take_phrase(out) <= 0 or not scanner.peek(b"<"):
            return -1
        self.name = b"".join(out) or None
        if self._angle_addr() < 0:
            self.domain = SYNTAX_ERROR
            self.invalid = True
        return scanner.more()

    def _angle_addr(self) -> int:
        scanner = self.scanner
        scanner.pos += 1
        if scanner.skip_ws() <= 0:
            return -1
        if scanner.peek(b"@"):
            if self._route() > 0 and scanner.peek(b":"):
                scanner.pos += 1
            else:
                self.route = INVALID_ROUTE
                if not scanner.more():
                    return -1
            if scanner.skip_ws() <= 0:
                return -1
        if not scanner.peek(b">"):
            if self._local_part() <= 0:
                return -1
            if scanner.peek(b"@") and self._domain() <= 0:
                return -1
        if not scanner.peek(b">"):
            return -1
        scanner.pos += 1
        return scanner.skip_ws()

    def _route(self) -> int:
        scanner = self.scanner
        out: list[bytes] = []
        while True:
            if not scanner.more():
                return 0
            if not scanner.peek(b"@"):
                break
            out.append(b",@" if out else b"@")
            if (ret := scanner.take_domain(out)) <= 0:
                return ret
            while scanner.skip_ws() > 0 and scanner.peek(b","):
                scanner.pos += 1
        self.route = b"".join(out)
        return 1

    def _local_part(self) -> int:
        out: list[bytes] = []
        self.out = out
        quoted = self.scanner.peek(b'"')
        ret = self.scanner.take_quoted(out) if quoted else self._loose_dot_atom(out)
        if ret < 0:
            return -1
        self.mailbox = b"".join(out)
        return ret

    def _loose_dot_atom(self, out: list[bytes]) -> int:
        """A local part with dots anywhere, as some mobile networks hand them out."""
        scanner = self.scanner
        ret = -1
        while True:
            while scanner.peek(b"."):
                out.append(b".")
                scanner.pos += 1
                if not scanner.more():
                    return 0  # the domain is missing, but this was read
                ret = 1
            if scanner.peek(b"@"):
                return ret
            ret = scanner.take_atom(out)
            if ret <= 0 or not scanner.peek(b"."):
                return ret

    def _domain(self) -> int:
        out: list[bytes] = []
        self.out = out
        ret = self.scanner.take_domain(out)
        if ret < 0:
            return -1
        self.domain = b"".join(out)
        return ret

    def _addr_spec(self) -> int:
        scanner = self.scanner
        scanner.comment = b""
        quoted = scanner.peek(b'"')
        ret = self._local_part()
        if ret <= 0:
            self.invalid = True
        saw_domain = ret != 0 and scanner.peek(b"@")
        if saw_domain and (domain := self._domain()) <= 0:
            ret = domain
        if scanner.comment:
            self.name = scanner.comment
        elif not saw_domain:
            self._only_words(quoted)
            ret = -1
        return ret

    def _only_words(self, quoted: bool) -> None:
        """No `@`, no comment: one word is a mailbox, more are a name."""
        words = [b"".join(self.out), b" "]
        more: list[bytes] = []
        self.scanner.take_phrase(more)
        text = b"".join(more)
        if text:
            self.mailbox = None
            self.name = b"".join(words) + text
        elif not quoted:
            self.domain = b""
        self.invalid = True

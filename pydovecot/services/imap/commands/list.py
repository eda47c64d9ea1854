r"""LIST with selection and return options. RFC 3501 6.3.8, RFC 5258, RFC 5819 (STATUS), RFC 6154."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.base import mutf7
from pydovecot.model.errors import UserError
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.encode import astring, quoted
from pydovecot.proto.imap.syntax import Arg, Atom, BadSyntax
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.commands import status
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import ListEntry, ListOptions, Namespace

MAX_PATTERNS: Final = 100  # clients send one to three


@dataclass(frozen=True, slots=True)
class Args:
    reference: bytes
    patterns: tuple[bytes, ...]
    select: frozenset[bytes] = frozenset()
    returns: frozenset[bytes] = frozenset()
    status_items: frozenset[bytes] = frozenset()
    extended: bool = False


_SELECT: Final = frozenset({b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"})
_RETURN: Final = frozenset({b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE"})


def parse(cursor: Cursor) -> Args:
    options = cursor.optional_list()
    select = frozenset[bytes]() if options is None else _select(options)
    reference = cursor.astring("Invalid reference", "Invalid reference")
    several = cursor.optional_list()
    if several is None:
        patterns: tuple[bytes, ...] = (cursor.astring("Invalid pattern", "Invalid pattern"),)
    else:
        patterns = _patterns(several)
    returns: frozenset[bytes] = frozenset()
    items: frozenset[bytes] = frozenset()
    extended = options is not None or several is not None
    if cursor.more():
        word = cursor.next()
        wanted = cursor.optional_list()
        if not isinstance(word, Atom) or word.upper() != b"RETURN" or wanted is None or cursor.more():
            raise BadSyntax("Extra arguments")
        returns, items = _returns(wanted)
        extended = True
    if b"SUBSCRIBED" in select:
        returns |= {b"SUBSCRIBED"}
    return Args(reference, patterns, select, returns, items, extended)


def _words(args: Sequence[Arg]) -> Iterator[bytes]:
    for arg in args:
        if not isinstance(arg, Atom):
            raise BadSyntax("List options contains non-atoms")
        yield arg.upper()


def _select(args: Sequence[Arg]) -> frozenset[bytes]:
    words = frozenset(_words(args))
    if not words <= _SELECT:
        raise BadSyntax("Unknown select options")
    if b"RECURSIVEMATCH" in words and not words & {b"SUBSCRIBED", b"SPECIAL-USE"}:
        raise BadSyntax("RECURSIVEMATCH must not be the only selection")
    return words


def _returns(args: Sequence[Arg]) -> tuple[frozenset[bytes], frozenset[bytes]]:
    words: set[bytes] = set()
    items: frozenset[bytes] = frozenset()
    cursor = Cursor(args)
    while cursor.more():
        word = cursor.atom("List options contains non-atoms").upper()
        if word == b"STATUS":
            wanted = cursor.optional_list()
            if wanted is None:
                raise BadSyntax("Unknown return options")
            items = status.parse_items(wanted)
        elif word in _RETURN:
            words.add(word)
        else:
            raise BadSyntax("Unknown return options")
    return frozenset(words), items


def _patterns(args: Sequence[Arg]) -> tuple[bytes, ...]:
    if len(args) > MAX_PATTERNS or any(isinstance(arg, list) for arg in args):
        raise BadSyntax("Invalid pattern list")
    return tuple(arg for arg in args if not isinstance(arg, list))


def run(session: Session, args: Args) -> Conversation:
    if not args.extended and args.patterns == (b"",):
        yield _root(session, args.reference)
        return ok("List completed")
    status.check(session, args.status_items)
    patterns = list(full_patterns(session, args.reference, args.patterns))
    if patterns:
        options = ListOptions(
            subscribed=b"SUBSCRIBED" in args.select,
            special_use=b"SPECIAL-USE" in args.select,
            recursive_match=b"RECURSIVEMATCH" in args.select,
            want_children=not args.extended or b"CHILDREN" in args.returns,
            want_subscribed=b"SUBSCRIBED" in args.returns,
        )
        for entry in session.store.list(patterns, options):
            yield _line(session, args, entry)
    return ok("List completed")


def name_line(session: Session, name: str, old: str | None = None) -> bytes:
    """The LIST response of one mailbox that nobody asked for. RFC 9051 6.3.2; OLDNAME: 6.3.9.7.

    Without attributes that a look at all other mailboxes would cost.
    """
    words = " ".join(session.special_use.get(name, ())).encode()
    return _unasked(session, words, name, old)


def normalized(session: Session, name: str) -> Iterator[bytes]:
    """The response that tells what a mailbox is called, where the client wrote it in another form."""
    given = mailboxes.given_name(name)
    if given is not None:
        yield name_line(session, str(name), given)


def gone_line(session: Session, name: str, old: str) -> bytes:
    """The same of a mailbox that was deleted."""
    return _unasked(session, b"\\NonExistent", name, old)


def _unasked(session: Session, words: bytes, name: str, old: str | None) -> bytes:
    was = b"" if old is None else b' ("OLDNAME" (%b))' % session.encode_mailbox(old)
    separator = quoted(_separator(session, name).encode())
    return b"* LIST (%b) %b %b%b\r\n" % (words, separator, session.encode_mailbox(name), was)


def _separator(session: Session, name: str) -> str:
    spaces = session.store.namespaces
    found = (ns.separator for ns in spaces if ns.prefix and name.startswith(ns.prefix))
    return next(found, spaces[0].separator)


def full_patterns(session: Session, reference: bytes, patterns: Sequence[bytes]) -> Iterator[str]:
    """Reference and pattern joined, RFC 3501 6.3.8; what is no name in the client's form matches nothing."""
    for pattern in patterns:
        if not pattern:
            continue
        try:
            if session.rev2:
                given = (reference + pattern).decode()
                if len(given) <= mailboxes.MAX_UTF8_BYTES:
                    yield from {given, mailboxes.normalized(given)}
            else:
                yield mutf7.decode(reference + pattern)
        except ValueError:  # BadMutf7 is one, UnicodeDecodeError as well
            continue


def _root(session: Session, reference: bytes) -> bytes:
    """An empty pattern asks for the separator and the root of the reference."""
    namespaces = session.store.namespaces
    name = reference.decode("utf-8" if session.rev2 else "latin-1", "replace")
    chosen = next((ns for ns in namespaces if ns.prefix and _below(name, ns)), None)
    if chosen is not None:
        return _root_line(chosen.separator.encode(), session.encode_mailbox(chosen.prefix))
    else:
        personal = next((ns for ns in namespaces if ns.inbox), namespaces[0])
        separator = personal.separator.encode()
        root = reference[: reference.find(separator) + 1] if separator in reference else b""
    shown = session.encode_mailbox(root.decode("utf-8", "replace")) if session.rev2 else astring(root)
    return _root_line(separator, shown)


def _root_line(separator: bytes, root: bytes) -> bytes:
    return b"* LIST (\\Noselect) %b %b\r\n" % (quoted(separator), root)


def _below(name: str, namespace: Namespace) -> bool:
    return (name + namespace.separator).startswith(namespace.prefix)


def _line(session: Session, args: Args, entry: ListEntry) -> bytes:
    name = session.encode_mailbox(entry.name)
    info = b""
    if entry.child_subscribed and b"RECURSIVEMATCH" in args.select:
        info = b' (CHILDINFO ("SUBSCRIBED"))'  # RFC 5258 3.5
    words = b" ".join(attributes(entry, args))
    line = b"* LIST (%b) %b %b%b\r\n" % (words, quoted(entry.separator.encode()), name, info)
    if args.status_items and entry.exists and entry.selectable:
        try:
            line += status.line(session, name, entry.name, args.status_items)
        except UserError:
            pass  # RFC 5819 2: no STATUS for what cannot be opened; deleted since, perhaps
    return line


def attributes(entry: ListEntry, args: Args) -> Iterator[bytes]:
    """In Dovecot's order."""
    if entry.subscribed and b"SUBSCRIBED" in args.returns:
        yield b"\\Subscribed"
    if not entry.exists or not entry.selectable:
        yield b"\\NonExistent" if args.extended and not entry.node else b"\\Noselect"
    if entry.no_inferiors:
        yield b"\\NoInferiors"
    children = None if entry.no_inferiors else entry.children
    if children is not None and (not args.extended or b"CHILDREN" in args.returns):
        yield b"\\HasChildren" if children else b"\\HasNoChildren"
    if entry.marked is not None:
        yield b"\\Marked" if entry.marked else b"\\UnMarked"
    if not args.extended or b"SPECIAL-USE" in args.returns or b"SPECIAL-USE" in args.select:
        yield from (word.encode() for word in entry.special_use)

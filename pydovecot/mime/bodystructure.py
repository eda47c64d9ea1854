"""BODY and BODYSTRUCTURE as IMAP sends them. RFC 3501 7.4.2."""

from functools import lru_cache
from typing import Final, NamedTuple

from pydovecot.mime import envelope, params
from pydovecot.mime.quote import one_line, string
from pydovecot.mime.scanner import REPLACEMENT
from pydovecot.mime.structure import IS_MIME, MULTIPART, RFC822, TEXT, Fields, Part, head_of

_DEFAULT_CHARSET: Final = b'"charset" "us-ascii"'
_PLAIN_7BIT: Final = b'("text" "plain" (' + _DEFAULT_CHARSET + b') NIL NIL "7bit"'
_TEXTS: Final = frozenset((b"id", b"description", b"location", b"md5"))
_PLAIN_PARAMS: Final[tuple[list[tuple[bytes, bytes]], ...]] = ([], [(b"charset", b"us-ascii")])
_EMPTY_BODY: Final = b'("text" "plain" (' + _DEFAULT_CHARSET + b') NIL NIL "7bit" 0 0)'
_EMPTY_BODYSTRUCTURE: Final = _EMPTY_BODY[:-1] + b" NIL NIL NIL NIL)"


def render(part: Part, message: bytes, extended: bool) -> bytes:
    """The parenthesised BODY (or with `extended` BODYSTRUCTURE) of a parsed message."""
    return render_both(part, message)[extended]


def render_both(part: Part, message: bytes) -> tuple[bytes, bytes]:
    """BODY and BODYSTRUCTURE of a parsed message."""
    look = _look_of(part, message)
    if look.plain and part.flags & TEXT:
        # Dovecot keeps only a flag for these, so the sender's spelling is lost.
        text = b"%b %d %d" % (_PLAIN_7BIT, part.body_virtual, part.body_lines)
        return text + b")", text + b" NIL NIL NIL NIL)"
    return _render(part, message, look)


class _Look(NamedTuple):
    """What the Content-… fields alone give: the words before a part's size or type, and those at the end."""

    text: bool  # text/…: lines are told
    plain: bool  # nothing but defaults
    front: bytes
    tail: bytes  # BODYSTRUCTURE only


def _look_of(part: Part, message: bytes) -> _Look:
    head = part.head or head_of(part, message)
    flags = part.flags & (IS_MIME | MULTIPART | RFC822)
    return _look_cached(head.content, flags) if head.short else _look(head.content, flags)


def _look(fields: Fields, flags: int) -> _Look:
    content = _Content(fields, bool(flags & IS_MIME))
    if flags & MULTIPART:
        tail = b" " + _params(content.params, False) + _common(content)
        return _Look(False, False, string(content.subtype), tail)
    text = False
    if flags & RFC822:
        kind = b'"message" "rfc822"'
    elif content.claims_parts():
        # Cut short, or nested too deeply.
        kind = b'"application" "octet-stream"'
    elif content.kind is None:
        text = True
        kind = b'"text" "plain"'
    else:
        text = content.kind.lower() == b"text"
        kind = string(content.kind) + b" " + string(content.subtype)
    front = b"%b %b %b %b %b" % (
        kind,
        _params(content.params, text),
        content.text(b"id"),
        content.text(b"description"),
        b'"7bit"' if content.encoding is None else string(content.encoding),
    )
    return _Look(text, content.is_plain_7bit(), front, b" " + content.text(b"md5") + _common(content))


# Most mail says the same few things.
_look_cached = lru_cache(maxsize=1024)(_look)


class _Content:
    """The Content-* fields of one part."""

    __slots__ = ("disposition", "encoding", "kind", "language", "params", "subtype", "texts")

    def __init__(self, fields: Fields, mime: bool) -> None:
        self.kind: bytes | None = None
        self.subtype = b""
        self.params: params.Params = ()
        self.encoding: bytes | None = None
        self.disposition: tuple[bytes, params.Params] | None = None
        self.texts: dict[bytes, bytes] = {}  # as IMAP strings
        self.language: list[bytes] = []
        if mime:
            for name, value in fields:
                self._take(name[8:], value)

    def is_plain_7bit(self) -> bool:
        """True when there is nothing to say but the defaults."""
        return (
            (self.kind is None or self.subtype.lower() == b"plain")
            and (self.encoding is None or self.encoding.lower() == b"7bit")
            and not self.texts
            and self.disposition is None
            and not self.language
            and [(name.lower(), value.lower()) for name, value in self.params] in _PLAIN_PARAMS
        )

    def _take(self, name: bytes, value: bytes) -> None:
        if name == b"type":
            if self.kind is None:
                kind, _, self.params = params.content_type(value)
                self.kind, _, self.subtype = kind.partition(b"/")
        elif name == b"transfer-encoding":
            if self.encoding is None:
                self.encoding = params.transfer_encoding(value)
        elif name == b"disposition":
            # A later field replaces one without parameters.
            if self.disposition is None or not self.disposition[1]:
                word, found = params.disposition(value)
                if word is not None:
                    self.disposition = word, found
        elif name == b"language":
            self.language = self.language or params.languages(value)
        elif name in _TEXTS and name not in self.texts:
            self.texts[name] = string(one_line(value).replace(b"\0", REPLACEMENT))

    def claims_parts(self) -> bool:
        """True for the types that have parts inside."""
        kind = (self.kind or b"").lower()
        return kind == b"multipart" or (kind == b"message" and self.subtype.lower() == b"rfc822")

    def text(self, name: bytes) -> bytes:
        """A Content-… field that is shown as it is, or NIL."""
        return self.texts.get(name, b"NIL")


def _render(part: Part, message: bytes, look: _Look) -> tuple[bytes, bytes]:
    body = extended = look.front
    if part.flags & MULTIPART:
        if part.children:
            pairs = [_render(child, message, _look_of(child, message)) for child in part.children]
            body = b"%b %b" % (b"".join([pair[0] for pair in pairs]), body)
            extended = b"%b %b" % (b"".join([pair[1] for pair in pairs]), extended)
        else:
            # RFC 3501 has no multipart without parts.
            body = _EMPTY_BODY + b" " + body
            extended = _EMPTY_BODYSTRUCTURE + b" " + extended
    elif look.text:
        body = extended = b"%b %d %d" % (body, part.body_virtual, part.body_lines)
    elif part.flags & RFC822:
        child = part.children[0]
        inner = _render(child, message, _look_of(child, message))
        outside = b"%b %d (%b) " % (
            body,
            part.body_virtual,
            envelope.from_fields(head_of(child, message).fields),
        )
        body = b"%b%b %d" % (outside, inner[0], part.body_lines)
        extended = b"%b%b %d" % (outside, inner[1], part.body_lines)
    else:
        body = extended = b"%b %d" % (body, part.body_virtual)
    return b"(" + body + b")", b"(" + extended + look.tail + b")"


def _params(found: params.Params, text: bool) -> bytes:
    pieces = [string(name) + b" " + string(value) for name, value in found]
    if text and params.find(found, b"charset") is None:
        pieces.append(_DEFAULT_CHARSET)
    return b"(" + b" ".join(pieces) + b")" if pieces else b"NIL"


def _common(content: _Content) -> bytes:
    if content.disposition is None:
        disposition = b"NIL"
    else:
        word, found = content.disposition
        disposition = b"(" + string(word) + b" " + _params(found, False) + b")"
    tags = b" ".join([string(tag) for tag in content.language])
    language = b"(" + tags + b")" if tags else b"NIL"
    return b" " + disposition + b" " + language + b" " + content.text(b"location")

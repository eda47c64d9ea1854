"""BODY and BODYSTRUCTURE as IMAP sends them. RFC 3501 7.4.2."""

from typing import Final

from pydovecot.mime import envelope, header, params
from pydovecot.mime.quote import one_line, string
from pydovecot.mime.scanner import REPLACEMENT
from pydovecot.mime.structure import IS_MIME, MULTIPART, RFC822, TEXT, Fields, Part

_DEFAULT_CHARSET: Final = b'"charset" "us-ascii"'
_PLAIN_7BIT: Final = b'("text" "plain" (' + _DEFAULT_CHARSET + b') NIL NIL "7bit"'
_TEXTS: Final = frozenset((b"id", b"description", b"location", b"md5"))
_PLAIN_PARAMS: Final[tuple[list[tuple[bytes, bytes]], ...]] = ([], [(b"charset", b"us-ascii")])
_EMPTY_BODY: Final = b'("text" "plain" (' + _DEFAULT_CHARSET + b') NIL NIL "7bit" 0 0)'
_EMPTY_BODYSTRUCTURE: Final = _EMPTY_BODY[:-1] + b" NIL NIL NIL NIL)"


def render(part: Part, message: bytes, extended: bool) -> bytes:
    """The parenthesised BODY (or with `extended` BODYSTRUCTURE) of a parsed message."""
    fields = part.fields
    if fields is None:
        fields = header.interesting(message[part.start : part.body])
    content = _Content(fields, bool(part.flags & IS_MIME))
    if content.is_plain_7bit() and part.flags & TEXT:
        # Dovecot keeps only a flag for these, so the sender's spelling is lost.
        tail = b" NIL NIL NIL NIL)" if extended else b")"
        return b"%b %d %d%b" % (_PLAIN_7BIT, part.body_virtual, part.body_lines, tail)
    return b"(" + _render(part, message, extended) + b")"


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
                if name.startswith(b"content-"):
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


def _render(part: Part, message: bytes, extended: bool) -> bytes:
    fields = part.fields
    if fields is None:
        fields = header.interesting(message[part.start : part.body])
    content = _Content(fields, bool(part.flags & IS_MIME))
    if part.flags & MULTIPART:
        return _render_multipart(part, content, message, extended)
    return _render_single(part, content, message, extended)


def _render_multipart(part: Part, content: _Content, message: bytes, extended: bool) -> bytes:
    if part.children:
        inner = b"".join([b"(" + _render(child, message, extended) + b")" for child in part.children])
    else:
        # RFC 3501 has no multipart without parts.
        inner = _EMPTY_BODYSTRUCTURE if extended else _EMPTY_BODY
    out = inner + b" " + string(content.subtype)
    if extended:
        out += b" " + _params(content.params, False) + _common(content)
    return out


def _render_single(part: Part, content: _Content, message: bytes, extended: bool) -> bytes:
    text = False
    if part.flags & RFC822:
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
    out = b"%b %b %b %b %b %d" % (
        kind,
        _params(content.params, text),
        content.text(b"id"),
        content.text(b"description"),
        b'"7bit"' if content.encoding is None else string(content.encoding),
        part.body_virtual,
    )
    if text:
        out += b" %d" % part.body_lines
    elif part.flags & RFC822:
        out += _inner_message(part, message, extended)
    if extended:
        out += b" " + content.text(b"md5") + _common(content)
    return out


def _inner_message(part: Part, message: bytes, extended: bool) -> bytes:
    child = part.children[0]
    fields = child.fields
    if fields is None:
        fields = header.interesting(message[child.start : child.body])
    return b" (%b) (%b) %d" % (
        envelope.from_fields(fields),
        _render(child, message, extended),
        part.body_lines,
    )


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

"""Whether a message has attachments, by what its Content-Disposition fields say. RFC 2183 2."""

import re
from collections.abc import Callable, Sequence

from pydovecot.mime import params, structure
from pydovecot.mime.structure import IS_MIME, Part

# Takes `type/subtype`, lower case; False: a part of this type is never an attachment.
TypeFilter = Callable[[str], bool]


def type_filter(patterns: Sequence[str]) -> TypeFilter:
    """A filter by patterns with `*` and `?`, those with `!` excluding: the last one that matches decides."""
    compiled = [(_compile(pattern.removeprefix("!").lower()), pattern[:1] != "!") for pattern in patterns]

    def accepts(kind: str) -> bool:
        verdict = True
        for pattern, included in compiled:
            if pattern.fullmatch(kind):
                verdict = included
        return verdict

    return accepts


def _compile(pattern: str) -> "re.Pattern[str]":
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def has_attachment(message: bytes, accepts: TypeFilter, *, inlined: bool) -> bool:
    """Some part is an attachment, or (`inlined`) is shown inline and has a file name."""
    return _has(structure.parse(message, measure=False), message, accepts, inlined)


def _has(part: Part, message: bytes, accepts: TypeFilter, inlined: bool) -> bool:
    if part.flags & IS_MIME and _is_attachment(part, message, accepts, inlined):
        return True
    return any(_has(child, message, accepts, inlined) for child in part.children)


def _is_attachment(part: Part, message: bytes, accepts: TypeFilter, inlined: bool) -> bool:
    kind = ""
    word: bytes | None = None
    found: params.Params = ()
    for name, value in structure.head_of(part, message).content:
        if name == b"content-type" and not kind:
            kind = params.content_type(value)[0].lower().decode("latin-1")
        elif name == b"content-disposition" and not found:
            known, found = params.disposition(value)
            word = word if known is None else known
    if not kind or word is None or not accepts(kind):
        return False
    if word.lower() == b"attachment":
        return True
    named = any(name.lower() == b"filename" for name, _ in found)
    return inlined and word.lower() == b"inline" and named

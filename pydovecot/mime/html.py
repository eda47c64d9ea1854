"""The text in HTML, for previews: markup goes, entities become characters, quoted text gets a `>`.

No parser of HTML: real mail is far from any grammar. The rules are Dovecot's, so that the text is the same.
"""

import re
from html.entities import name2codepoint
from typing import Final

_WS: Final = " \t\r\n"
_STOP: Final = re.compile(r"[<&]")
_COMMENT_END: Final = re.compile(rf"--[{_WS}]*+([^{_WS}])")
_TAG_END: Final = re.compile(
    r"""(?:[^"'>]|"[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+')*+>""", re.DOTALL
)
_CLOSED_BY: Final = re.compile(rf"(script|style)[{_WS}>]", re.IGNORECASE)
_END_OF: Final = {
    "script": re.compile("</script>", re.IGNORECASE),
    "style": re.compile("</style>", re.IGNORECASE),
}
_QUOTE: Final = re.compile(rf"blockquote[{_WS}>]", re.IGNORECASE)
_UNQUOTE: Final = re.compile("/blockquote>", re.IGNORECASE)
_LONGEST: Final = 9  # octets in an entity's name
_ENTITY: Final = re.compile(rf"([^;{_WS}]{{0,{_LONGEST}}});")
_UNFINISHED: Final = re.compile(rf"[^;{_WS}]{{0,{_LONGEST}}}")  # the text ends in it
_NUMBER: Final = re.compile(r"#(?:x([0-9A-Fa-f]+)|([0-9]+))")
_CDATA: Final = "![cdata["

_CHARACTERS: Final = {
    **{name: chr(code) for name, code in name2codepoint.items()},
    "apos": "'",
    "lang": "\u27e8",
    "rang": "\u27e9",
}


class _Reader:
    """One pass over the text, from one `<` or `&` to the next."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._out: list[str] = []
        self._last = ""  # last character of the output
        self._quotes = 0  # open <blockquote>s

    def run(self) -> str:
        text, pos = self._text, 0
        while True:
            found = _STOP.search(text, pos)
            if found is None:
                self._put(text[pos:])
                return "".join(self._out)
            self._put(text[pos : found.start()])
            pos = found.end()
            pos = self._markup(pos) if found[0] == "<" else self._entity(pos)
            if pos < 0:  # it has no end: all the rest is inside it
                return "".join(self._out)

    def _put(self, text: str) -> None:
        if text:
            self._out.append(text)
            self._last = text[-1]

    def _after_tag(self) -> None:
        """A tag parts words; within a quotation it begins a new line of that."""
        if self._quotes:
            self._newline()
            self._put(">")
        else:
            self._space()

    def _newline(self) -> None:
        if self._last not in ("", "\n"):
            self._put("\n")

    def _space(self) -> None:
        if self._last not in ("", " ", "\n"):
            self._put(" ")

    def _markup(self, pos: int) -> int:
        """`pos` is behind the `<`; returns where text goes on, -1 at the end."""
        text = self._text
        if text.startswith("!--", pos):
            return self._comment(pos + 3)
        if text[pos : pos + len(_CDATA)].lower() == _CDATA:
            return self._cdata(pos + len(_CDATA))
        closed = _CLOSED_BY.match(text, pos)
        if closed is not None:
            end = _END_OF[closed[1].lower()].search(text, closed.end())
            if end is None:
                return -1
            self._space()
            return end.end()
        if _QUOTE.match(text, pos):
            self._quotes += 1
        elif self._quotes and _UNQUOTE.match(text, pos):
            self._quotes -= 1
            if not self._quotes:
                self._newline()
        tag = _TAG_END.match(text, pos)
        if tag is None:
            return -1
        self._after_tag()
        return tag.end()

    def _comment(self, pos: int) -> int:
        for found in _COMMENT_END.finditer(self._text, pos):
            if found[1] == ">":
                return found.end()
        return -1

    def _cdata(self, pos: int) -> int:
        end = self._text.find("]]>", pos)
        self._put(self._text[pos : end if end >= 0 else len(self._text)])
        return end + 3 if end >= 0 else -1

    def _entity(self, pos: int) -> int:
        """`pos` is behind the `&`, which is dropped when no entity follows."""
        found = _ENTITY.match(self._text, pos)
        if found is None or len(found[1].encode()) > _LONGEST:
            return -1 if _UNFINISHED.fullmatch(self._text, pos) else pos
        self._put(_CHARACTERS.get(found[1]) or _numbered(found[1]))
        return found.end()


def _numbered(name: str) -> str:
    found = _NUMBER.fullmatch(name)
    if found is None:
        return ""
    code = int(found[1], 16) if found[1] else int(found[2])
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else ""


def to_text(text: str) -> str:
    """The text without its markup."""
    return _Reader(text).run()

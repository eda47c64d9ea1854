"""UIDLs: the unique ids that clients remember to see which messages are new. RFC 1939 7."""

import re
import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pydovecot.model.errors import InternalError
from pydovecot.model.numbers import Uid
from pydovecot.model.seqset import SeqSet
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.settings.expand import expand
from pydovecot.storage.api import Column, View

_VARIABLE: Final = re.compile(r"%(?P<mods>[A-Z0-9.\-]*)(?P<name>[vufgm%])")
_XUIDL: Final = re.compile(rb"^X-UIDL:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)

# How a variable with these modifiers is written for str % tuple; others take the long way.
_PRINTF: Final = {
    ("08X", "u"): "%08x",
    ("08X", "v"): "%08x",
    ("", "u"): "%d",
    ("", "v"): "%d",
    ("X", "u"): "%x",
    ("X", "v"): "%x",
    ("", "f"): "%s",
    ("", "g"): "%s",
}
_LONG_NAMES: Final = {"u": "uid", "f": "filename", "g": "guid"}
_COLUMNS: Final = {"u": Column.UID, "f": Column.NAME, "g": Column.GUID}

Row = tuple[object, ...]
Maker = Callable[[Row], str]


def compile_format(template: str, uidvalidity: int) -> tuple[Sequence[Column], Maker]:
    """The columns that a format needs, and what makes a UIDL of their values.

    Raises InternalError for a format that no storage of ours can fill.
    """
    found = list(_VARIABLE.finditer(template))
    letters = [match["name"] for match in found if match["name"] not in "v%"]
    if "m" in letters or "{md5}" in template:
        raise InternalError("UIDL: Header MD5 not found (pop3_uidl_format=%m not supported by storage?)")
    if "%{" in template:
        letters = list(_COLUMNS)
    elif all((match["mods"], match["name"]) in _PRINTF for match in found):
        return [_COLUMNS[letter] for letter in letters], _printf(template, uidvalidity)
    wanted = list(dict.fromkeys(letters))
    return [_COLUMNS[letter] for letter in wanted], lambda row: _expanded(template, uidvalidity, wanted, row)


def _printf(template: str, uidvalidity: int) -> Maker:
    """The quick way: one str % tuple a message. UIDVALIDITY is the same for all and filled in now."""
    parts: list[str] = []
    at = 0
    for match in _VARIABLE.finditer(template):
        parts.append(template[at : match.start()].replace("%", "%%"))
        at = match.end()
        printf = _PRINTF[match["mods"], match["name"]]
        parts.append(printf % uidvalidity if match["name"] == "v" else printf)
    parts.append(template[at:].replace("%", "%%"))
    return "".join(parts).__mod__


def _expanded(template: str, uidvalidity: int, letters: Sequence[str], row: Row) -> str:
    """The long way, for any modifier and for long names."""
    table = {"v": str(uidvalidity), "uidvalidity": str(uidvalidity)}
    for letter, value in zip(letters, row, strict=True):
        table[letter] = table[_LONG_NAMES[letter]] = str(value)
    return expand(template, table)


def _xuidl(header: bytes) -> str:
    """The X-UIDL field of a header, "" when there is none."""
    found = _XUIDL.search(header)
    return found[1].replace(b"\r\n", b"").decode("utf-8", "surrogateescape").rstrip() if found else ""


class Uidls:
    """The UIDLs of all messages of a session. Saved ones win over X-UIDL, that over the format."""

    def __init__(self, view: View, settings: Pop3Settings) -> None:
        self._settings = settings
        columns, make = compile_format(settings.pop3_uidl_format, view.uidvalidity)
        everything = SeqSet.of(range(1, len(view.uids) + 1))
        self._uids: array[int] = array("L", view.uids)
        extra = (Column.HEADER,) if settings.pop3_reuse_xuidl else ()
        self._saved: set[int] = set()  # sequence numbers whose UIDL is on disk already
        self.texts: list[str] = []
        if not extra and tuple(columns) == (Column.UID,):
            # The default format: saved UIDLs are rare, all others are made of the UIDs at hand.
            self.texts = [make((uid,)) for uid in self._uids]
            for seq, (saved,) in enumerate(view.rows(everything, (Column.POP3_UIDL,)), 1):
                if saved:
                    self._take_saved(seq, str(saved))
        else:
            self._from_rows(view.rows(everything, (Column.POP3_UIDL, *extra, *columns)), make, bool(extra))
        if settings.pop3_uidl_duplicates == "rename":
            self._rename_duplicates()

    def _take_saved(self, seq: int, saved: str) -> None:
        self.texts[seq - 1] = saved
        self._saved.add(seq)

    def _from_rows(self, rows: Iterable[Row], make: Maker, reuse: bool) -> None:
        first = 2 if reuse else 1
        for seq, row in enumerate(rows, 1):
            old = _xuidl(bytes(row[1])) if reuse else ""  # type: ignore[call-overload]
            self.texts.append(old or make(row[first:]))
            if row[0]:
                self._take_saved(seq, str(row[0]))

    def _rename_duplicates(self) -> None:
        """The second one gets -2, the third -3. Saved ones keep theirs."""
        taken = {self.texts[seq - 1] for seq in self._saved}
        for index, text in enumerate(self.texts):
            if index + 1 in self._saved:
                continue
            number, name = 1, text
            while name in taken:
                number += 1
                name = f"{text}-{number}"
            taken.add(name)
            self.texts[index] = name

    def unsaved(self) -> list[tuple[Uid, str]]:
        """What pop3_save_uidl has to write."""
        return [
            (Uid(uid), text)
            for seq, (uid, text) in enumerate(zip(self._uids, self.texts, strict=True), 1)
            if seq not in self._saved
        ]


def change_text(texts: Sequence[str], kept: Iterable[int], lowest_retrieved: int) -> str:
    """`%u` of pop3_logout_format: count and hash of the UIDLs left by earlier sessions, and left now.

    The hashes of successive sessions show whether a client got the same list again.
    """
    before = texts[: lowest_retrieved - 1] if lowest_retrieved else texts
    after = [texts[seq - 1] for seq in kept]
    return f"{len(before)}/{_hash(before):08x} -> {len(after)}/{_hash(after):08x}"


def _hash(texts: Iterable[str]) -> int:
    value = 0
    for text in texts:
        value ^= zlib.crc32(text.encode("utf-8", "surrogateescape"))
    return value

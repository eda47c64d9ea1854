"""UIDLs: the unique ids that clients remember to see which messages are new. RFC 1939 7."""

import re
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pydovecot.base.rawname import raw, shown
from pydovecot.model.errors import InternalError
from pydovecot.model.numbers import Uid
from pydovecot.model.seqset import SeqSet
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.settings.expand import expand
from pydovecot.storage.api import Column, ExpungedError, View

_VARIABLE: Final = re.compile(r"%(?P<mods>[A-Z0-9.\-]*)(?P<name>[vufgm%])")
_XUIDL: Final = re.compile(rb"^X-UIDL[ \t]*:((?:[^\n]|\n[ \t])*)", re.IGNORECASE | re.MULTILINE)
MAX_XUIDL: Final = 998  # bytes of an X-UIDL worth a line of a client's list; RFC 1939 7 allows 70

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
    ("", "m"): "%s",
}
_LONG_NAMES: Final = {"u": "uid", "f": "filename", "g": "guid", "m": "md5"}
_COLUMNS: Final = {"u": Column.UID, "f": Column.NAME, "g": Column.GUID, "m": Column.HEADER_MD5}
NO_MD5: Final = "UIDL: Header MD5 not found (pop3_uidl_format=%m not supported by storage?)"

Row = tuple[object, ...]
Maker = Callable[[Row], str]


def compile_format(template: str, uidvalidity: int) -> tuple[Sequence[Column], Maker]:
    """The columns that a format needs, and what makes a UIDL of their values.

    The maker raises InternalError for a message of a storage that cannot fill the format.
    """
    found = list(_VARIABLE.finditer(template))
    letters = [match["name"] for match in found if match["name"] not in "v%"]
    columns, make = _compile(template, uidvalidity, found, letters)
    if "m" not in letters and "md5}" not in template:
        return columns, make
    place = columns.index(Column.HEADER_MD5)

    def checked(row: Row) -> str:
        if not row[place]:
            raise InternalError(NO_MD5)
        return make(row)

    return columns, checked


def _compile(
    template: str, uidvalidity: int, found: Sequence[re.Match[str]], letters: list[str]
) -> tuple[list[Column], Maker]:
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
    """The X-UIDL field of a header in one line, "" when there is none worth the name."""
    found = _XUIDL.search(header)
    if found is None:
        return ""
    value = found[1].rstrip(b"\r").replace(b"\r\n", b"").replace(b"\n", b"").lstrip(b" \t")
    if len(value) > MAX_XUIDL or value.isspace():
        return ""
    # As Dovecot shows a NUL of a header.
    return shown(value.replace(b"\0", b"\xef\xbf\xbd").decode("utf-8", "surrogateescape"))


class Uidls:
    """The UIDLs of all messages of a session. Saved ones win over X-UIDL, that over the format.

    `texts` are in the order of `seqs`; "" for a message that is gone and whose UIDL nobody can tell any more.
    """

    def __init__(self, view: View, seqs: SeqSet, settings: Pop3Settings) -> None:
        columns, make = compile_format(settings.pop3_uidl_format, view.uidvalidity)
        self._uids: array[int] = array("L", [uid for a, b in seqs.ranges for uid in view.uids[a - 1 : b]])
        self._saved: set[int] = set()  # places whose UIDL is on disk already
        self.texts: list[str] = [""] * len(self._uids)
        if all(column is Column.UID for column in columns):
            # The default format and most others: all are made of the UIDs at hand.
            self.texts = [make((uid,) * len(columns)) for uid in self._uids]
            columns = ()
        reuse = (Column.HEADER,) if settings.pop3_reuse_xuidl else ()
        self._read(view, seqs, (*reuse, *columns), make)
        if reuse and "" in self.texts:
            # Of messages that are gone there is no header any more.
            self._read(view, seqs, columns, make)
        if settings.pop3_uidl_duplicates == "rename":
            self._rename_duplicates()

    def _read(self, view: View, seqs: SeqSet, columns: Sequence[Column], make: Maker) -> None:
        with_header = Column.HEADER in columns
        numbers = array("L", seqs)
        rows = view.rows(seqs, (Column.SEQ, Column.POP3_UIDL, *columns))
        if not columns:
            rows = (row for row in rows if row[1])  # nothing to do for the others
        try:
            for found, saved, *values in rows:
                at = bisect_left(numbers, found)  # type: ignore[call-overload]
                old = _xuidl(values.pop(0)) if with_header else ""  # type: ignore[arg-type]
                if saved:
                    self.texts[at] = str(saved)
                    self._saved.add(at)
                elif old or values:
                    self.texts[at] = old or make(tuple(values))
        except ExpungedError:
            pass  # raised behind the rows of all others

    def _rename_duplicates(self) -> None:
        """The second one gets -2, the third -3; a name that is taken gets one more number, as in Dovecot."""
        times: dict[str, int] = {}
        for index, name in enumerate(self.texts):
            if not name:
                continue
            while (number := times.get(name, 0)) > 0:
                times[name] = number + 1
                name = f"{name}-{number + 1}"
            times[name] = 1
            self.texts[index] = name

    def unsaved(self, numbers: Iterable[int]) -> list[tuple[Uid, str]]:
        """What pop3_save_uidl has to write of these messages; they count as saved from now on."""
        new = [at for at in (number - 1 for number in numbers) if at not in self._saved and self.texts[at]]
        self._saved.update(new)
        return [(Uid(self._uids[at]), self.texts[at]) for at in new]


def change_text(texts: Sequence[str], kept: Iterable[int], lowest_retrieved: int) -> str:
    """`%u` of pop3_logout_format: count and hash of the UIDLs left by earlier sessions, and left now.

    The hashes of successive sessions show whether a client got the same list again.
    """
    earlier = texts[: lowest_retrieved - 1] if lowest_retrieved else texts
    later = [texts[seq - 1] for seq in kept]
    before, after = (f"{len(part)}/{_hash(part):08x}" for part in (earlier, later))
    return before if before == after else f"{before} -> {after}"


def _hash(texts: Iterable[str]) -> int:
    value = 0
    for text in texts:
        value ^= zlib.crc32(raw(text).encode("utf-8", "surrogateescape"))
    return value

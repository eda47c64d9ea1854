"""dovecot-uidlist: which file has which UID. Version 3 is read and written, version 1 (Courier) is read.

    3 V1795500094 N1 G1b44ed043e28056b7903000083ecc375
    1 :1795500121.M50197P5167.vm,S=249,W=261
    2 W2481 Pabc :1795500647.M431136P4547.vm

V is UIDVALIDITY, N the next UID when the file was written anew, G the mailbox's GUID. Lines are only appended
under dovecot-uidlist.lock; now and then the file is replaced. The latest line about a file counts.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydovecot.base.rawname import raw, shown
from pydovecot.base.replace_file import replace_file

MAX_UID: Final = 0xFFFFFFFF
MAX_BYTES: Final = 1 << 30  # a larger file is no uidlist
MAX_HEADER_BYTES: Final = 1024  # V, N and G are about 60
FILE_NAME: Final = "dovecot-uidlist"
_LINE: Final = re.compile(r"^(\d{1,10}) ([^:\n]*):([^\n]+)$", re.MULTILINE)
_LINE_V1: Final = re.compile(r"^(\d{1,10}) ([^\n]+)$", re.MULTILINE)

Stamp = tuple[int, int, int]  # inode, size, mtime in ns; (0, 0, 0): no file


@dataclass(slots=True)
class Entry:
    """One message. `extra` is the text of its extension fields, as in the file ("W2481 Pabc ")."""

    uid: int
    base: str
    extra: str = ""


@dataclass(slots=True)
class Uidlist:
    """What a uidlist says. `lines` counts the lines that were read, which shows how full it is."""

    uidvalidity: int = 0
    uidnext: int = 1
    guid: str = ""
    version: int = 3
    entries: list[Entry] = field(default_factory=list)
    lines: int = 0
    broken: bool = False  # something had to be left out: write it anew
    complete: bool = True  # the last line has its newline

    @property
    def valid(self) -> bool:
        """There was a header."""
        return self.uidvalidity != 0


def stamp(path: str) -> Stamp:
    """What tells one content of the file from another."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def read(path: str, offset: int = 0) -> Uidlist:
    """Read the file, or with `offset` only the lines appended since it had that size."""
    return parse(read_bytes(path, offset), header=offset == 0)


def read_bytes(path: str, offset: int = 0) -> bytes:
    """The file as it is; b"" when there is none."""
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            # Not read(MAX_BYTES): that would take so much memory first.
            return stream.read(min(MAX_BYTES, max(0, os.fstat(stream.fileno()).st_size - offset)))
    except FileNotFoundError:
        return b""


def guid_of(path: str) -> str:
    """The mailbox's GUID in the first line; "" when there is none."""
    try:
        with open(path, "rb") as stream:
            line = stream.readline(MAX_HEADER_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return parse(line).guid


def parse(data: bytes, *, header: bool = True) -> Uidlist:
    """The list in `data`; never raises. A torn last line is left out."""
    text = shown(data.decode("utf-8", "surrogateescape"))
    found = Uidlist(complete=text.endswith("\n") or not text)
    if not found.complete:
        text = text[: text.rfind("\n") + 1]
    if header:
        first, _, text = text.partition("\n")
        if not _take_header(first, found):
            return Uidlist(broken=bool(data))
    pattern = _LINE if found.version == 3 else _LINE_V1
    by_base: dict[str, Entry] = {}
    last = 0
    for match in pattern.finditer(text):
        if found.version == 3:
            uid, extra, base = int(match[1]), match[2], match[3].partition(":")[0]
        else:
            uid, extra, base = int(match[1]), "", match[2].partition(":")[0]
        found.lines += 1
        if uid <= last or uid >= MAX_UID or not base or "/" in base:
            found.broken = True
            if uid <= 0 or uid >= MAX_UID or not base or "/" in base:
                continue
        last = max(last, uid)
        if base in by_base:
            found.broken = True
        by_base[base] = Entry(uid, base, extra)
    found.broken = found.broken or found.lines != text.count("\n")
    found.entries = sorted(by_base.values(), key=_by_uid) if found.broken else list(by_base.values())
    found.uidnext = max(found.uidnext, last + 1)
    return found


def _by_uid(entry: Entry) -> int:
    return entry.uid


def _take_header(line: str, found: Uidlist) -> bool:
    words = line.split()
    if not words or words[0] not in ("1", "3"):
        return False
    found.version = int(words[0])
    try:
        if found.version == 1:
            found.uidvalidity, found.uidnext = int(words[1]), int(words[2])
        else:
            values = {word[0]: word[1:] for word in words[1:]}
            found.uidvalidity, found.uidnext = int(values["V"]), int(values["N"])
            found.guid = values.get("G", "")
    except (ValueError, KeyError, IndexError):
        return False
    return 0 < found.uidvalidity <= MAX_UID and 0 < found.uidnext <= MAX_UID


def format_lines(entries: Iterable[Entry]) -> bytes:
    """Lines as they are appended."""
    text = "".join([f"{entry.uid} {entry.extra}:{entry.base}\n" for entry in entries])
    return raw(text).encode("utf-8", "surrogateescape")


def append(path: str, data: bytes, *, fsync: bool = False) -> None:
    """Add lines at the end (hold the lock)."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        while data:
            data = data[os.write(fd, data) :]
        if fsync:
            os.fdatasync(fd)
    finally:
        os.close(fd)


def write(path: str, uidlist: Uidlist, *, mode: int = 0o600, gid: int = -1, fsync: bool = False) -> None:
    """Replace the file (hold the lock)."""
    with replace_file(path, mode=mode, gid=gid, fsync=fsync, temp=path + ".tmp") as out:
        out.write(b"3 V%d N%d" % (uidlist.uidvalidity, uidlist.uidnext))
        if uidlist.guid:
            out.write(b" G" + uidlist.guid.encode("ascii", "replace"))
        out.write(b"\n")
        out.write(format_lines(uidlist.entries))


def extra_fields(extra: str) -> dict[str, str]:
    """Extension fields by their letter."""
    return {word[0]: word[1:] for word in extra.split(" ") if word}


_FIELD: Final = re.compile(r"[^\s:\x00-\x1f]+")


def can_hold(value: str) -> bool:
    """An extension field may have this value: it would not end the field or the line."""
    return _FIELD.fullmatch(value) is not None


def format_extra(fields: Mapping[str, str]) -> str:
    """The text of extension fields, with its last blank."""
    return "".join(f"{letter}{value} " for letter, value in fields.items())

"""Bugs to be found: each is a server that is wrong in one thing, made by changing what passes by.

A plant sees every response of every connection (`response`), every line that is sent (`request`), or the mail
itself on the disk (`meanwhile`). It is wrong where it can be, now and then, so that it looks like a real one.
"""

import re
from collections.abc import Callable
from pathlib import Path

from tests.stress.connection import Connection
from tests.stress.model import KEYWORDS


class Plant:
    """A server without bugs. `count` counts what was spoiled."""

    def __init__(self) -> None:
        self.count = 0

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        return [data]

    def request(self, data: bytes) -> bytes:
        return data

    def meanwhile(self, maildir: Path) -> None:
        """`maildir`: INBOX of the first user."""

    def spoil(
        self, pattern: bytes, change: Callable[["re.Match[bytes]"], bytes], data: bytes, every: int = 1
    ) -> bytes:
        """Replace the first match, in every n-th response that has one."""
        found = re.search(pattern, data)
        if found is None:
            return data
        self.count += 1
        if self.count % every:
            return data
        return data[: found.start()] + change(found) + data[found.end() :]


class _Replace(Plant):
    """Numbers in responses that begin with `start` are changed."""

    start = rb"\* "
    pattern = rb""
    every = 1

    def change(self, found: "re.Match[bytes]") -> bytes:
        return b"%b%d" % (found[1], int(found[2]) + 1)

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        if not re.match(self.start, data):
            return [data]
        return [self.spoil(self.pattern, self.change, data, self.every)]


class DuplicateUid(_Replace):
    """A message is told with the UID of the one before it."""

    start, pattern, every = rb"\* ([2-9]|\d\d+) FETCH \(UID", rb"(UID )(\d+)", 7

    def change(self, found: "re.Match[bytes]") -> bytes:
        return b"UID %d" % max(1, int(found[2]) - 1)


class ExpungeInFetch(Plant):
    """An EXPUNGE comes while FETCH runs."""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        running = [command.verb for command in conn.pending]
        if running == [b"FETCH"] and re.match(rb"S\d+ OK", data):
            self.count += 1
            return [b"* 1 EXPUNGE\r\n", data]
        return [data]


class ExpungeAlone(Plant):
    """An EXPUNGE comes while nothing runs."""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        quiet = len(conn.pending) == 1 and conn.selected is not None and len(conn.selected.messages) > 1
        if quiet and re.match(rb"S\d+ OK NOOP", data):
            return [data, b"* 1 EXPUNGE\r\n"]
        return [data]


class LostFlag(Plant):
    """One keyword is forgotten of every fifth message, in all sessions alike."""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        if (found := re.match(rb"\* \d+ FETCH \(UID (\d+)", data)) and int(found[1]) % 5 == 0:
            return [
                data.replace(b" " + KEYWORDS[0], b"")
                .replace(KEYWORDS[0] + b" ", b"")
                .replace(KEYWORDS[0], b"")
            ]
        return [data]


class StaleModseq(Plant):
    """One session keeps telling the first MODSEQ of each message."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[tuple[str, int, bytes], bytes] = {}

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        found = re.match(rb"\* \d+ FETCH \(UID (\d+)", data)
        box = conn.selected.box.uidvalidity if conn.selected else 0
        if found is None or conn.index % 4:
            return [data]

        def first(modseq: "re.Match[bytes]") -> bytes:
            return self._first.setdefault((conn.user, box, found[1]), modseq[0])

        return [re.sub(rb"MODSEQ \(\d+\)", first, data)]


class FallingModseq(_Replace):
    """MODSEQ is told one too low after it was told once."""

    start, pattern, every = rb"\* \d+ FETCH ", rb"(MODSEQ \()(\d+)", 9

    def change(self, found: "re.Match[bytes]") -> bytes:
        return b"MODSEQ (%d" % max(1, int(found[2]) - 3)


class WrongExists(_Replace):
    """EXISTS tells of one message too few."""

    start, pattern, every = rb"\* \d+ EXISTS", rb"(\* )(\d+)", 6

    def change(self, found: "re.Match[bytes]") -> bytes:
        return b"* %d" % max(0, int(found[2]) - 1)


class SwappedBody(Plant):
    """A message is answered with the content of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self._last = b""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        found = re.search(rb"BODY\[\] (\{\d+\}\r\n.*)\)\r\n\Z", data, re.DOTALL)
        if found is None or b" BINARY" in data or b" RFC822" in data:
            return [data]
        last, self._last = self._last, found[1]
        if not last:
            return [data]
        return [data[: found.start(1)] + last + data[found.end(1) :]]


class MissedVanished(Plant):
    """VANISHED (EARLIER) is not told."""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        return [] if data.startswith(b"* VANISHED (EARLIER)") else [data]


class ForgottenExpunge(Plant):
    """Every fifth EXPUNGE or VANISHED is not told."""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        if re.match(rb"\* (\d+ EXPUNGE|VANISHED \d)", data):
            self.count += 1
            return [] if self.count % 5 == 0 else [data]
        return [data]


class RecentTwice(Plant):
    """Messages are \\Recent in every session that may write."""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        if re.match(rb"\* \d+ FETCH ", data) and b"\\Recent" not in data:
            return [data.replace(b"FLAGS (", b"FLAGS (\\Recent ", 1).replace(b"\\Recent )", b"\\Recent)", 1)]
        return [data]


class LowUidnext(_Replace):
    """SELECT tells of an UIDNEXT that is taken."""

    start, pattern = rb"\* OK \[UIDNEXT", rb"(UIDNEXT )(\d+)"

    def change(self, found: "re.Match[bytes]") -> bytes:
        return b"UIDNEXT %d" % max(1, int(found[2]) - 1)


class OtherUidvalidity(_Replace):
    """UIDVALIDITY changes for no reason."""

    start, pattern, every = rb"\* OK \[UIDVALIDITY", rb"(UIDVALIDITY )(\d+)", 6


class LowHighestModseq(_Replace):
    """SELECT tells a HIGHESTMODSEQ that was passed already."""

    start, pattern = rb"\* OK \[HIGHESTMODSEQ", rb"(HIGHESTMODSEQ )(\d+)"

    def change(self, found: "re.Match[bytes]") -> bytes:
        return b"HIGHESTMODSEQ %d" % max(1, int(found[2]) - 2)


class SearchLacks(_Replace):
    """SEARCH leaves out a message."""

    start, pattern, every = rb"\* SEARCH \d+ \d+", rb"( \d+)( \d+)", 3

    def change(self, found: "re.Match[bytes]") -> bytes:
        return found[1]


class SortLacks(_Replace):
    """SORT leaves out a message."""

    start, pattern, every = rb"\* SORT \d+ \d+", rb"( \d+)( \d+)", 3

    def change(self, found: "re.Match[bytes]") -> bytes:
        return found[1]


class ThreadTwice(_Replace):
    """THREAD tells of a message twice."""

    start, pattern, every = rb"\* THREAD \(\d+\)", rb"(\(\d+\))()", 2

    def change(self, found: "re.Match[bytes]") -> bytes:
        return found[1] + found[1]


class WrongStatus(_Replace):
    """STATUS counts one message too many."""

    start, pattern = rb"\* STATUS", rb"(MESSAGES )(\d+)"


class NoAnswer(Plant):
    """One command in fifty is never answered."""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        if re.match(rb"S\d\d+ OK", data):
            self.count += 1
            return [] if self.count % 50 == 0 else [data]
        return [data]


class ChangedDate(_Replace):
    """INTERNALDATE is another one from time to time."""

    start, pattern, every = rb"\* \d+ FETCH ", rb'(INTERNALDATE ")(\d\d)', 3

    def change(self, found: "re.Match[bytes]") -> bytes:
        return b'INTERNALDATE "%02d' % (int(found[2]) % 28 + 1)


class UntoldFlags(Plant):
    """A change by another session is not told."""

    def response(self, conn: Connection, data: bytes) -> list[bytes]:
        running = [command.verb for command in conn.pending]
        if running in ([b"NOOP"], [b"CHECK"], [b"IDLE"]) and re.match(rb"\* \d+ FETCH ", data):
            self.count += 1
            return [] if self.count % 3 == 0 else [data]
        return [data]


class CopyuidMixedUp(_Replace):
    """COPYUID pairs the messages in another order."""

    start, pattern = rb".*\[COPYUID", rb"(COPYUID \d+ )(\d+),(\d+)"

    def change(self, found: "re.Match[bytes]") -> bytes:
        return b"%b%b,%b" % (found[1], found[3], found[2])


class IgnoredCondition(Plant):
    """STORE UNCHANGEDSINCE changes whatever it is given."""

    def request(self, data: bytes) -> bytes:
        return re.sub(rb" \(UNCHANGEDSINCE \d+\)", b"", data)


class LostMail(Plant):
    """A message file disappears."""

    def meanwhile(self, maildir: Path) -> None:
        files = sorted((maildir / "cur").glob("*:2,*"))
        kept = [path for path in files if "T" not in path.name.rpartition(":2,")[2]]
        if self.count < 20 and len(kept) > 5:
            self.count += 1
            kept[self.count % len(kept)].unlink(missing_ok=True)


class ChangedMail(Plant):
    """A message's text is changed on the disk."""

    def meanwhile(self, maildir: Path) -> None:
        for path in sorted((maildir / "cur").glob("*:2,*"))[:5]:
            try:
                data = path.read_bytes()
                path.write_bytes(data[:-20] + data[-20:].swapcase())
            except FileNotFoundError:
                continue


PLANTS: dict[str, type[Plant]] = {
    plant.__name__: plant
    for plant in (
        DuplicateUid, ExpungeInFetch, ExpungeAlone, LostFlag, StaleModseq, FallingModseq, WrongExists,
        SwappedBody, MissedVanished, ForgottenExpunge, RecentTwice, LowUidnext, OtherUidvalidity,
        LowHighestModseq, SearchLacks, SortLacks, ThreadTwice, WrongStatus, NoAnswer, ChangedDate,
        UntoldFlags, CopyuidMixedUp, IgnoredCondition, LostMail, ChangedMail,
    )
}  # fmt: skip

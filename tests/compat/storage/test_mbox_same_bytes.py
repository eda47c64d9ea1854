"""The same steps on two copies of an mbox: the same bytes in the file after each, and the same answers.

Under each setting that says when the file is written and how much of it is read.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support.dovecot_imap import DovecotImap, as_ordinary_user, missing, user_directory

pytestmark = [pytest.mark.compat, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

LINE = b"From someone@example Tue Nov 24 06:04:15 2026\n"
BASE = b"X-IMAPbase: 1111111111 0000000003\n"
WHEN = b'"24-Nov-2026 06:04:15 +0000"'
LOOK = b"FETCH 1:* (UID FLAGS)"
WHOLE = b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"
EAGER = {"mbox_lazy_writes": "no"}
LAZY = {"mbox_lazy_writes": "yes"}
_OURS_ONLY = re.compile(rb"\[MAILBOXID \([^)]*\)\] | \([^()]* secs\)\.?")
# What a clock has made: the message of an empty mailbox, a UIDVALIDITY that was not given.
_NOW = re.compile(
    rb"^(?:From MAILER_DAEMON  |Date: |Message-ID: <).*$|(?<=^X-IMAPbase: )(?!1111111111)\d+", re.MULTILINE
)

Step = bytes | tuple[bytes, bytes] | Callable[[Path], None]


def mail(subject: bytes, fields: bytes = b"", body: bytes = b"body\n", line: bytes = LINE) -> bytes:
    return line + b"Subject: %s\n" % subject + fields + b"\n" + body + b"\n"


FRESH = mail(b"one", BASE) + mail(b"two", b"Message-ID: <a@b>\n") + mail(b"three", body=b"long line\n" * 150)
KNOWN = (
    mail(b"one", BASE + b"X-UID: 1\nStatus: O\n")
    + mail(b"two", b"X-UID: 2\nStatus: O\nX-Keywords:                \nMessage-ID: <a@b>\n")
    + mail(b"three", b"X-UID: 3\nStatus: O\nContent-Length: 1500\n", b"long line\n" * 150)
)


def later(spool: Path) -> None:
    """Dovecot compares whole seconds."""
    os.utime(spool, (time.time(), spool.stat().st_mtime + 2))


def deliver(spool: Path) -> None:
    number = spool.stat().st_size
    with spool.open("ab") as file:
        file.write(mail(b"new", b"Message-ID: <%d@x>\n" % number))
    later(spool)


def see(spool: Path) -> None:
    """Another program sets a flag where there is room."""
    data = spool.read_bytes()
    assert b"X-UID: 2\nStatus: O\nX-Keywords:  " in data
    with spool.open("r+b") as file:
        file.write(
            data.replace(b"X-UID: 2\nStatus: O\nX-Keywords:  ", b"X-UID: 2\nStatus: RO\nX-Keywords: ")
        )
    later(spool)


class Ours:
    """A session of ours."""

    def __init__(self, root: Path, values: dict[str, str]) -> None:
        location = f"mbox:{root}/mail:INBOX={root}/spool"
        view = MemoryView(
            {"mail_location": location, "mail_fsync": "never", **values},
            NamespaceSettings(section_name="inbox", inbox=True),
        )
        self.store = open_store(StorageUser("nobody", str(root)), view)
        self.pump = ImapConnection(make_session(self.store, view, Event(ListSink()), "nobody"))
        list(self.pump.start())
        self.ask(b"SELECT INBOX")

    def ask(self, text: bytes, literal: bytes | None = None) -> bytes:
        if literal is not None:
            text += b" {%d+}\r\n%s" % (len(literal), literal)
        return b"".join(self.pump.feed(b"t " + text + b"\r\n"))

    def close(self) -> None:
        self.pump.close()
        self.store.close()


@pytest.fixture
def roots() -> Iterator[tuple[Path, Path]]:
    places = user_directory(), user_directory()
    for path in places:
        (path / "mail").mkdir()
        shutil.chown(path / "mail", path.stat().st_uid, path.stat().st_gid)
    yield places
    for path in places:
        shutil.rmtree(path)


def same_bytes(roots: tuple[Path, Path], where: object, *, blanks: bool = True) -> None:
    """`blanks` False: those behind fields may be more or fewer, because something was written earlier."""
    ours, theirs = (_NOW.sub(b"", (root / "spool").read_bytes()) for root in roots)
    if not blanks:
        ours, theirs = (re.sub(rb" +\n", b"\n", data) for data in (ours, theirs))
    assert ours == theirs, where


def compare(
    roots: tuple[Path, Path], data: bytes, steps: Sequence[Step], values: dict[str, str], *, between: bool
) -> None:
    for root in roots:
        (root / "spool").write_bytes(data)
        os.utime(root / "spool", (1_795_000_000, 1_795_000_000))
    one = Ours(roots[0], values)
    more = "".join(f"{name} = {value}\n" for name, value in values.items())
    two = DovecotImap(roots[1], roots[1], location=f"mbox:{roots[1]}/mail:INBOX={roots[1]}/spool", more=more)
    if between:
        same_bytes(roots, "open")
    for step in steps:
        if callable(step):
            for root in roots:
                step(root / "spool")
            continue
        text, literal = step if isinstance(step, tuple) else (step, None)
        ours, theirs = one.ask(text, literal), two.ask(text, literal)
        assert _OURS_ONLY.sub(b"", ours) == _OURS_ONLY.sub(b"", theirs), step
        if between:
            same_bytes(roots, step)
    one.close()
    two.close()
    same_bytes(roots, "closed", blanks=between)


def flags() -> list[Step]:
    return [
        b"NOOP",
        b"STORE 2 +FLAGS (\\Seen)",
        b"STORE 1 +FLAGS (Work)",
        b"STORE 1:3 +FLAGS (\\Flagged)",
        b"STORE 1 -FLAGS (Work)",
        b"CHECK",
        b"STORE 3 +FLAGS (\\Answered Other)",
        b"STORE 1:* FLAGS (\\Draft)",
        b"STORE 2 +FLAGS (%s)" % b" ".join(b"keyword-number-%d" % one for one in range(12)),
        WHOLE,
    ]


def gone() -> list[Step]:
    return [
        b"STORE 3 +FLAGS (\\Deleted Other)",
        b"EXPUNGE",
        (b"APPEND INBOX (\\Seen Work) " + WHEN, b"Subject: x\r\nX-UID: 7\r\n\r\nbody\r\n"),
        (b"APPEND INBOX () " + WHEN, b"Subject: y\r\n\r\nno end"),
        b"NOOP",
        b"STORE 1 +FLAGS (\\Deleted)",
        b"EXPUNGE",
        b"COPY 1 INBOX",
        b"NOOP",
        WHOLE,
        b"STORE 1:* +FLAGS (\\Deleted)",
        b"EXPUNGE",
    ]


def arriving() -> list[Step]:
    return [deliver, b"NOOP", LOOK, b"STORE 2 +FLAGS (\\Flagged)", deliver, b"NOOP", LOOK, b"CHECK", LOOK]


@pytest.mark.parametrize("data", [FRESH, KNOWN], ids=["fresh", "known"])
@pytest.mark.parametrize(
    "values",
    [EAGER, {**EAGER, "mbox_dirty_syncs": "no"}, {**EAGER, "mbox_very_dirty_syncs": "yes"}],
    ids=["eager", "eager, no dirty syncs", "eager, very dirty syncs"],
)
@pytest.mark.parametrize("steps", [flags(), arriving()], ids=["flags", "new mail"])
def test_written_at_once(
    roots: tuple[Path, Path], data: bytes, values: dict[str, str], steps: list[Step]
) -> None:
    as_ordinary_user(lambda: compare(roots, data, steps, values, between=True))


@pytest.mark.parametrize("data", [FRESH, KNOWN], ids=["fresh", "known"])
def test_written_later(roots: tuple[Path, Path], data: bytes) -> None:
    """In between, too: nothing before CHECK. (Without dirty syncs Dovecot 2.3.19 forgets a STORE here.)"""
    as_ordinary_user(lambda: compare(roots, data, flags(), LAZY, between=True))


@pytest.mark.parametrize("data", [FRESH, KNOWN], ids=["fresh", "known"])
def test_new_mail_is_written_later(roots: tuple[Path, Path], data: bytes) -> None:
    """But for its UIDs, which we write at once."""
    as_ordinary_user(lambda: compare(roots, data, arriving(), LAZY, between=False))


def test_messages_come_and_go(roots: tuple[Path, Path]) -> None:
    """The last one leaves a message that keeps UIDVALIDITY."""
    as_ordinary_user(lambda: compare(roots, FRESH, gone(), EAGER, between=True))


def test_messages_come_and_go_lazily(roots: tuple[Path, Path]) -> None:
    as_ordinary_user(lambda: compare(roots, FRESH, gone(), LAZY, between=False))


@pytest.mark.parametrize("values", [LAZY, EAGER], ids=["lazy", "eager"])
def test_flags_of_others(roots: tuple[Path, Path], values: dict[str, str]) -> None:
    """In place, without new mail: seen at once. With new mail: not yet."""
    steps: list[Step] = [see, b"NOOP", LOOK, deliver, b"NOOP", LOOK]
    as_ordinary_user(lambda: compare(roots, KNOWN, steps, values, between=values is EAGER))


def both(spool: Path) -> None:
    see(spool)
    deliver(spool)


@pytest.mark.parametrize(
    "values",
    [LAZY, {**LAZY, "mbox_dirty_syncs": "no"}, {**EAGER, "mbox_dirty_syncs": "no"}],
    ids=["dirty syncs", "none", "none, eager"],
)
def test_flags_of_others_with_new_mail(roots: tuple[Path, Path], values: dict[str, str]) -> None:
    """Only of a file that is read whole at once are they known before CHECK."""
    steps: list[Step] = [both, b"NOOP", LOOK, b"CHECK", LOOK]
    as_ordinary_user(lambda: compare(roots, KNOWN, steps, values, between=False))


ODD = {
    "lies": mail(b"one", BASE + b"Content-Length: 5000\n") + mail(b"two", b"Content-Length: 2\n", b"abcd\n"),
    "to a From_ line": mail(b"one", BASE + b"Content-Length: 5\n", b"abcd\n\n" + mail(b"in")) + mail(b"two"),
    "over a From_ line": mail(b"1", BASE + b"Content-Length: 79\n", b"abcd\n\n" + mail(b"in")) + mail(b"two"),
    "to the end": mail(b"one", BASE) + mail(b"two", b"Content-Length: 5\n"),
    "doubled UID": mail(b"one", BASE + b"X-UID: 1\nX-UID: 2\n") + mail(b"two", b"X-UID: 2\n"),
    "UIDs go down": mail(b"1", BASE + b"X-UID: 3\n") + mail(b"2", b"X-UID: 2\n") + mail(b"3", b"X-UID: 1\n"),
    "equal UIDs": mail(b"1", BASE + b"X-UID: 2\n") + mail(b"2", b"X-UID: 2\n") + mail(b"3", b"X-UID: 3\n"),
    "UID above the last": mail(b"one", BASE + b"X-UID: 1\n") + mail(b"two", b"X-UID: 50\n"),
    "next UID": mail(b"one", BASE + b"X-UID: 3\n") + mail(b"two", b"X-UID: 4\n") + mail(b"t", b"X-UID: 5\n"),
    "UID before base": mail(b"one", b"X-UID: 2\n" + BASE) + mail(b"two", b"X-UID: 3\n"),
    "no base": mail(b"one", b"X-UID: 2\n") + mail(b"two", b"X-UID: 3\n"),
    "base in the second": mail(b"one") + mail(b"two", BASE + b"X-UID: 3\n"),
    "base without a last UID": mail(b"one", b"X-IMAPbase: 1111111111\nX-UID: 2\n") + mail(b"two"),
    "short last UID": mail(b"one", b"X-IMAPbase: 1111111111 10 Foo\nX-UID: 2\nX-Keywords: Foo Nope\n"),
    "two bases": mail(b"one", BASE + b"X-IMAPbase: 2222222222 0000000010\nX-UID: 2\n") + mail(b"two"),
    "pseudo": mail(b"p", b"X-IMAP: 1111111111 0000000010 W\nStatus: RO\n") + mail(b"t", b"X-Keywords: W\n"),
    "pseudo alone": mail(b"p", b"X-IMAP: 1111111111 0000000010 Work\nStatus: RO\n"),
    "pseudo later": mail(b"one", BASE) + mail(b"p", b"X-IMAP: 1111111111 0000000010 Work\n"),
    "no empty lines": mail(b"one", BASE)[:-1] + mail(b"two")[:-1] + mail(b"three"),
    "more empty lines": mail(b"one", BASE) + b"\n\n" + mail(b"two") + b"\n\n\n",
    "text at the end": mail(b"one", BASE) + mail(b"two") + b"tail",
    "half a From_ line": mail(b"one", BASE) + LINE[:-1],
    "a From_ line": mail(b"one", BASE) + LINE,
    "two From_ lines": mail(b"one", BASE) + LINE + LINE + b"\n",
    "no end of the header": LINE + BASE + b"Subject: x\n" + mail(b"two"),
    "only a header": LINE + BASE + b"Subject: x\n\n" + mail(b"two"),
    "no header": LINE + b"\nbody\n\n" + mail(b"two"),
    "NUL": mail(b"o\0ne", BASE, b"a\0b\n") + mail(b"two"),
    "8 bit": mail(b"\xff\xfe", BASE, b"\xe4\xf6\n") + mail(b"two"),
    "no colon": LINE + BASE + b"Subject: a\nno field at all\nmore\n\n" + mail(b"two"),
    "blanks before the colon": mail(b"one", BASE + b"X-UID : 3\nStatus : R\n") + mail(b"two", b"status:RO\n"),
    "long lines": mail(b"x" * 50_000, BASE, b"y" * 100_000 + b"\n") + mail(b"two"),
}
LINES = [
    b"From a@b  Tue Nov 24 06:04 2026\n",
    b"From a@b Tue Nov 24 06:04:15 EST 2026\n",
    b"From a@b Tue Nov 24 06:04:15 2026 +0300\n",
    b"From a@b Tue Nov 24 06:04:15 MET DST 2026\n",
    b"From a@b Tue Nov  4 06:04:15 2026\n",
    b"From a@b Tue Nov 4 06:04:15 2026\n",
    b"From - Tue Nov 24 06:04:15 2026\n",
    b'From "x y"@z Tue Nov 24 06:04:15 2026\n',
    b"From a b Tue Nov 24 06:04:15 2026\n",
    b"From a@b Tue Nov 24 06:04:15 2026 remote from host\n",
    b"From  Tue Nov 24 06:04:15 2026\n",
    b"From a@b ??? ??? 24 06:04:15 2026\n",
    b"From a@b Xxx Foo 24 06:04:15 2026\n",
    b"From a@b Tue Nov 31 26:74:15 2026\n",
    b"From a@b Tue Nov 24 06:04:15 26\n",
    b"From a@b\tTue Nov 24 06:04:15 2026\n",
    b"From a@b Tue, 24 Nov 2026 06:04:15\n",
    b"From <a@b> Tue Nov 24 06:04:15 2026\r\n",
    b">From a@b Tue Nov 24 06:04:15 2026\n",
]
for number, line in enumerate(LINES):
    ODD[f"line {number}"] = mail(b"one", BASE) + mail(b"two", line=line) + mail(b"three")


@pytest.mark.parametrize("what", ODD)
def test_odd_files(roots: tuple[Path, Path], what: str) -> None:
    steps: list[Step] = [WHOLE, b"STORE 1 +FLAGS (\\Flagged)", LOOK]
    as_ordinary_user(lambda: compare(roots, ODD[what], steps, EAGER, between=True))


@pytest.mark.parametrize(
    "data",
    [b"Subject: x\n\nhello\n", b"\n", b"\n" + mail(b"one"), b"From x\nSubject: y\n\nz\n", LINE[:-1]],
)
def test_what_is_no_mbox(tmp_path: Path, data: bytes) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(data)
    view = MemoryView(
        {"mail_location": f"mbox:{tmp_path}/mail:INBOX={spool}"},
        NamespaceSettings(section_name="inbox", inbox=True),
    )
    store = open_store(StorageUser("nobody", str(tmp_path)), view)
    pump = ImapConnection(make_session(store, view, Event(ListSink()), "nobody"))
    list(pump.start())
    answer = b"".join(pump.feed(b"t SELECT INBOX\r\n"))
    # Dovecot's words.
    assert _OURS_ONLY.sub(b"", answer) == b"t NO [CANNOT] Mailbox isn't a valid mbox file\r\n"
    assert spool.read_bytes() == data
    pump.close()
    store.close()

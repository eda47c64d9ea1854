"""The same mbox, a copy for each server: the same answers, and each goes on where the other has stopped."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
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

CORPUS = os.environ.get("PYDOVECOT_CORPUS", "")
MOST_MAILS = 150
_RECENT = re.compile(rb" ?\\Recent\b")
LINE = b"From someone@example Tue Nov 24 06:04:15 2026\n"
# Each is one way in which an mbox may look; the fields of the format itself came with some of them.
ODD = [
    LINE + b"Subject: plain\n\nbody\n\n",
    LINE + b"Subject: no empty line behind\n\nbody\n",
    LINE + b"Subject: only a header\n\n",
    LINE + b"Subject: with seconds and zone\n\nFrom now on\n>From then\n\n",
    b"From x Tue Nov  3 06:04 2026\nSubject: no seconds\nStatus: RO\nX-Status: AF\n\nseen\n\n",
    b'From "a b"@c Tue Nov 24 06:04:15 2026 +0200\nSubject: zone\nX-UID: 77\nX-Keywords: Unknown\n\nx\n\n',
    b"From y Tue, 24 Nov 2026 06:04:15 +0100\nSubject: other\nStatus: R\nContent-Length: 3\n\nabcdef\n\n",
    LINE + b"Content-Length: %d\nSubject: a mail in it\n\na\n%sb\n\n" % (len(LINE) + 4, LINE),
    LINE.replace(b"\n", b"\r\n") + b"Subject: crlf\r\n\r\nbody\r\nmore\r\n\r\n",
    LINE + b"X-IMAPbase: 5 0000000099\nSubject: not the first\nstatus: O\n\nx\n\n",
    LINE + b"Subject: folded\n to the next line\nX-Status: D\nTo: a@b,\n\tc@d\n\nx\n\n\n\n",
    LINE + b"Subject: no end of header",
]
QUESTIONS = [
    b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
    b"FETCH 1:* (BODY.PEEK[])",
    b"FETCH 1:* (ENVELOPE BODYSTRUCTURE)",
    b"FETCH 1:* (BODY.PEEK[HEADER] BODY.PEEK[TEXT])",
    b"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT STATUS X-UID)] BODY.PEEK[1])",
    b"FETCH 1:* (X-GUID)",
    b"SEARCH SEEN",
    b"SEARCH RECENT",
    b"SEARCH HEADER Status R",
    b"SEARCH LARGER 2000",
    b"SEARCH ON 24-Nov-2026",
    b"STORE 1:3 +FLAGS (\\Flagged New)",
    b"STORE 2 FLAGS (\\Seen)",
    b"FETCH 1:* (UID FLAGS)",
]

# Dovecot 2.3.19 ends at this when a message of an mbox is only a header.
TEXT = b"SEARCH TEXT body"


def mails(which: str) -> bytes:
    if which == "odd":
        return b"".join(ODD)
    found = sorted(Path(CORPUS).glob("**/*.eml"))[:MOST_MAILS] if CORPUS else []
    if not found:
        pytest.skip("PYDOVECOT_CORPUS names no folder of mail")
    out = []
    for path in found:
        text = path.read_bytes().replace(b"\r\n", b"\n")
        text = re.sub(rb"(?m)^From ", b">From ", text)
        out.append(LINE + text + (b"\n" if text.endswith(b"\n") else b"\n\n"))
    return b"".join(out)


class Ours:
    """Our session."""

    def __init__(self, root: Path, form: str = "") -> None:
        view = MemoryView(
            {"mail_location": location(root, form)}, NamespaceSettings(section_name="inbox", inbox=True)
        )
        self.store = open_store(StorageUser("nobody", str(root)), view)
        self.pump = ImapConnection(make_session(self.store, view, Event(ListSink()), "nobody"))
        list(self.pump.start())
        self.command(b"SELECT INBOX")

    def command(self, text: bytes) -> bytes:
        answer = b"".join(self.pump.feed(b"t " + text + b"\r\n"))
        assert b"\r\nt OK" in b"\r\n" + answer, answer
        return answer

    def close(self) -> None:
        self.pump.close()
        self.store.close()


def location(root: Path, form: str = "") -> str:
    return f"mbox:{root}/mail:INBOX={root}/spool" + form.format(root=root)


def dovecot(root: Path, form: str = "") -> DovecotImap:
    return DovecotImap(root, root, location=location(root, form))


@pytest.fixture
def roots() -> Iterator[tuple[Path, Path]]:
    places = user_directory(), user_directory()
    for path in places:
        (path / "mail").mkdir()
        shutil.chown(path / "mail", path.stat().st_uid, path.stat().st_gid)
    yield places
    for path in places:
        shutil.rmtree(path)


def untagged(answer: bytes) -> list[bytes]:
    """Without what is about the mailbox as a whole, and the tagged line."""
    lines = re.split(rb"(?m)^(?=\* )", answer[: answer.rindex(b"\r\nt ") + 2] if b"\r\nt " in answer else b"")
    return sorted(line for line in lines if re.match(rb"\* (\d+ FETCH|SEARCH)", line))


def same(roots: tuple[Path, Path], data: bytes, questions: Sequence[bytes]) -> None:
    for root in roots:
        (root / "spool").write_bytes(data)
    one, two = Ours(roots[0]), dovecot(roots[1])
    for question in questions:
        ours, theirs = untagged(one.command(question)), untagged(two.command(question))
        for left, right in zip(ours, theirs, strict=False):
            assert left == right, question
        assert len(ours) == len(theirs), question
    last = one.command(b"FETCH 1:* (UID FLAGS)")
    one.close()
    two.close()
    # Each takes over what the other has left.
    for root in roots:
        shutil.rmtree(root / "mail")
        (root / "mail").mkdir()
    two, one = dovecot(roots[0]), Ours(roots[1])
    for answer in (two.command(b"FETCH 1:* (UID FLAGS)"), one.command(b"FETCH 1:* (UID FLAGS)")):
        found, wanted = untagged(_RECENT.sub(b"", answer)), untagged(_RECENT.sub(b"", last))
        assert found == wanted, [pair for pair in zip(found, wanted, strict=False) if pair[0] != pair[1]]
    two.close()
    one.close()


@pytest.mark.parametrize("which", ["odd", "corpus"])
def test_same_answers(roots: tuple[Path, Path], which: str) -> None:
    data = mails(which)
    as_ordinary_user(lambda: same(roots, data, QUESTIONS if which == "odd" else [TEXT, *QUESTIONS]))


NAMES = """\
CREATE a
CREATE a/b
CREATE d/e
CREATE d
CREATE d/f/
CREATE x.lock
CREATE .imap
CREATE inbox
CREATE INBOX/sub
CREATE a*b
LIST "" *
LIST "" %
LIST "" d/%
SUBSCRIBE d/e
SUBSCRIBE d
SUBSCRIBE nope
LSUB "" *
RENAME a g/h
RENAME d k
LIST "" *
RENAME k/e a/b/c
RENAME nope n
SELECT d
SELECT g
STATUS g (MESSAGES)
LIST "" * RETURN (CHILDREN)
LIST "" * RETURN (SUBSCRIBED)
STATUS k/e (MESSAGES UIDNEXT)
SELECT nope
DELETE k
DELETE k/e
DELETE k/f
DELETE k
LIST "" *
DELETE INBOX
LIST (SUBSCRIBED) "" *
RENAME INBOX old
LIST "" *
NAMESPACE
"""
_TIMING = re.compile(rb" \([^()]* secs\)\.?")
_OURS_ONLY = re.compile(rb"\[MAILBOXID \([^)]*\)\] ")


def same_names(roots: tuple[Path, Path], form: str) -> None:
    for root in roots:
        (root / "spool").touch()
    one, two = Ours(roots[0], form), dovecot(roots[1], form)
    for question in NAMES.encode().splitlines():
        if b".imap" in question and "DIRNAME" in form:
            continue  # there our index is
        if question.startswith(b"RENAME INBOX") and "DIRNAME" in form:
            break  # its children stay (RFC 3501 6.3.5); Dovecot moves them with it
        answer = b"".join(one.pump.feed(b"t " + question + b"\r\n"))
        ours = _TIMING.sub(b"", _OURS_ONLY.sub(b"", answer))
        theirs = _TIMING.sub(b"", two.ask(question))
        # Dovecot's order depends on the history of its list.
        assert sorted(ours.splitlines()) == sorted(theirs.splitlines()), question
    one.close()
    two.close()


@pytest.mark.parametrize(
    "form",
    [
        "", ":LAYOUT=fs", ":INDEX={root}/index", ":CONTROL={root}/control", ":INDEX=MEMORY",
        ":SUBSCRIPTIONS=names", ":MAILBOXDIR=boxes", ":UTF-8", ":DIRNAME=messages:INDEX={root}/index",
    ],
)  # fmt: skip
def test_same_names(roots: tuple[Path, Path], form: str) -> None:
    as_ordinary_user(lambda: same_names(roots, form))


# What APPEND makes of it: whole lines, no From_ line in a header, nothing of the format's own fields.
APPENDS = [
    b"a: b\r\n\r\nbody\r\n",
    b"a: b\r\n\r\nbody",
    b"a: b\r\n\r\n",
    b"a: b\r\n",
    b"a: b",
    b"\r\nbody\r\n",
    b"body without header",
    b"body\r\nmore\r\n\r\nx\r\n",
    b"a: b\r\n\r\nbody\r\n\r\n\r\n",
    b"Status: RO\r\nX-UID: 5\r\na: b\r\nContent-Length: 77\r\n\r\nx\r\n",
    b"a: b\n\nlf\n",
    b"a: b\r\n\r\nFrom x Tue Nov 24 06:04:15 2026\r\ny\r\n",
    b"From x Tue Nov 24 06:04:15 2026\r\na: b\r\n\r\nz\r\n",
    b">From x Tue Nov 24 06:04:15 2026\r\na: b\r\n\r\nz\r\n",
    b"a: b\r\nFrom x Tue Nov 24 06:04:15 2026\r\nc: d\r\n\r\nz\r\n",
    b"a: b\r\n\r\nx\ry\r\n",
    b"a: b\r\n\r\n\r\n",
]


def same_appends(roots: tuple[Path, Path]) -> None:
    for root in roots:
        (root / "spool").touch()
    one, two = Ours(roots[0]), dovecot(roots[1])
    for text in APPENDS:
        one.command(b"APPEND INBOX {%d+}\r\n%s" % (len(text), text))
        two.append(text)
    question = b"FETCH 1:* (UID RFC822.SIZE BODY.PEEK[])"
    one.command(b"NOOP")
    two.command(b"NOOP")
    ours, theirs = untagged(one.command(question)), untagged(two.command(question))
    assert len(ours) == len(theirs) == len(APPENDS)
    for left, right in zip(ours, theirs, strict=True):
        assert left == right
    one.close()
    two.close()


def test_same_appends(roots: tuple[Path, Path]) -> None:
    as_ordinary_user(lambda: same_appends(roots))

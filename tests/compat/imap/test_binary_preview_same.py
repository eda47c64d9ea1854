"""BINARY and PREVIEW answer as Dovecot does: for real mail, broken mail, and text thrown together."""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pydovecot.mime import structure
from pydovecot.model.section import Text
from tests.support import mailgen, mailquestions, preauth
from tests.support.duel import Duel
from tests.support.preauth import DovecotEndedError
from tests.support.scripts import SCRIPTS
from tests.support.uglymail import UGLY

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]

_PIECES = [
    "a", "bc", "word ", "> ", ">", "\n", "\n> ", "\n>", " ", "\t", "\r\n", "é", "\ufeff", "\0", "x" * 50,
    "y " * 30, "\n\n", "z" * 190, "\u00a0", "\x0b", "漢字 ",
]  # fmt: skip
_MARKUP = [
    "<p>", "</p>", "<br>", "<b class='x>y'>", "&amp;", "&lt;", "&", "&#65;", "&foo;", "<!-- c -->", "<!--",
    "-->", "<style>s</style>", "<script>", "</script>", "<blockquote>", "</blockquote>", "<", '<a href="q">',
    "&nbsp;", "--", "'", '"', ";", "&gt;",
]  # fmt: skip


def corpus() -> list[bytes]:
    """The messages of the folder that PYDOVECOT_CORPUS names."""
    folder = os.environ.get("PYDOVECOT_CORPUS")
    if not folder:
        pytest.skip("PYDOVECOT_CORPUS does not name a folder of messages")
    return [path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))]


def thrown_together() -> list[bytes]:
    """Texts that no human wrote, as plain text and as HTML."""
    source = random.Random(20)
    out = []
    for kind, pieces in (("plain", _PIECES), ("html", _PIECES + _MARKUP)):
        for _ in range(300):
            text = "".join(source.choice(pieces) for _ in range(source.randrange(1, 40)))
            out.append(f"Content-Type: text/{kind}; charset=utf-8\n\n{text}".encode())
    return out


SOURCES: dict[str, Callable[[], list[bytes]]] = {
    "corpus": corpus,
    "ugly": lambda: list(UGLY.values()),
    "scripts": lambda: list(SCRIPTS.values()),
    "generated": lambda: list(mailgen.generate(7, 100)),
    "thrown together": thrown_together,
}
# Python's codecs and Dovecot's iconv do not agree on each broken octet of the charsets of East Asia.
OTHER_TEXT = {"corpus": 1, "scripts": 0}


@pytest.mark.parametrize("source", SOURCES)
def test_preview(source: str) -> None:
    mails = SOURCES[source]()
    with Duel(mails) as duel:
        different = [str(d) for number in range(1, len(mails) + 1) for d in duel.items(number, [b"PREVIEW"])]
    assert len(different) <= OTHER_TEXT.get(source, 0), different


def sections(mail: bytes) -> Sequence[bytes]:
    """Names of sections that BINARY may be asked for."""
    wanted = mailquestions.sections(structure.parse(mail, measure=False))
    return [mailquestions.name(one) for one in wanted if one.text in (Text.ALL, Text.TEXT, Text.MIME)][:40]


@pytest.mark.parametrize("source", ["corpus", "ugly", "scripts", "generated"])
def test_binary(source: str) -> None:
    """All that Dovecot survives; its BINARY.SIZE is right only if it is the length of its BINARY."""
    mails = SOURCES[source]()
    duel = Duel(mails)
    wrong = []
    compared = 0
    for number, mail in enumerate(mails, 1):
        for name in sections(mail):
            question = b"FETCH %d (BINARY.PEEK[%b])" % (number, name)
            sized = b"FETCH %d (BINARY.SIZE[%b])" % (number, name)
            try:
                theirs, their_size = duel.dovecot.ask(question), duel.dovecot.ask(sized)
            except DovecotEndedError:
                duel.close()
                duel = Duel(mails)
                continue
            compared += 2
            ours, our_size = duel.ours.ask(question), duel.ours.ask(sized)
            if ours != theirs:
                wrong.append((question, ours[0][:200], theirs[0][:200]))
            elif our_size != their_size and _told(their_size) == _length(theirs):
                wrong.append((sized, our_size[0], their_size[0]))
    duel.close()
    assert wrong == []
    assert compared > len(mails)


def _told(answer: Sequence[bytes]) -> int:
    """The number that BINARY.SIZE tells; -1 when it was refused."""
    return int(answer[0].rpartition(b" ")[2].rstrip(b")\r\n")) if answer[-1].startswith(b"OK") else -1


def _length(answer: Sequence[bytes]) -> int:
    return int(answer[0].partition(b"{")[2].partition(b"}")[0])

"""Whatever a message is made of: no exception, sound trees, and work that grows with its size only."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydovecot.mime import partcodec, section, structure, subject, summary, textsearch, transfer, words
from pydovecot.mime.structure import Part
from pydovecot.model.search import Contains, Header, Where
from pydovecot.storage.search import evaluate
from tests.support import mailquestions
from tests.support.listview import ListView
from tests.support.uglymail import MULTIPART, UGLY, Generator

MIME_FOLDER = str(Path(structure.__file__).parent)

line_ends = st.sampled_from([b"\n", b"\r\n"])
bits = st.sampled_from(
    [
        b"--x", b"--x--", b"--xy", b"", b"text", b" folded", b"A: b", b"From: a <b@c>",
        b"Date: 1 Jan 2001 1:2", b"Subject: =?utf-8?q?a?= =?x", b"\0", b'To: "(,<@:;', b"\r", b"\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=x", b"Content-Type: multipart/digest; boundary=xy",
        b"Content-Type: message/rfc822", b"Content-Type: text/plain; a*0=b; a*2*=",
        b"Content-Transfer-Encoding: base64",
    ]
)  # fmt: skip
messages = st.lists(st.tuples(bits, line_ends)).map(lambda lines: b"".join(bit + end for bit, end in lines))


def check(message: bytes) -> None:
    """Ask everything; the answers must fit together."""
    found = summary.of(message)
    assert found.size == len(section.crlf(message))
    check_part(message, found.root, 0)
    again = partcodec.decode(partcodec.encode(found.root))
    assert again is not None
    assert partcodec.encode(again) == partcodec.encode(found.root)
    assert mailquestions.structure_answer(message).startswith(b"RFC822.SIZE %d " % found.size)
    for wanted in mailquestions.sections(found.root):
        section.extract(message, again, wanted)
    for where in Where:
        evaluate(ListView([message]), Contains(where, "zz"))  # type: ignore[arg-type]
    for name in ("From", "Subject"):
        evaluate(ListView([message]), Header(name, "zz"))  # type: ignore[arg-type]


def check_part(message: bytes, part: Part, depth: int) -> None:
    """Offsets are nested and in order; sizes are those of the bytes."""
    assert depth <= structure.MAX_NESTED_PARTS
    assert 0 <= part.start <= part.body <= part.end <= len(message)
    assert part.body_lines == message.count(b"\n", part.body, part.end)
    assert part.header_lines == message.count(b"\n", part.start, part.body)
    assert part.body_virtual >= part.body_size
    pos = part.body
    for child in part.children:
        assert child.start >= pos - 2  # a cut header leaves its line end to what follows
        assert child.end <= part.end
        check_part(message, child, depth + 1)
        pos = child.end


@settings(max_examples=150, deadline=None)
@given(messages)
def test_lines_in_any_order(message: bytes) -> None:
    check(message)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(message: bytes) -> None:
    check(message)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(UGLY)), st.integers(0, 2**32))
def test_mutations_of_ugly_mail(name: str, seed: int) -> None:
    check(Generator(seed).mutate(UGLY[name], changes=8))


def test_mutations_of_the_corpus() -> None:
    folder = os.environ.get("PYDOVECOT_CORPUS")
    if not folder:
        pytest.skip("PYDOVECOT_CORPUS does not name a folder of messages")
    made = Generator(1)
    for path in sorted(Path(folder).glob("*.eml")):
        message = path.read_bytes()[:20000]
        check(message)
        check(made.mutate(message, changes=10))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_decoders_take_anything(data: bytes) -> None:
    transfer.decode_base64(data)
    transfer.decode_quoted_printable(data)
    words.decode(data)
    words.normalised(data)
    textsearch.header_text(data)
    partcodec.decode(b"\x01" + data)


def operations(call: Callable[[], Any]) -> int:
    """How many lines of the mime package a call runs."""
    count = 0

    def line(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += 1
        return line

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        return line if frame.f_code.co_filename.startswith(MIME_FOLDER) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


DEEP = b"".join(b"Content-Type: multipart/mixed; boundary=b%d;\n\n--b%d;\n" % (n, n) for n in range(99))
TYPE = b"Content-Type: text/plain"
QUOTED = b"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n"
# A message of n pieces that a careless parser would walk n times.
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "boundaries": lambda n: MULTIPART + b"--x\n" * n,
    "parts without end of header": lambda n: MULTIPART + b"--x\nA: b\n" * n,
    "parts": lambda n: MULTIPART + b"--x\n\na\n" * n,
    "dashes": lambda n: MULTIPART + b"--\n--y\n" * n,
    "forwards": lambda n: MULTIPART + b"--x\nContent-Type: message/rfc822\n\n" * n,
    "forward chain": lambda n: b"Content-Type: message/rfc822\n\n" * n,
    "deep and many": lambda n: DEEP + b"--b0\n--c\n" * n,
    "fields": lambda n: b"A: b\n" * n + b"\n",
    "contents": lambda n: b"Content-Type: a/b\nContent-ID: c\n" * n + b"\n",
    "folds": lambda n: b"Subject: a\n" + b" \n" * n + b"\n",
    "blanks before no colon": lambda n: b"Content-Type" + b" " * n + b"\nTo" + b" " * n + b"\n\n",
    "parameters": lambda n: TYPE + b";a=b" * n + b"\n\n",
    "pieces": lambda n: TYPE + b"".join(b";a*%d=x" % i for i in range(n)) + b"\n\n",
    "same piece": lambda n: TYPE + b";a*0*=x" * n + b"\n\n",
    "semicolons": lambda n: TYPE + b";" * n + b"\n\n",
    "stars": lambda n: TYPE + b";a" + b"*" * n + b"=b\n\n",
    "open quotes": lambda n: TYPE + b';a="' * n + b"\n\n",
    "open comments": lambda n: TYPE + b"(" * n + b"\n\n",
    "comments": lambda n: b"From: " + b"(" * n + b")" * n + b"a@b\n\n",
    "addresses": lambda n: b"To: " + b"a@b, " * n + b"\n\n",
    "several To": lambda n: b"To: a@b\n" * n + b"\n",
    "commas": lambda n: b"To: " + b"," * n + b"\n\n",
    "groups": lambda n: b"To: " + b"g:" * n + b"\n\n",
    "group ends": lambda n: b"To: " + b"g:;," * n + b"\n\n",
    "angles": lambda n: b"To: " + b"<" * n + b"\n\n",
    "routes": lambda n: b"To: <" + b"@a," * n + b":b@c>\n\n",
    "words": lambda n: b"To: " + b"a " * n + b"\n\n",
    "dots": lambda n: b"To: " + b". " * n + b"@b\n\n",
    "quotes": lambda n: b"To: " + b'"' * n + b"\n\n",
    "backslashes": lambda n: b'To: "' + b"\\" * n + b"\n\n",
    "domain literals": lambda n: b"To: a@" + b"[" * n + b"]" * n + b"\n\n",
    "encoded words": lambda n: b"Subject: " + b"=?utf-8?q?a?= " * n + b"\n\n",
    "open words": lambda n: b"Subject: " + b"=?" * n + b"\n\n",
    "half words": lambda n: b"Subject: " + b"=?a?q?" * n + b"\n\n",
    "blobs": lambda n: b"Subject: " + b"[a]" * n + b"\n\n",
    "subject forwards": lambda n: b"[fwd:" * n + b"]" * n,
    "subject trailers": lambda n: b"x" + b" (fwd)" * n,
    "date blanks": lambda n: b"Date: 1" + b" " * n + b"Jan 2001 1:2 " + b"(" * n + b"\n\n",
    "qp blanks": lambda n: QUOTED + b"a" + b" \t" * n + b"b =zz",
    "qp soft breaks": lambda n: QUOTED + b"=\n" * n + b"= " * n,
    "qp equals": lambda n: QUOTED + b"=" * n,
    "line ends": lambda n: b"A: b\r\n\r\n" + b"\r\n\n\r" * n,
}  # fmt: skip


def everything(message: bytes) -> None:
    """What a client can make the server do with one message."""
    root = summary.of(message).root
    for wanted in mailquestions.sections(root)[:20]:
        section.extract(message, root, wanted)
    subject.base(message)
    for key in (Contains(Where.TEXT, "z y"), Header("To", "zz"), Header("Subject", "zz")):
        evaluate(ListView([message]), key)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", HOSTILE)
def test_operations_grow_with_the_size_only(name: str) -> None:
    small, large = (operations(lambda n=n: everything(HOSTILE[name](n))) for n in (1000, 2000))  # type: ignore[misc]
    assert large <= 2.3 * small + 2000


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_large_hostile_mail_ends(name: str) -> None:
    """A guard against quadratic loops inside `re` and `bytes`: they would take minutes here."""
    everything(HOSTILE[name](60000))


def test_limits_of_parts() -> None:
    root = structure.parse(HOSTILE["parts"](structure.MAX_TOTAL_PARTS + 10))
    assert len(root.children) == structure.MAX_TOTAL_PARTS - 1
    part, depth = structure.parse(HOSTILE["forward chain"](300)), 0
    while part.children:
        part, depth = part.children[0], depth + 1
    assert depth == structure.MAX_NESTED_PARTS - 1

"""Finding messages: what is a From_ line, where messages end, what their fields say."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.model.flags import Flag
from pydovecot.storage.drivers.mbox import fromline
from pydovecot.storage.drivers.mbox.fields import Header, Meta
from pydovecot.storage.drivers.mbox.scan import Base, Mail, NotMboxError, scan, without_meta

LINE = b"From a@b  Tue Nov 24 06:04:15 2026\n"


def render(raw: bytes, meta: Meta, body_size: int, fit: int) -> bytes:
    header = Header(raw)
    header.update(meta, body_size)
    header.fit(fit)
    return header.raw()


CRLF_LINE = LINE.replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("line", "when"),
    [
        (b"From a@b  Tue Nov 24 06:04:15 2026 +0000", 1_795_500_255),
        (b"From a@b Tue Nov 24 06:04:15 2026 +0200", 1_795_493_055),
        (b'From "a b"@c Tue Nov 24 06:04:15 2026 +0000', 1_795_500_255),
        (b"From a@b Tue, 24 Nov 2026 06:04:15 +0000", 1_795_500_255),
        (b"From a@b Tue Nov 24 06:04 2026 +0000", 1_795_500_240),
        (b"From  Tue Nov  3 06:04:15 2026 +0000", 1_793_685_855),
        (b"From here on it is nothing", None),
        (b"From a@b Tue Foo 24 06:04:15 2026", None),
        (b"From a@b Tue Nov 24 06:04:15", None),
        (b"From a@b", None),
        (b">From a@b Tue Nov 24 06:04:15 2026", None),
    ],
)
def test_lines(line: bytes, when: int | None) -> None:
    assert (fromline.LINE.match(line) is not None) == (when is not None)
    assert fromline.received(line) == (when or 0)


def test_a_line_without_zone_is_local_and_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert fromline.received(LINE) == 1_795_496_655
        assert fromline.create("a@b", 1_795_496_655) == LINE
        assert fromline.create("a b\nc", 1_795_496_655) == b"From a_b_c" + LINE[8:]
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def found(data: bytes) -> list[bytes]:
    """Contents with all their fields."""
    return [data[mail.head : mail.end] for mail in scan(data, len(data))]


@pytest.mark.parametrize(
    ("data", "mails"),
    [
        (b"", []),
        (LINE + b"A: b\n\nbody\n\n", [b"A: b\n\nbody\n"]),
        (LINE + b"A: b\n\nbody\n", [b"A: b\n\nbody"]),
        (LINE + b"A: b\n\nbody", [b"A: b\n\nbody"]),
        (LINE + b"A: b\n\nbody\n" + LINE + b"C: d\n\n", [b"A: b\n\nbody", b"C: d\n"]),
        (LINE + b"A: b\n\n" + LINE + b"C: d\n\nx\n\n", [b"A: b\n", b"C: d\n\nx\n"]),
        (LINE + b"\n" + LINE + b"\n", [b"", b""]),
        (LINE + LINE + b"\nx\n\n", [LINE + b"\nx\n"]),
        (LINE + b"\nFrom here on\n\nx\n\n", [b"\nFrom here on\n\nx\n"]),
        (CRLF_LINE + b"A: b\r\n\r\nx\r\n\r\n" + LINE + b"\ny\n\n", [b"A: b\r\n\r\nx\r\n", b"\ny\n"]),
        # An empty line before a From_ line may be a body that Content-Length tells of.
        (LINE + b"Content-Length: %d\n\n" % (len(LINE) + 2) + LINE + b"x\n\n", [
            b"Content-Length: %d\n\n" % (len(LINE) + 2) + LINE + b"x\n"]),
        # Content-Length counts where it leads to a From_ line or to the end.
        (LINE + b"Content-Length: %d\n\na\n" % (len(LINE) + 4) + LINE + b"x\n\n", [
            b"Content-Length: %d\n\na\n" % (len(LINE) + 4) + LINE + b"x\n"]),
        (LINE + b"Content-Length: 3\n\nabcd\n\n" + LINE + b"\ny\n\n", [
            b"Content-Length: 3\n\nabcd\n", b"\ny\n"]),
    ],
)  # fmt: skip
def test_where_messages_end(data: bytes, mails: list[bytes]) -> None:
    assert found(data) == mails


def test_no_mbox() -> None:
    with pytest.raises(NotMboxError):
        list(scan(b"\n" + LINE, 36))


def only(data: bytes) -> Mail:
    (mail,) = scan(data, len(data))
    return mail


def test_fields() -> None:
    mail = only(
        LINE + b"X-IMAPbase: 12 0000000034 one two\n\tthree\nstatus: RO\nX-Status: AFT\nX-UID: 5   \n"
        b"X-Keywords: one  three \n\nx\n\n"
    )
    assert mail.base == Base(12, 34, ("one", "two", "three"))
    assert mail.flags == Flag.SEEN | Flag.ANSWERED | Flag.FLAGGED | Flag.DRAFT
    assert (mail.old, mail.uid, mail.keywords, mail.broken, mail.pseudo) == (
        True,
        5,
        ("one", "three"),
        False,
        False,
    )
    assert only(LINE + b"X-IMAP: 12 34\n\nx\n\n").pseudo
    assert only(LINE + b"X-UID: 5\nX-UID: 6\n\n\n").broken
    assert only(LINE + b"X-UID: 5 6\n\n\n").uid == 0
    assert only(LINE + b"X-IMAPbase: 0 5\n\n\n").base is None
    data = LINE + b"\n\n" + LINE + b"X-IMAPbase: 12 34\n\n\n"
    assert [mail.base for mail in scan(data, len(data))] == [None, None]


LINES = st.sampled_from(
    [b"A: b\n", b"\n", b"\r\n", b"X-UID: 7\n", b"Status: RO\n", b"X-Keywords: a b   \n", b"x\n", LINE,
     b" folded\n", b"From nobody\n", b"Content-Length: 12\n", b"Content-Length: 0\r\n",
     b"X-IMAPbase: 1 2 a\n", b"x", b"\nFrom "]
)  # fmt: skip


@given(st.lists(LINES, max_size=30))
def test_messages_cover_the_file(lines: list[bytes]) -> None:
    data = LINE + b"".join(lines)
    at = 0
    for mail in scan(data, len(data)):
        assert mail.start == at and mail.start <= mail.head <= mail.body <= mail.end <= mail.next
        assert data[mail.start :].startswith(b"From ") and mail.next - mail.end <= 2
        at = mail.next
    assert at == len(data)


@given(
    st.lists(LINES, max_size=12),
    st.integers(1, 999),
    st.integers(0, 31),
    st.booleans(),
    st.lists(st.sampled_from(["a", "b", "long" * 300, "d"]), unique=True),
    st.booleans(),
    st.integers(0, 3000),
)
def test_what_is_written_is_read_and_nothing_else_changes(
    lines: list[bytes], uid: int, flags: int, old: bool, keywords: list[str], base: bool, fit: int
) -> None:
    data = LINE + b"".join(lines)
    before = next(iter(scan(data, len(data))))
    raw, body = data[before.head : before.body], b"end\n"
    right = Base(17, uid, tuple(keywords)) if base else None
    new = render(raw, Meta(uid, flags, old, keywords, right), len(body), fit)
    empty = b"" if new.endswith((b"\n\n", b"\n\r\n")) or new in (b"\n", b"\r\n") else b"\n"
    whole = LINE + new + empty + body + b"\n"
    after = next(iter(scan(whole, len(whole))))
    assert (after.uid, after.flags, after.old, list(after.keywords)) == (uid, flags, old, keywords)
    assert after.base == right and not after.broken
    assert len(new) >= fit
    assert without_meta(new).replace(b"\r", b"").strip() == without_meta(raw).replace(b"\r", b"").strip()
    assert render(new, Meta(uid, flags, old, keywords, right), len(body), len(new)) == new


def test_large_files_take_linear_time() -> None:
    """Lines that nearly are From_ lines, headers without an end: each octet is looked at a few times."""
    nearly = b"From x" + b" " * 200 + b"Tue Nov 24 06:04:15 20x6\n"
    data = LINE + b"A: b\n\n" + nearly * 5_000 + b"\n"
    assert len(found(data)) == 1
    data = (LINE.replace(b"\n", b"\r\n") + b"A: b\r\n\r\nx\r\n\r\n") * 5_000
    assert len(found(data)) == 5_000

"""Nonsense made of IMAP's own words: an answer to every line, and never a failure of ours."""

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.services.imap.dispatch import COMMANDS
from pydovecot.services.imap.fetch_items import ITEMS, MACROS
from pydovecot.services.imap.search_keys import KEYS
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser

_NAMES = sorted(set(COMMANDS) - {b"LOGOUT", b"IDLE"})
_WORDS = [
    *sorted(ITEMS), *sorted(MACROS), *sorted(KEYS),
    b"BODY[]", b"BODY.PEEK[HEADER.FIELDS (From)]", b"BODY[1.2.MIME]<1.2>", b"BODY[", b"]<0.5>",
    b"1", b"1:*", b"*", b"3:1", b"0", b"4294967295", b"99999999999999999999", b"1-Feb-2024", b"NOT", b"OR",
    b"INBOX", b"Box", b"nope", b"a.b", b"&AOQ-", b"&", b'""', b'"*"', b"%", b"{3+}\r\nabc", b"{0+}\r\n",
    b"(", b")", b"()", b"FLAGS", b"+FLAGS", b"-FLAGS.SILENT", b"\\Seen", b"\\Deleted", b"\\Foo", b"kw",
    b"(CONDSTORE)", b"(CHANGEDSINCE 1)", b"(UNCHANGEDSINCE 1)", b"RETURN", b"(MIN MAX ALL COUNT)", b"CHARSET",
    b"UTF-8", b"X-UNKNOWN", b"(MESSAGES UNSEEN HIGHESTMODSEQ SIZE)", b"(SUBSCRIBED RECURSIVEMATCH)", b"NIL",
    b'"01-Jan-2024 10:00:00 +0000"', b"(\\Seen \\Flagged)", b"STATUS", b"CHILDREN", b"SPECIAL-USE", b'"\\""',
]  # fmt: skip
_SETS = st.sampled_from([b"1", b"1:*", b"*", b"2:3", b"2,1", b"1:2", b"3,1:2"])
_ITEM = st.sampled_from(
    [*sorted(ITEMS), b"BODY[]", b"BODY.PEEK[]<2.9>", b"BODY.PEEK[HEADER.FIELDS (From Nope)]", b"BODY[1.MIME]",
     b"BODY.PEEK[TEXT]", b"BODY[9]", b"BODY[HEADER.FIELDS.NOT (From)]", b"BODY.PEEK[HEADER]<3.4>"]
)  # fmt: skip
_FLAG = st.sampled_from([b"\\Seen", b"\\Deleted", b"\\Flagged", b"kw", b"other"])
_KEY = st.one_of(
    st.sampled_from(
        [name for name in sorted(KEYS) if name.startswith((b"UN", b"SEEN", b"D", b"A", b"R", b"O"))]
    ),
    st.sampled_from(
        [b"SUBJECT x", b"BODY one", b"HEADER From a", b"LARGER 9", b"SINCE 1-Jan-2020", b"MODSEQ 2"]
    ),
    _SETS,
)
_KEYS = st.recursive(
    _KEY,
    lambda inner: st.one_of(
        inner.map(lambda key: b"NOT " + key),
        st.tuples(inner, inner).map(lambda keys: b"OR (%b) (%b)" % keys),
        st.tuples(inner, inner).map(lambda keys: b"(%b %b)" % keys),
    ),
    max_leaves=5,
)
_UID = st.sampled_from([b"", b"UID "])
_GOOD = st.one_of(
    st.tuples(_UID, _SETS, st.lists(_ITEM, min_size=1, max_size=5)).map(
        lambda t: b"%bFETCH %b (%b)" % (t[0], t[1], b" ".join(t[2]))
    ),
    st.tuples(_UID, st.sampled_from([b"", b"RETURN () ", b"RETURN (MIN MAX COUNT ALL) "]), _KEYS).map(
        lambda t: b"%bSEARCH %b%b" % t
    ),
    st.tuples(_UID, _SETS, st.sampled_from([b"", b"+", b"-"]), st.sampled_from([b"", b".SILENT"]), _FLAG).map(
        lambda t: b"%bSTORE %b %bFLAGS%b %b" % t
    ),
    st.tuples(_UID, st.sampled_from([b"COPY", b"MOVE"]), _SETS, st.sampled_from([b"Box", b"INBOX"])).map(
        lambda t: b"%b%b %b %b" % t
    ),
    st.sampled_from(
        [
            b"NOOP",
            b"EXPUNGE",
            b"UID EXPUNGE 1:*",
            b"SELECT Box",
            b"EXAMINE INBOX",
            b"ENABLE CONDSTORE",
            b"CLOSE",
            b"APPEND INBOX {3+}\r\nabc",
            b"STATUS INBOX (MESSAGES SIZE HIGHESTMODSEQ)",
            b'LIST "" *',
            b"SELECT INBOX",
        ]
    ),
)
_LINE = st.tuples(st.sampled_from(_NAMES), st.lists(st.sampled_from(_WORDS), max_size=7))
_USER = itertools.count()


def session(sink: ListSink, username: str = "") -> ImapConnection:
    """Three messages in INBOX, which is selected; a second session of a user finds them there."""
    view = MemoryView(
        {"mail_location": "memory:"}, NamespaceSettings(section_name="inbox", inbox=True, separator=".")
    )
    user = StorageUser(username or f"fuzz{next(_USER)}")
    pump = ImapConnection(make_session(open_store(user, view), view, Event(sink), user.username))
    for _ in pump.start():
        pass
    message = b"From: a@b\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\none\r\n--q--\r\n"
    literal = b"{%d+}\r\n%b" % (len(message), message)
    append = b"b APPEND INBOX (kw) %b () %b (\\Seen) %b" % (literal, literal, literal)
    texts = (b"c SELECT INBOX",) if username else (b"a CREATE Box", append, b"c SELECT INBOX")
    for text in texts:
        assert b" OK" in b"".join(pump.feed(text + b"\r\n"))
    return pump


@settings(max_examples=300, deadline=None)
@given(st.lists(_LINE, min_size=1, max_size=12))
def test_every_line_is_answered_and_nothing_breaks(lines: list[tuple[bytes, list[bytes]]]) -> None:
    forget_all()
    sink = ListSink()
    pump = session(sink)
    try:
        for number, (name, words) in enumerate(lines):
            if pump.closed:
                break
            tag = b"t%d" % number
            answer = b"".join(pump.feed(tag + b" " + name + b" " + b" ".join(words) + b"\r\n"))
            assert pump.closed or b"\r\n" + tag + b" " in b"\r\n" + answer, (words, answer)
            assert b"SERVERBUG" not in answer, (name, words, sink.lines)
        assert not sink.lines
    finally:
        pump.close()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), _GOOD), min_size=1, max_size=15))
def test_two_sessions_agree_on_good_lines(lines: list[tuple[int, bytes]]) -> None:
    """Each session counts its messages by what it is told; the count is what the server means."""
    forget_all()
    sink = ListSink()
    first = session(sink)
    second = session(sink, first.session.username)
    exists = [3, 3]
    try:
        for number, (who, line) in enumerate(lines):
            pump = (first, second)[who]
            answer = b"".join(pump.feed(b"t%d %b\r\n" % (number, line)))
            assert b"SERVERBUG" not in answer, (line, sink.lines)
            for told in re.findall(rb"(?m)^\* (\d+) (EXISTS|EXPUNGE)\r$", answer):
                exists[who] = int(told[0]) if told[1] == b"EXISTS" else exists[who] - 1
            if pump.session.view is not None:
                assert len(pump.session.view.uids) == exists[who], (line, answer)
        assert not sink.lines
    finally:
        first.close()
        second.close()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20))
def test_binary_noise(pieces: list[bytes]) -> None:
    forget_all()
    sink = ListSink()
    pump = session(sink)
    try:
        for piece in pieces:
            if pump.closed:
                break
            b"".join(pump.feed(piece))
        assert not sink.lines
    finally:
        pump.close()

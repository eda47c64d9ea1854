"""Files and settings with anything in them: an answer or a text for the log, never an exception."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pydovecot.authdb import extra, networks
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.entry import NameFilter
from pydovecot.authdb.log import DbLog, LogRules
from pydovecot.authdb.passdb.passwd_file import PasswdFilePassdb
from pydovecot.authdb.passwd_file import PasswdFiles
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.authdb.userdb.passwd_file import PasswdFileUserdb
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.password import schemes
from pydovecot.proto.auth.client import ClientCore
from pydovecot.proto.auth.lines import BadLine, LineBuffer

LOG = DbLog(Event(ListSink()), "passwd-file", LogRules(verbose=True))
LINE = st.lists(
    st.binary(max_size=20) | st.sampled_from([b"alice", b"{PLAIN}x", b"1000", b"a=b c"]), max_size=10
)


@given(st.lists(LINE.map(b":".join), max_size=8), st.booleans())
@settings(max_examples=80, deadline=None)
def test_passwd_files(lines: list[bytes], userdb: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "users"
        path.write_bytes(b"\n".join(lines))
        world = DriverWorld(PasswdFiles(Event(ListSink())))
        request = AuthRequest(user="alice", original_user="alice")
        names = [line.split(b":")[0] for line in b"\n".join(lines).split(b"\n")]
        there = b"alice" in names
        if userdb:
            result = PasswdFileUserdb(str(path), world).lookup(request, LOG)
            assert result in (UserResult.OK, UserResult.UNKNOWN)
            assert there or result is UserResult.UNKNOWN
        else:
            found = PasswdFilePassdb(str(path), world).lookup(request, LOG)
            assert found is (Result.OK if there else Result.UNKNOWN)


@given(st.binary(max_size=80), st.text(max_size=20))
@settings(deadline=None)
def test_stored_passwords(stored: bytes, default: str) -> None:
    parsed = schemes.parse(stored, default)
    if parsed.scheme in ("PBKDF2", "SCRAM-SHA-1", "SCRAM-SHA-256"):
        return  # their rounds may be many
    try:
        assert schemes.verify(parsed, b"\xffno such password", "u") is False
    except schemes.BadHash as exc:
        assert str(exc)


@given(st.text(max_size=60), st.text(max_size=20))
def test_networks_filters_and_fields(text: str, name: str) -> None:
    allowed, _bad = networks.matches("192.0.2.1", text)
    assert isinstance(allowed, bool)
    assert isinstance(NameFilter.of(text).accepts(name), bool)
    request = AuthRequest(user="u")
    extra.apply_all(request, extra.split_words(text), "PLAIN", LOG)
    assert "\n" not in request.extra.wire() and "\0" not in request.extra.wire()


@given(st.lists(st.binary(max_size=50), max_size=30), st.integers(2, 60))
def test_line_buffer_is_the_same_as_splitting(pieces: list[bytes], limit: int) -> None:
    buffer, lines = LineBuffer(limit), list[bytes]()
    whole = b"".join(pieces)
    try:
        for piece in pieces:
            lines += buffer.feed(piece)
    except BadLine:
        assert max(map(len, whole.split(b"\n"))) >= limit
    else:
        assert lines == whole.split(b"\n")[:-1]


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_a_login_process_survives_any_auth_process(lines: list[bytes]) -> None:
    core = ClientCore()
    try:
        core.feed(b"VERSION\t1\t2\nSPID\t1\nCUID\t1\nCOOKIE\t" + b"00" * 16 + b"\nDONE\n")
        assert core.ready
        for reply in core.feed(b"\n".join(lines) + b"\n"):
            assert reply.status.value in ("OK", "CONT", "FAIL")
    except BadLine as exc:
        assert str(exc)

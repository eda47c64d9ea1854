"""driver = python: the example of the documentation, and functions that misbehave."""

import importlib.util
from pathlib import Path

import pytest

from pydovecot.authdb.driver import DriverWorld, ListFailed
from pydovecot.authdb.log import DbLog, LogRules
from pydovecot.authdb.passdb.python import PythonPassdb
from pydovecot.authdb.passwd_file import PasswdFiles
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.authdb.userdb.python import PythonUserdb
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.password import schemes
from pydovecot.password.secret import Secret

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "users.py"
SINK = ListSink()
WORLD = DriverWorld(PasswdFiles(Event(SINK)))
LOG = DbLog(Event(SINK), "python", LogRules(verbose=True))


def own(folder: Path, body: str) -> str:
    path = folder / "own.py"
    path.write_text(body)
    return f"{path}:find"


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    users = tmp_path / "users.txt"
    users.write_text("# name password uid\nalice {PLAIN}wonder 1000\nbob builder 1001\n")
    copy = tmp_path / "users.py"
    copy.write_text(EXAMPLE.read_text().replace("/etc/dovecot/users.txt", str(users)))
    request = AuthRequest(user="alice")
    assert PythonPassdb(f"{copy}:lookup", WORLD).lookup(request, LOG) is Result.OK
    assert request.stored is not None and schemes.verify(request.stored, b"wonder", "alice")
    userdb = PythonUserdb(f"{copy}:lookup", WORLD)
    assert userdb.lookup(request, LOG) is UserResult.OK
    assert dict(request.userdb_fields())["home"] == "/srv/mail/alice"
    assert list(userdb.users()) == ["alice", "bob"]
    assert PythonPassdb(f"{copy}:lookup", WORLD).lookup(AuthRequest(user="eve"), LOG) is Result.UNKNOWN


def test_the_example_is_a_module() -> None:
    spec = importlib.util.spec_from_file_location("example_users", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.lookup)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("def find(user): raise RuntimeError('no database')", "find failed: RuntimeError: no database"),
        ("def find(user): return 7", "find failed: gave int instead of a mapping or None"),
        ("def find(): return {}", "find failed: TypeError"),
        ("def find(user): return dict.fromkeys(map(str, range(2000)), 'x')", "find failed: gave more than"),
        ("import sys\ndef find(user): return user.password", "find failed: AttributeError"),
    ],
)
def test_a_broken_function_lets_nobody_in(tmp_path: Path, body: str, text: str) -> None:
    SINK.lines.clear()
    args = own(tmp_path, body)
    assert PythonPassdb(args, WORLD).lookup(AuthRequest(user="a"), LOG) is Result.INTERNAL
    assert PythonUserdb(args, WORLD).lookup(AuthRequest(user="a"), LOG) is UserResult.INTERNAL
    assert len(SINK.lines) == 2 and all(text in line[1] for line in SINK.lines)


def test_no_password_is_no_empty_password(tmp_path: Path) -> None:
    args = own(tmp_path, "def find(user): return {'password': None, 'uid': 5}")
    assert PythonPassdb(args, WORLD).lookup(AuthRequest(user="a"), LOG) is Result.MISMATCH


def test_fields_of_all_kinds(tmp_path: Path) -> None:
    fields = "{'nopassword': True, 'a': 5, 'b': b'x', 'c': False, 'd': None}"
    args = own(tmp_path, f"def find(user): return {fields}")
    request = AuthRequest(user="a")
    assert PythonPassdb(args, WORLD).lookup(request, LOG) is Result.OK
    assert dict(request.extra) == {"nopassword": "", "a": "5", "b": "x"}


def test_the_function_never_sees_the_password(tmp_path: Path) -> None:
    args = own(tmp_path, "def find(user): return {'nopassword': True, 'seen': repr(user)}")
    request = AuthRequest(user="a", password=Secret(b"hush"))
    assert PythonPassdb(args, WORLD).lookup(request, LOG) is Result.OK
    assert "hush" not in str(dict(request.extra))


def test_listing_that_fails(tmp_path: Path) -> None:
    body = "def find(user): return {}\ndef users(): raise OSError('gone')\nfind.users = users"
    with pytest.raises(ListFailed, match="OSError: gone"):
        PythonUserdb(own(tmp_path, body), WORLD).users()

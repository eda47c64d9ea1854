"""Every passdb and userdb driver keeps the same promises; every mechanism too."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydovecot.authdb import libpam, registry
from pydovecot.authdb.driver import DriverWorld, Passdb, Userdb
from pydovecot.authdb.log import DbLog, LogRules
from pydovecot.authdb.passwd_file import PasswdFiles
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.password.secret import Secret
from pydovecot.sasl.mechanism import BecomeAnonymous, Challenge, Failure, SaslContext, SetUser, Success
from pydovecot.sasl.registry import MECHANISMS

SINK = ListSink()
WORLD = DriverWorld(PasswdFiles(Event(SINK)))
ODD_NAMES = ["", "nobody-of-that-name", "a:b", "../etc/passwd", "\udcff\udcfe", "x" * 5000, "a\0b", "ü", "%u"]
FINDS_EVERYBODY = {"static"}


def log(name: str) -> DbLog:
    return DbLog(Event(SINK), name, LogRules(verbose=True, debug=True))


def args_of(driver: str, folder: Path) -> str:
    users = folder / "users"
    users.write_text("alice:{PLAIN}secret:1000:1000::/h/alice::\n")
    database = folder / "users.sqlite"
    if not database.exists():
        connection = apsw.Connection(str(database))
        connection.execute("CREATE TABLE users (username, domain, password, home, uid, gid)")
        connection.execute("INSERT INTO users VALUES ('alice', '', '{PLAIN}secret', '/h/alice', 1000, 1000)")
        connection.close()
    (folder / "sql.conf").write_text(f"driver = sqlite\nconnect = {database}\n")
    (folder / "own.py").write_text(
        "def find(user):\n    return {'password': 'secret', 'uid': 1000} if user.user == 'alice' else None\n"
    )
    return {
        "sql": str(folder / "sql.conf"),
        "python": f"{folder}/own.py:find",
        "static": "password=secret uid=1000",
        "passwd-file": str(users),
        "passwd": "",
        "shadow": "",
        "pam": "pydovecot-no-such-service",
        "prefetch": "",
    }[driver]


# PAM delays each refusal by seconds: one real one is enough.
PASSDB_CASES = [
    (driver, user) for driver in sorted(registry.PASSDBS) if driver != "pam" for user in ODD_NAMES
]


@pytest.mark.parametrize(("driver", "user"), [*PASSDB_CASES, ("pam", ""), ("pam", "a\0b")])
def test_a_passdb_never_raises_and_never_lets_strangers_in(driver: str, user: str, tmp_path: Path) -> None:
    if driver == "pam" and not libpam.available():
        pytest.skip("this system has no PAM (libpam.so.0)")
    db: Passdb = registry.PASSDBS[driver](args_of(driver, tmp_path), WORLD)
    assert db.driver == driver
    request = AuthRequest(user=user, original_user=user, service="imap", mech="PLAIN")
    if db.can_lookup:
        result = db.lookup(request, log(driver))
        expected = {Result.OK} if driver in FINDS_EVERYBODY else {Result.UNKNOWN}
        assert result in expected
        assert (result is Result.OK) == (request.stored is not None)
    else:
        assert db.verify(request, Secret(b"x"), log(driver)) in (
            Result.MISMATCH, Result.UNKNOWN, Result.INTERNAL,
        )  # fmt: skip


@pytest.mark.parametrize("driver", sorted(registry.USERDBS))
@pytest.mark.parametrize("user", ODD_NAMES)
def test_a_userdb_never_raises(driver: str, user: str, tmp_path: Path) -> None:
    db: Userdb = registry.USERDBS[driver](args_of(driver, tmp_path), WORLD)
    assert db.driver == driver
    request = AuthRequest(user=user, userdb_lookup=True)
    result = db.lookup(request, log(driver))
    assert result is (UserResult.OK if driver in FINDS_EVERYBODY else UserResult.UNKNOWN)
    names = db.users()
    assert all(isinstance(name, str) and name for name in names)


def test_root_is_found_but_listed_nowhere(tmp_path: Path) -> None:
    db = registry.USERDBS["passwd"]("", WORLD)
    request = AuthRequest(user="root")
    assert db.lookup(request, log("passwd")) is UserResult.OK
    assert dict(request.userdb_fields())["uid"] == "0"
    assert "root" not in list(db.users())


CONTEXT = SaslContext("host", 1, 2, 3, lambda: 4.0, os.urandom)
MESSAGES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"\0", b"\0\0", b"a\0b\0c", b"\0alice\0secret", b"alice " + b"0" * 32]),
)


@pytest.mark.parametrize("name", sorted(MECHANISMS))
@given(initial=st.none() | MESSAGES, answers=st.lists(MESSAGES, max_size=4), accepts=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_mechanism_ends_whatever_is_said(
    name: str, initial: bytes | None, answers: list[bytes], accepts: bool
) -> None:
    conversation = MECHANISMS[name].run(CONTEXT, initial)
    value: Any = None
    said = iter(answers)
    for _ in range(20):
        try:
            step = conversation.send(value)
        except StopIteration as stop:
            assert isinstance(stop.value, Success | Failure)
            if not accepts and name != "ANONYMOUS":
                assert isinstance(stop.value, Failure)
            return
        if isinstance(step, Challenge):
            value = next(said, b"")
        elif isinstance(step, SetUser | BecomeAnonymous):
            value = True
        else:
            value = False if type(step).__name__ == "VerifyPlain" else None
            if accepts:
                value = True if type(step).__name__ == "VerifyPlain" else ("PLAIN", b"secret")
    raise AssertionError(f"{name} does not end")


def test_the_registries_name_their_drivers() -> None:
    makers: list[tuple[str, Callable[..., Any]]] = [*registry.PASSDBS.items(), *registry.USERDBS.items()]
    for name, factory in makers:
        assert factory.driver == name  # type: ignore[attr-defined]
    assert all(name == mechanism.name for name, mechanism in MECHANISMS.items())

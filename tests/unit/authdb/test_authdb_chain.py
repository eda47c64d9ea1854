"""Rules between databases: success, failure, internal failure, skip, master, and the cache."""

import json
from pathlib import Path

import pytest

from pydovecot.authdb.database import Database
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.password.secret import Secret
from pydovecot.settings.memory import MemoryView
from tests.support.authlab import view_of


class Lab:
    """A database of a configuration, a clock, and the log."""

    def __init__(self, conf: str) -> None:
        self.sink = ListSink()
        self.time = 1000.0
        view = view_of("auth_verbose = yes\n" + conf)
        self.db = Database(view, Event(self.sink), workers=False, now=lambda: self.time)

    @property
    def log(self) -> str:
        return "\n".join(text for _level, text in self.sink.lines)

    def verify(self, user: str, password: str = "x", **fields: str) -> tuple[Result, AuthRequest]:
        request = AuthRequest(service="imap", mech="PLAIN", **fields)
        assert self.db.names.set_user(request, user) is None
        return run(self.db.passdbs.verify(request, Secret(password.encode()))), request

    def user(self, name: str) -> tuple[UserResult, dict[str, str]]:
        request = AuthRequest(service="lmtp", userdb_lookup=True)
        assert self.db.names.set_user(request, name) is None
        result = run(self.db.userdbs.lookup(request))
        return result, dict(request.userdb_fields())


def run(steps):  # type: ignore[no-untyped-def]
    """A lookup without workers never yields."""
    with pytest.raises(StopIteration) as stop:
        next(steps)
    return stop.value.value


def passdb(**keys: str) -> str:
    keys = {"driver": "static", **keys}
    return "passdb {\n" + "".join(f"  {key} = {value}\n" for key, value in keys.items()) + "}\n"


def userdb(**keys: str) -> str:
    return passdb(**keys).replace("passdb {", "userdb {")


RIGHT, WRONG, BROKEN = (
    {"args": "password=x"},
    {"args": "password=y"},
    {"driver": "passwd-file", "args": "/none"},
)


@pytest.mark.parametrize(
    ("conf", "result"),
    [
        (passdb(**RIGHT), Result.OK),
        (passdb(**WRONG), Result.MISMATCH),
        (passdb(**BROKEN), Result.INTERNAL),
        (passdb(**WRONG) + passdb(**RIGHT), Result.OK),
        (passdb(**RIGHT) + passdb(**WRONG), Result.OK),
        (passdb(**BROKEN) + passdb(**RIGHT), Result.OK),
        (passdb(**BROKEN) + passdb(**WRONG), Result.INTERNAL),
        (passdb(**BROKEN, result_internalfail="return-fail"), Result.INTERNAL),
        (passdb(**WRONG, result_failure="return-fail") + passdb(**RIGHT), Result.MISMATCH),
        (passdb(**WRONG, result_failure="return") + passdb(**RIGHT), Result.MISMATCH),
        (passdb(**RIGHT, result_success="return-fail") + passdb(**RIGHT), Result.MISMATCH),
        (passdb(**RIGHT, result_success="continue-ok") + passdb(**WRONG), Result.OK),
        (passdb(**RIGHT, result_success="continue-ok") + passdb(**BROKEN), Result.OK),
        (passdb(**RIGHT, result_success="continue") + passdb(**WRONG), Result.OK),
        (
            passdb(**RIGHT, result_success="continue-fail") + passdb(**WRONG, result_success="continue"),
            Result.MISMATCH,
        ),
        (passdb(**WRONG, result_failure="continue-ok"), Result.OK),
        (passdb(**RIGHT, skip="authenticated") + passdb(**WRONG), Result.OK),
        (passdb(**RIGHT, skip="unauthenticated"), Result.INTERNAL),
        (passdb(**RIGHT, result_success="continue") + passdb(**RIGHT, skip="unauthenticated"), Result.OK),
        (passdb(**RIGHT, mechanisms="login cram-md5"), Result.INTERNAL),
        (passdb(**RIGHT, mechanisms="login, plain"), Result.OK),
        (passdb(**RIGHT, username_filter="b* *e"), Result.OK),
        (passdb(**RIGHT, username_filter="!a*") + passdb(**WRONG), Result.MISMATCH),
        (passdb(args="nopassword=y noauthenticate=y foo=1"), Result.INTERNAL),
        (passdb(args="nopassword=y"), Result.OK),
        (passdb(args="nopassword=y fail=y"), Result.UNKNOWN),
        (passdb(**RIGHT, deny="yes"), Result.DISABLED),
        (passdb(**BROKEN, deny="yes") + passdb(**RIGHT), Result.INTERNAL),
        (passdb(args="password_noscheme={SHA}x"), Result.MISMATCH),
        (passdb(args="foo=bar"), Result.MISMATCH),
    ],
)
def test_rules(conf: str, result: Result) -> None:
    lab = Lab(conf)
    assert lab.verify("alice")[0] is result, lab.log


def test_fields_of_a_failed_passdb_do_not_stay() -> None:
    conf = passdb(args="password=y lost=1 userdb_lost=1") + passdb(args="password=x kept=%u userdb_home=/h")
    result, request = Lab(conf).verify("alice")
    assert result is Result.OK
    assert dict(request.extra) == {"kept": "alice", "userdb_home": "/h"}
    assert dict(request.userdb_fields()) == {"home": "/h"}


def test_a_verified_password_is_not_asked_for_again_and_fields_add_up() -> None:
    conf = passdb(args="password=x a=1", result_success="continue") + passdb(args="password=y b=2")
    result, request = Lab(conf).verify("alice")
    assert result is Result.OK
    assert request.extra.visible() == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("args", "user"),
    [
        ("user=bob", "bob"),
        ("username=bob", "bob@x.org"),
        ("domain=y.org", "alice@y.org"),
        ("user=", "alice@x.org"),
    ],
)
def test_a_passdb_may_change_the_user(args: str, user: str) -> None:
    result, request = Lab(passdb(args="nopassword=y " + args)).verify("alice@x.org")
    assert (result, request.user) == (Result.OK, user)


@pytest.mark.parametrize(
    ("nets", "rip", "good"),
    [
        ("10.0.0.0/8", "10.2.3.4", True),
        ("10.0.0.0/8,2001:db8::/32", "2001:db8::1", True),
        ("10.0.0.0/8", "11.2.3.4", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.2.3.4", True),
        ("local", "", True),
        ("local", "127.0.0.1", False),
        ("10.0.0.0/8", "", False),
        ("nonsense", "10.1.1.1", False),
    ],
)
def test_allow_nets(nets: str, rip: str, good: bool) -> None:
    lab = Lab(passdb(args=f"password=x allow_nets={nets}"))
    assert (lab.verify("alice", rip=rip)[0] is Result.OK) is good
    assert ("allow_nets" in lab.log) is not good


def test_master_users(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice:{PLAIN}x::::::\n")
    conf = "auth_master_user_separator = *\n" + passdb(args="password=m", master="yes", **{"pass": "yes"})
    conf += passdb(driver="passwd-file", args=str(users))
    lab = Lab(conf)
    result, request = lab.verify("alice*boss", "m")
    assert (result, request.user, request.master_user) == (Result.OK, "alice", "boss")
    assert lab.verify("alice*boss", "x")[0] is Result.MISMATCH
    result, request = lab.verify("nobody*boss", "m")
    assert (result, request.user, request.master_user) == (Result.UNKNOWN, "nobody", "boss")
    without = Lab("auth_master_user_separator = *\n" + passdb(**RIGHT))
    refused = "Master user login attempted without master passdbs"
    assert without.db.names.set_user(AuthRequest(), "a*b") == refused
    assert without.verify("alice", "x", requested_login_user="bob")[0] is Result.UNKNOWN


USER_A, USER_B = {"args": "uid=1 home=/a allow_all_users=yes"}, {"args": "uid=2 home=/b allow_all_users=yes"}


@pytest.mark.parametrize(
    ("conf", "result", "home"),
    [
        ("", UserResult.OK, None),
        (userdb(**USER_A) + userdb(**USER_B), UserResult.OK, "/a"),
        (userdb(**USER_A, result_success="continue-ok") + userdb(**USER_B), UserResult.OK, "/b"),
        (
            userdb(**USER_A, result_success="continue-ok") + userdb(**USER_B, skip="found"),
            UserResult.OK,
            "/a",
        ),
        (userdb(**USER_A, skip="notfound") + userdb(**USER_B), UserResult.OK, "/a"),  # the first is asked
        (userdb(**BROKEN) + userdb(**USER_B), UserResult.OK, "/b"),
        (userdb(**BROKEN), UserResult.INTERNAL, None),
        (userdb(**USER_A, result_success="return-fail") + userdb(**USER_B), UserResult.UNKNOWN, "/a"),
        (userdb(driver="prefetch") + userdb(**USER_B), UserResult.OK, "/b"),
        (userdb(driver="prefetch"), UserResult.INTERNAL, None),
        (userdb(**USER_A, override_fields="home=/o/%u"), UserResult.OK, "/o/alice"),
        (userdb(args="allow_all_users=yes uid=3", default_fields="home=/d"), UserResult.OK, "/d"),
        (userdb(args="allow_all_users=yes tempfail=y"), UserResult.INTERNAL, None),
        (userdb(args="home=/a"), UserResult.OK, "/a"),
    ],
)
def test_userdb_rules(conf: str, result: UserResult, home: str | None) -> None:
    lab = Lab(passdb(**RIGHT) + conf)
    found, fields = lab.user("alice")
    assert (found, fields.get("home")) == (result, home), lab.log


def test_static_userdb_asks_the_passdbs_who_exists(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice:{PLAIN}x::::::\n")
    lab = Lab(passdb(driver="passwd-file", args=str(users)) + userdb(args="home=/h"))
    assert lab.user("alice")[0] is UserResult.OK
    assert lab.user("bob")[0] is UserResult.UNKNOWN
    lab = Lab(passdb(driver="pam") + userdb(args="home=/h"))
    assert lab.user("alice")[0] is UserResult.INTERNAL
    assert "passdb doesn't support lookups, can't verify user's existence" in lab.log


def test_a_passwd_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice:{PLAIN}x::::::\nalice:{PLAIN}y::::::\n#bob:{PLAIN}x\n")
    lab = Lab(passdb(driver="passwd-file", args=str(users)))
    assert lab.verify("alice")[0] is Result.OK
    assert "User alice exists more than once" in lab.log
    users.write_text("alice:{PLAIN}new::::::\n")
    assert lab.verify("alice", "new")[0] is Result.OK
    users.unlink()
    assert lab.verify("alice", "new")[0] is Result.INTERNAL
    assert "No such file or directory" in lab.log


def test_passwd_file_arguments_and_old_formats(tmp_path: Path) -> None:
    folder = tmp_path / "x.org"
    folder.mkdir()
    (folder / "users").write_text(
        "alice:78\nbob:9dd4e461268c8034f5c8564e155c67a6[34]:5:6::/home/bob:::maildir:/var/mail/bob\n"
    )
    args = f"scheme=PLAIN.HEX username_format=%n {tmp_path}/%d/users"
    lab = Lab(passdb(driver="passwd-file", args=args) + userdb(driver="passwd-file", args=args))
    assert lab.verify("alice@x.org")[0] is Result.OK
    assert lab.verify("bob@x.org")[0] is Result.OK
    assert lab.verify("alice@y.org")[0] is Result.UNKNOWN
    assert lab.user("bob@x.org") == (
        UserResult.OK, {"uid": "5", "gid": "6", "home": "/home/bob", "mail": "maildir:/var/mail/bob"}
    )  # fmt: skip


CACHE = "auth_cache_size = 1M\nauth_cache_ttl = 100 s\nauth_cache_negative_ttl = 50 s\n"


FUNCTIONS = """\
import json, pathlib
FILE = pathlib.Path(__file__).with_name("users")
def fields(name, what):
    users = json.loads(FILE.read_text())
    return users[name].get(what) if name in users else None
def password(user):
    return fields(user.user, "passdb")
def home(user):
    return fields(user.user, "userdb")
"""


def write(users: Path, name: str, password: str, home: str = "/a", **more: str) -> None:
    """The only user that there is."""
    one = {"passdb": {"password": password, **more}, "userdb": {"uid": 1, "home": home}}
    users.write_text(json.dumps({name: one}))


def cached_lab(tmp_path: Path, conf: str = CACHE) -> tuple[Lab, Path]:
    """Databases that may be cached: functions that read a file each time."""
    users, functions = tmp_path / "users", tmp_path / "functions.py"
    functions.write_text(FUNCTIONS)
    write(users, "alice", "x", colour="blue", userdb_mail="m")
    conf += passdb(driver="python", args=f"{functions}:password cache_key=%u")
    return Lab(conf + userdb(driver="python", args=f"{functions}:home cache_key=%u")), users


def test_cache_answers_until_its_time_is_over(tmp_path: Path) -> None:
    lab, users = cached_lab(tmp_path)
    assert lab.verify("alice")[0] is Result.OK
    assert lab.user("alice")[1]["home"] == "/a"
    write(users, "alice", "new", "/b")
    result, request = lab.verify("alice")
    assert (result, request.extra.get("colour")) == (Result.OK, "blue")
    assert lab.user("alice")[1]["home"] == "/a"
    lab.time += 101
    assert lab.verify("alice")[0] is Result.MISMATCH
    assert lab.user("alice")[1]["home"] == "/b"


def test_a_mismatch_after_a_success_asks_the_database(tmp_path: Path) -> None:
    lab, users = cached_lab(tmp_path)
    assert lab.verify("alice")[0] is Result.OK
    write(users, "alice", "new", "/b")
    assert lab.verify("alice", "new")[0] is Result.OK, "the password was changed"
    assert lab.verify("alice", "x")[0] is Result.MISMATCH


def test_unknown_users_are_remembered_for_a_shorter_time(tmp_path: Path) -> None:
    lab, users = cached_lab(tmp_path)
    assert lab.verify("bob")[0] is Result.UNKNOWN
    write(users, "bob", "x", "/b")
    assert lab.verify("bob")[0] is Result.UNKNOWN
    lab.time += 51
    assert lab.verify("bob")[0] is Result.OK


def test_cache_survives_a_failing_database(tmp_path: Path) -> None:
    lab, users = cached_lab(tmp_path)
    assert lab.verify("alice")[0] is Result.OK
    assert lab.user("alice")[0] is UserResult.OK
    users.unlink()
    lab.time += 1000
    assert lab.verify("alice")[0] is Result.OK
    assert lab.verify("alice", "bad")[0] is Result.INTERNAL
    assert lab.user("alice")[0] is UserResult.OK
    assert lab.verify("carol")[0] is Result.INTERNAL


def test_cache_flush(tmp_path: Path) -> None:
    lab, _users = cached_lab(tmp_path)
    lab.verify("alice")
    lab.verify("bob")
    assert lab.db.cache.flush(frozenset({"bob"})) == 1
    assert lab.db.cache.flush() == 1
    assert lab.db.cache.flush() == 0


def test_cache_is_bounded(tmp_path: Path) -> None:
    lab, users = cached_lab(tmp_path, "auth_cache_size = 3k\n")
    users.write_text(json.dumps({f"u{n}": {"passdb": {"password": "x"}} for n in range(50)}))
    for number in range(50):
        assert lab.verify(f"u{number}")[0] is Result.OK
    assert 5 < lab.db.cache.flush() < 12


def test_a_file_is_not_cached(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice:{PLAIN}x:1:1::/a::\n")
    conf = passdb(driver="passwd-file", args=str(users)) + userdb(driver="passwd-file", args=str(users))
    lab = Lab(CACHE + conf)
    assert lab.verify("alice")[0] is Result.OK
    assert lab.user("alice")[1]["home"] == "/a"
    users.write_text("alice:{PLAIN}other:1:1::/bb::\n")
    assert lab.verify("alice")[0] is Result.MISMATCH
    assert lab.user("alice")[1]["home"] == "/bb"


def test_settings_view_of_the_tests_is_the_real_one() -> None:
    assert Database(MemoryView({"auth_cache_size": "1k"}), Event(ListSink()), workers=False).cache.enabled


def test_a_missing_passwd_file(tmp_path: Path) -> None:
    """Of a domain that we do not have: unknown. The only one there is: somebody moves it just now."""
    for path, result, user_result in (
        (f"{tmp_path}/%d/users", Result.UNKNOWN, UserResult.UNKNOWN),
        (f"{tmp_path}/users", Result.INTERNAL, UserResult.INTERNAL),
    ):
        lab = Lab(passdb(driver="passwd-file", args=path) + userdb(driver="passwd-file", args=path))
        assert lab.verify("alice@example.org")[0] is result
        request = AuthRequest(service="lmtp", user="alice@example.org", userdb_lookup=True)
        assert run(lab.db.userdbs.lookup(request)) is user_result


def test_login_user_of_a_failing_passdb_counts_for_nobody() -> None:
    lab = Lab(passdb(args="password=y login_user=boss") + passdb(args="password=x"))
    result, request = lab.verify("alice", "x")
    assert (result, request.user, request.master_user) == (Result.OK, "alice", None)
    result, request = lab.verify("alice", "y")
    assert (result, request.user, request.master_user) == (Result.OK, "boss", "alice")

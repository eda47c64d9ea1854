"""The small parts of the master."""

import os
import signal
from pathlib import Path

import pytest

from pydovecot.runtime import instances, master_pid
from pydovecot.runtime.context import Accepted, Context
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.master import checks, rundir
from pydovecot.services.master.executables import find_program
from pydovecot.services.master.exits import Ended
from pydovecot.services.master.loop import Loop
from pydovecot.services.master.parse import ConfigFailedError, Parsing, Reader
from pydovecot.services.master.rundir import StartError
from pydovecot.services.master.spawn import arrange
from pydovecot.settings.master import Configuration, ServiceConfig


def no_client(_context: Context, _accepted: Accepted) -> None:
    raise AssertionError


IMAP = ServiceSpec("imap", Family.ONE_CLIENT, no_client)
WORKER = ServiceSpec("auth-worker", Family.ONE_CLIENT, no_client)
ROLES = {"imap": IMAP, "auth-worker": WORKER}


@pytest.mark.parametrize(
    ("executable", "spec", "argv"),
    [
        ("imap", IMAP, ()),
        ("/usr/lib/dovecot/imap", IMAP, ()),
        ("/opt/libexec/imap postlogin", IMAP, ("postlogin",)),
        ("auth -w", WORKER, ("-w",)),
        ("/usr/local/bin/imap x", None, ("x",)),
    ],
)
def test_executables(executable: str, spec: ServiceSpec | None, argv: tuple[str, ...]) -> None:
    program = find_program(executable, "/opt/libexec", ROLES)
    assert program is not None
    assert (program.spec, program.argv) == (spec, argv)


@pytest.mark.parametrize("executable", ["", "lmtp", "/usr/lib/dovecot/lmtp", "bin/imap"])
def test_dovecots_binaries_are_never_run(executable: str) -> None:
    assert find_program(executable, "/opt/libexec", ROLES) is None


def test_exits_in_dovecots_words() -> None:
    assert Ended(7, 9).describe("imap") == "service(imap): child 7 killed with signal 9"
    assert Ended(7, 11).describe("imap") == "service(imap): child 7 killed with signal 11 (core not dumped)"
    assert Ended(7, 11 | 0x80).describe("x") == "service(x): child 7 killed with signal 11 (core dumped)"
    assert Ended(7, 89 << 8).describe("imap") == "service(imap): child 7 returned error 89 (Fatal failure)"
    assert Ended(7, 1 << 8).describe("imap") == "service(imap): child 7 returned error 1"
    assert "vsz_limit=64 MB" in Ended(7, 83 << 8).describe("imap", 64 * 2**20)
    assert Ended(7, 0).ok


def test_loop_timers_run_in_order() -> None:
    loop, seen = Loop(), list[str]()
    loop.call_later(0.02, lambda: seen.append("late"))
    loop.call_later(0, lambda: seen.append("now"))
    loop.call_later(0.01, lambda: seen.append("never")).cancel()
    loop.call_later(0.03, loop.stop)
    loop.run()
    assert seen == ["now", "late"]


def test_loop_tells_who_sent_a_signal() -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            loop, seen = Loop(), list[str]()
            loop.catch_signals([signal.SIGUSR1], lambda caught: seen.append(caught.sender))
            os.kill(os.getpid(), signal.SIGUSR1)
            loop.once(1)
            status = 0 if seen == [f"by pid={os.getpid()} uid={os.getuid()} code=kill"] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_loop_survives_a_mistake() -> None:
    loop, errors = Loop(), list[Exception]()
    loop.on_error = errors.append
    loop.call_later(0, lambda: 1 // 0)  # type: ignore[arg-type]
    loop.call_later(0.01, loop.stop)
    loop.run()
    assert [type(e) for e in errors] == [ZeroDivisionError]


def test_descriptors_are_arranged(tmp_path: Path) -> None:
    """Sources that stand on each other's targets; everything else closed."""
    for name in "abcd":
        (tmp_path / name).write_text(name)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            fds = [os.open(tmp_path / name, os.O_RDONLY) for name in "abcd"]
            os.dup2(fds[0], 1)
            os.dup2(fds[1], 0)
            arrange([1, 0, fds[2], fds[3], 0])
            read = [os.pread(fd, 5, 0) for fd in range(5)]
            open_fds = set(os.listdir("/proc/self/fd"))
            inheritable = all(os.get_inheritable(fd) for fd in range(5))
            status = 0 if read == [b"a", b"b", b"c", b"d", b"b"] and inheritable else 2
            status = status or (0 if open_fds <= {"0", "1", "2", "3", "4", "5"} else 3)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_instances(tmp_path: Path) -> None:
    state = str(tmp_path)
    instances.record(state, "dovecot", "/run/a", "/etc/a.conf")
    instances.record(state, "other", "/run/b", "/etc/b.conf")
    instances.record(state, "renamed", "/run/a", "/etc/c.conf")
    with (tmp_path / "instances").open("a") as file:
        file.write("nonsense\n\n")
    found = [(i.name, i.base_dir, i.config) for i in instances.read(state)]
    assert found == [("other", "/run/b", "/etc/b.conf"), ("renamed", "/run/a", "/etc/c.conf")]
    assert instances.base_dir_of(state, "other") == "/run/b"
    assert instances.base_dir_of(state, "none") is None


def test_instances_follow_no_link(tmp_path: Path) -> None:
    """The directory is dovecot's, who may have been taken over; root writes there."""
    victim = tmp_path / "victim"
    victim.write_text("kept")
    state = tmp_path / "state"
    state.mkdir()
    for name in ("instances", f"instances.{os.getpid()}", f"instances.tmp.{os.getpid()}"):
        (state / name).symlink_to(victim)
    with pytest.raises(OSError):
        instances.record(str(state), "dovecot", "/run/a", "/etc/a.conf")
    assert victim.read_text() == "kept"


def test_run_directory_refuses_a_full_empty(tmp_path: Path) -> None:
    warnings: list[str] = []
    base = str(tmp_path / "run")
    rundir.prepare(base, "", warnings.append)
    assert warnings == []
    (tmp_path / "run/empty/x").touch()
    with pytest.raises(StartError, match="is not empty: x"):
        rundir.prepare(base, "", warnings.append)


def test_pid_file(tmp_path: Path) -> None:
    base = str(tmp_path)
    rundir.write_pid(base)
    assert master_pid.running_pid(base) == os.getpid()
    rundir.check_not_running(base)  # we ourselves are not another server
    (tmp_path / "master.pid").write_text("999999999\n")
    assert master_pid.running_pid(base) is None
    rundir.remove_pid(base)
    assert (tmp_path / "master.pid").exists()
    (tmp_path / "master.pid").write_text("rubbish")
    assert master_pid.read_pid(base) is None


def plain(**more: object) -> Configuration:
    facts = {"path": "/c", "base_dir": "/b", "state_dir": "/s", "libexec_dir": "/l", "instance_name": "i"}
    return Configuration(**facts, protocols=("imap",), **more)  # type: ignore[arg-type]


class BrokenError(Exception):
    lines = ["first", "second"]


def test_configuration_is_read_in_a_child() -> None:
    def load(path: str) -> Configuration:
        if path == "bad":
            raise BrokenError
        if path == "bug":
            raise ValueError("oops")
        if path == "dead":
            os._exit(3)
        return plain(settings={"pid": str(os.getpid())})

    reader = Reader(load, Configuration.from_json)
    assert int(Parsing(reader, "good", lambda: None).wait().settings["pid"]) != os.getpid()
    without = "The configuration reader died without a word"
    for path, lines in (("bad", ["first", "second"]), ("dead", [without])):
        with pytest.raises(ConfigFailedError) as caught:
            Parsing(reader, path, lambda: None).wait()
        assert caught.value.lines == lines
    with pytest.raises(ConfigFailedError, match="ValueError: oops"):
        Parsing(reader, "bug", lambda: None).wait()


def test_limits_are_checked() -> None:
    services = (
        ServiceConfig("auth", client_limit=50),
        ServiceConfig("imap-login", type="login", process_limit=100, client_limit=10),
    )
    (warning,) = checks.limits(plain(services=services))
    assert warning == "service auth { client_limit=50 } is lower than required under max. load (100)"
    huge = (ServiceConfig("many", client_limit=2**31),)
    (warning,) = checks.limits(plain(services=huge))
    assert warning.startswith("fd limit (ulimit -n) is lower than required under max. load (")
    assert warning.endswith("because of service many { client_limit }")

"""The master with toy services: limits, throttling, deaths, privileges, what a child inherits."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.echo_master import Toys, wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def toys() -> Iterator[Toys]:
    made = Toys()
    yield made
    made.close()


def test_preforking_and_service_count(toys: Toys) -> None:
    limits = {"client_limit": 1, "process_min_avail": 3, "process_limit": 10, "service_count": 2}
    toys.configure(toys.service("one", **limits))
    toys.start()
    wait_until(lambda: len(toys.pids("one")) == 3, "three processes")
    with toys.connect("one") as first, toys.connect("one") as second:
        assert first.ask("who") != second.ask("who")
        wait_until(lambda: len(toys.pids("one")) == 5, "three more with room")
    served = [toys.ask("one", "who") for _ in range(12)]
    assert all(served.count(who) <= 2 for who in served)


def test_service_count_bounds_the_clients_at_once(toys: Toys) -> None:
    toys.configure(toys.service("many", client_limit=1000, service_count=1))
    toys.start()
    with toys.connect("many") as first, toys.connect("many") as second:
        assert first.ask("who") != second.ask("who")
    assert toys.status()["many"][3] == "1"


def test_idle_processes_end(toys: Toys) -> None:
    toys.configure(
        toys.service("one", client_limit=1, idle_kill=1, process_min_avail=1, process_limit=10),
        toys.service("many", client_limit=10, idle_kill=1),
    )
    toys.start()
    talks = [toys.connect("one") for _ in range(4)]
    for talk in talks:
        talk.ask("x")
    toys.ask("many", "x")
    assert len(toys.pids("one")) >= 4
    for talk in talks:
        talk.close()
    wait_until(lambda: len(toys.pids("one")) == 1 and not toys.pids("many"), "idle kill", 15)
    assert toys.ask("many", "x") == "echo x"
    assert "killed" not in toys.log()


def test_throttling(toys: Toys) -> None:
    toys.configure(toys.service("broken", client_limit=1), toys.service("many"))
    toys.start()
    with toys.connect("broken"):
        toys.wait_log("master: Error: service(broken): command startup failed, throttling for 2.000 secs")
        log = toys.log()
        assert "broken: Fatal: RuntimeError: cannot start [" in log
        assert "broken: Fatal: master: service(broken): child " in log
        assert " returned error 89 (Fatal failure)" in log
        assert toys.ask("many", "x") == "echo x"
        assert toys.status()["broken"][4] in ("1", "2")
        toys.wait_log("throttling for 4.000 secs")
    assert toys.log().count("cannot start") == 2


def test_a_role_may_say_itself_why_it_ends(toys: Toys) -> None:
    toys.configure(toys.service("quitter", client_limit=1))
    toys.start()
    with toys.connect("quitter"):
        toys.wait_log("returned error 89 (Fatal failure)")
    lines = [line for line in toys.log().splitlines() if " quitter: " in line]
    assert [line.split("quitter: ", 1)[1].split(" child")[0] for line in lines] == [
        "Fatal: said already",
        "Fatal: master: service(quitter):",
    ]


def test_process_limit(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, process_limit=2))
    toys.start()
    with toys.connect("one") as first, toys.connect("one") as second, toys.connect("one") as third:
        first.ask("x")
        second.ask("x")
        toys.wait_log(
            "master: Warning: service(one): process_limit (2) reached, client connections are being dropped"
        )
        first.close()
        assert third.ask("late") == "echo late"  # waited, was not dropped


def test_login_processes_drop_their_oldest(toys: Toys) -> None:
    toys.configure(toys.service("many", type="login", client_limit=2, process_limit=1, user="nobody"))
    toys.start()
    with toys.connect("many") as first, toys.connect("many") as second, toys.connect("many") as third:
        first.ask("x")
        second.ask("x")
        assert third.ask("y") == "echo y"
        assert first.line() == ""
        assert second.ask("z") == "echo z"
        # And again.
        with toys.connect("many") as fourth, toys.connect("many") as fifth:
            assert fourth.ask("a") == "echo a"
            assert fifth.ask("b") == "echo b"


def test_any_child_may_be_killed(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, process_limit=10), toys.service("many"))
    toys.start()
    with toys.connect("one") as other, toys.connect("many") as shared:
        who, where = other.ask("who"), shared.ask("who")
        assert toys.ask("one", "suicide") == ""
        toys.wait_log("one: Fatal: master: service(one): child ")
        toys.wait_log(" killed with signal 9")
        for name in ("log", "anvil"):
            pid = toys.pids(name)[0]
            os.kill(pid, signal.SIGKILL)
            toys.wait_log(f"service({name}): child {pid} killed with signal 9")
            wait_until(lambda name=name, pid=pid: toys.pids(name) not in ([], [pid]), f"a new {name}")
        with toys.connect("anvil") as counts:
            counts.sock.sendall(b"VERSION\tanvil\t1\t0\nLOOKUP\tx\n")
            assert counts.line() == "0"
        assert other.ask("who") == who
        assert shared.ask("who") == where
        assert other.ask("info") == "echo info"
        toys.wait_log("one: Info: hello from the toy")
    assert toys.log().count("killed with signal 9") == 3


def test_the_dead_keep_their_prefix(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1))
    toys.start()
    with toys.connect("one") as talk:
        talk.ask("prefix")
        toys.wait_log("toy(alice)<1><s>: Info: prefixed")
        talk.ask("suicide")
    toys.wait_log("toy(alice)<1><s>: Fatal: master: service(one): child ")


def test_stderr_of_children_is_logged(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1))
    toys.start()
    toys.ask("one", "stderr")
    toys.wait_log("one: Error: raw text")
    toys.wait_log("one: Error: Traceback (most recent call last): | File x | ValueError: boom")


def test_a_crash_leaves_its_stack_in_the_log(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1))
    toys.start()
    toys.ask("one", "segfault")
    toys.wait_log("one: Fatal: master: service(one): child ")
    toys.wait_log("killed with signal 11")
    (line,) = [line for line in toys.log().splitlines() if "Fatal Python error" in line]
    assert "one: Error: Fatal Python error: Segmentation fault | Current thread" in line
    assert 'echo_roles.py", line' in line


def test_anvil_forgets_the_dead(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, service_count=1))
    toys.start()
    with toys.connect("anvil") as counts, toys.connect("one") as talk:
        pid = talk.ask("who").split()[0]
        counts.sock.sendall(b"VERSION\tanvil\t1\t0\n")
        counts.sock.sendall(f"CONNECT\t{pid}\timap/::1/alice\n".encode())
        assert counts.ask("LOOKUP\timap/::1/alice") == "1"
        os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: counts.ask("LOOKUP\timap/::1/alice") == "0", "anvil to forget")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_privileges(toys: Toys) -> None:
    toys.configure(
        toys.service("many", user="nobody", group="nogroup", extra_groups="mail", chroot="empty"),
        toys.service("one", user="root", client_limit=1),
    )
    toys.start()
    _pid, uid, gid, groups, jail = toys.ask("many", "who").split()
    assert (uid, gid, jail) == ("65534", "65534", "jail")
    assert set(groups.split(",")) == {"8", "65534"}
    assert toys.ask("one", "who").split()[1] == "0"


def test_children_inherit_nothing_else(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1), toys.service("many"))
    toys.start()
    fds = toys.ask("one", "fds").split()
    # 0-6 fixed, 7 the listener, the two of the signal pipe, the client, the directory being listed.
    assert fds == [str(n) for n in range(12)]


def test_custom_executable(toys: Toys, tmp_path: Path) -> None:
    script = toys.root / "script"
    script.write_text("#!/bin/sh\nenv; readlink /proc/self/fd/0 /proc/self/fd/1\nexec sleep 0\n")
    script.write_text(f"#!/bin/sh\n(env; ls -l /proc/$$/fd) >{toys.root}/out 2>&1\nexec sleep 60\n")
    script.chmod(0o755)
    toys.configure(toys.service("prog", str(script), client_limit=7, process_limit=3, service_count=4))
    toys.start()
    with toys.connect("prog"):
        wait_until(lambda: "7 -> socket" in _read(toys.root / "out"), "the program")
    out = _read(toys.root / "out")
    expected = "CLIENT_LIMIT=4 PROCESS_LIMIT=3 SERVICE_COUNT=4 SERVICE_NAME=prog LOG_SERVICE=1 "
    expected += "SOCKET_COUNT=1 "
    expected += f"SOCKET0_SETTINGS=prog DOVECOT_CHILD_PROCESS=1 CONFIG_FILE={toys.run}/config PWD={toys.run}"
    for line in expected.split():
        assert any(got.startswith(line) for got in out.splitlines()), line
    fds = dict(line.split()[-3::2] for line in out.splitlines() if " -> " in line)
    assert fds["0"] == fds["1"] == fds["4"] == "/dev/null" or fds["1"].endswith("/out")
    assert [fds[n].split(":")[0] for n in ("3", "5", "6")] == ["pipe"] * 3
    assert fds["7"].startswith("socket:")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_memory_limit(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, vsz_limit=50 * 2**20))
    toys.start()
    pid = toys.ask("one", "who").split()[0]
    limits = Path(f"/proc/{pid}/limits").read_text()
    row = next(line for line in limits.splitlines() if line.startswith("Max address space"))
    image = int(Path(f"/proc/{toys.process.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    assert abs(int(row.split()[3]) - image - 50 * 2**20) < 20 * 2**20


def test_master_socket(toys: Toys) -> None:
    toys.configure(toys.service("many", client_limit=5), toys.service("one", client_limit=1))
    toys.start()
    with toys.connect("many") as talk:
        talk.ask("x")
        with toys.connect("master") as master:
            assert master.line() == "VERSION\tmaster-server\t1\t0"
            master.sock.sendall(b"VERSION\tmaster-client\t1\t0\nPROCESS-STATUS\tmany\n")
            name, pid, available, total, idle, status, killed = master.line().split("\t")
            assert (name, available, total, idle, killed) == ("many", "4", "1", "0", "0")
            assert int(pid) in toys.pids("many")
            assert abs(int(status) - time.time()) < 60
            assert master.line() == ""
            master.sock.sendall(b"STOP\tone\n")
            assert master.line() == "+"
    assert toys.status()["one"][10] == "y"


NOISE = [b"\0" * 100, b"\xff\xfe\n" * 50, b"A" * 100_000, b"VERSION\t\t\t\n", b"\n\n\n\n", os.urandom(3000)]


@pytest.mark.parametrize("name", ["anvil", "anvil-auth-penalty", "master", "log-errors"])
def test_noise_on_sockets(toys: Toys, name: str) -> None:
    toys.configure(toys.service("many"))
    toys.start()
    before = toys.log().count("\n")
    for noise in NOISE:
        with toys.connect(name) as talk:
            _swallow(talk.sock, noise)
    with toys.connect("anvil") as counts:
        counts.sock.sendall(b"VERSION\tanvil\t1\t0\nLOOKUP\tx\n")
        assert counts.line() == "0"
    assert toys.status()["anvil"][0] == "1"
    time.sleep(0.2)
    assert toys.log().count("\n") - before <= len(NOISE)
    assert "killed" not in toys.log()


def _swallow(sock: socket.socket, noise: bytes) -> None:
    """Send noise and read until the server closes or has nothing to say."""
    sock.settimeout(0.3)
    try:
        sock.sendall(noise)
        while sock.recv(65536):
            pass
    except OSError:
        return



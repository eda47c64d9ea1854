"""The master with toy services: start, stop, reload, log reopening, socket activation, systemd."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydovecot.net import listeners
from pydovecot.settings.master import Listener
from tests.support.echo_master import Toys, wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def toys() -> Iterator[Toys]:
    made = Toys()
    yield made
    made.close()


def test_start_and_stop(toys: Toys) -> None:
    toys.configure(toys.service("many"), toys.service("one", client_limit=1))
    toys.start()
    assert toys.process is not None
    assert (toys.run / "master.pid").read_text() == f"{toys.process.pid}\n"
    assert os.readlink(toys.run / "dovecot.conf") == str(toys.config)
    assert toys.ask("many", "hello") == "echo hello"
    assert toys.ask("one", "hello") == "echo hello"
    assert toys.stop() == 0
    assert not (toys.run / "master.pid").exists()
    assert re.search(r"master: Warning: Killed with signal 15 \(by pid=\d+ uid=\d+ code=kill\)", toys.log())
    assert toys.stderr() == ""
    instance = (toys.root / "state" / "instances").read_text().split("\t")
    assert instance[1:] == ["toys", str(toys.run), f"{toys.config}\n"]


def test_stop_tells_clients(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1))
    toys.start()
    with toys.connect("one") as talk:
        assert talk.ask("a") == "echo a"
        assert toys.stop() == 0
        assert talk.line() == "bye"


def test_second_master_refuses(toys: Toys) -> None:
    toys.configure(toys.service("many"))
    toys.start()
    command = [sys.executable, "-m", "tests.support.echo_roles", str(toys.config)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 89
    assert f"Fatal: Dovecot is already running with PID {toys.process.pid} (read from" in second.stderr
    (toys.run / "master.pid").unlink()
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 89
    assert "Fatal: Dovecot is already running? Socket already exists:" in second.stderr
    assert toys.ask("many", "still") == "echo still"


def test_bad_configuration_at_start(toys: Toys) -> None:
    toys.config.write_text("foo = bar")
    command = [sys.executable, "-m", "tests.support.echo_roles", str(toys.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 89
    assert done.stderr == (
        f"doveconf: Fatal: Error in configuration file {toys.config} line 1: Unknown setting: x\n"
    )


def test_log_that_cannot_be_opened(toys: Toys) -> None:
    toys.settings["log_path"] = str(toys.root / "none" / "log")
    toys.configure(toys.service("many"))
    command = [sys.executable, "-m", "tests.support.echo_roles", str(toys.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 89
    assert done.stderr == f"Fatal: Can't open log file {toys.root}/none/log: No such file or directory\n"


def test_port_in_use(toys: Toys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        toys.configure(
            toys.service("many", listeners=(Listener("inet", "toy", addresses=("127.0.0.1",), port=port),))
        )
        command = [sys.executable, "-m", "tests.support.echo_roles", str(toys.config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 89
    assert done.stderr == (
        f"Error: service(many): listen(127.0.0.1, {port}) failed: Address already in use\n"
        "Fatal: Failed to start listeners\n"
    )
    assert "master: Fatal: Failed to start listeners" in toys.log()


def test_a_killed_master_can_be_started_again(toys: Toys) -> None:
    toys.configure(
        toys.service("one", client_limit=1),
        toys.service("short", "one", client_limit=1, service_count=1),
        toys.service("many"),
    )
    toys.start()
    names = ("one", "short", "many")
    talks = [toys.connect(name) for name in names]
    first = [talk.ask("who") for talk in talks]
    assert toys.process is not None
    toys.process.kill()
    toys.process.wait()
    (toys.root / "log").rename(toys.root / "log.old")
    wait_until(lambda: not listeners.answers(str(toys.run / "log-errors")), "the old log to let go")
    toys.start()
    for talk, name, who in zip(talks, names, first, strict=True):
        assert toys.ask(name, "who") != who
        assert talk.ask("who") == who  # the old session goes on
        talk.close()
    wait_until(lambda: not any(Path(f"/proc/{who.split()[0]}").exists() for who in first), "the old to end")


def test_reload_keeps_clients_and_anvil(toys: Toys) -> None:
    toys.configure(toys.service("many"), toys.service("old", "many"), toys.service("one", client_limit=1))
    toys.start()
    anvil = toys.pids("anvil")
    with toys.connect("one") as talk, toys.connect("anvil") as counts:
        first = talk.ask("who")
        toys.settings["shutdown_clients"] = "no"
        one = toys.service("one", client_limit=1)
        toys.configure(toys.service("many"), toys.service("fresh", "many"), one)
        toys.signal(signal.SIGHUP)
        toys.wait_log("SIGHUP received - reloading configuration")
        wait_until(lambda: (toys.run / "fresh").exists(), "the new listener")
        assert toys.ask("fresh", "x") == "echo x"
        assert not (toys.run / "old").exists()
        # The client of the old process goes on; new clients get a new process.
        assert talk.ask("who") == first
        assert toys.ask("one", "who") != first
        assert toys.pids("anvil") == anvil
        counts.sock.sendall(b"VERSION\tanvil\t1\t0\nLOOKUP\timap/1.2.3.4/alice\n")
        assert counts.line() == "0"
        # anvil's own log lines reach the new log process.
        counts.sock.sendall(b"nonsense\n")
        toys.wait_log("anvil: Error: Anvil client input error: Unknown command: nonsense")
    old = int(first.split()[0])
    wait_until(lambda: not Path(f"/proc/{old}").exists(), "the old process to end")
    assert toys.stop() == 0


def test_bad_reload_changes_nothing(toys: Toys) -> None:
    toys.configure(toys.service("many"))
    toys.start()
    pids = toys.pids("anvil"), toys.pids("log")
    good = toys.config.read_text()
    toys.config.write_text("not json")
    toys.signal(signal.SIGHUP)
    toys.wait_log(
        f"master: Error: Error reading configuration: Error in configuration file {toys.config} line 1: "
    )
    toys.wait_log("the old one stays in use")
    assert toys.ask("many", "x") == "echo x"
    assert (toys.pids("anvil"), toys.pids("log")) == pids
    toys.config.write_text(good)
    toys.signal(signal.SIGHUP)
    wait_until(lambda: toys.pids("log") != pids[1], "the second reload")
    assert toys.ask("many", "x") == "echo x"


def test_reload_with_a_taken_port_changes_nothing(toys: Toys) -> None:
    toys.configure(toys.service("many"))
    toys.start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        inet = Listener("inet", "toy", addresses=("127.0.0.1",), port=port)
        toys.configure(toys.service("many", listeners=(toys.unix("many"), inet)))
        toys.signal(signal.SIGHUP)
        toys.wait_log(f"listen(127.0.0.1, {port}) failed: Address already in use")
        toys.wait_log("the old one stays in use")
        assert toys.ask("many", "x") == "echo x"
    toys.signal(signal.SIGHUP)

    def answers() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, "the port after the next reload")


def test_usr1_reopens_the_log(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, service_count=0))
    toys.start()
    toys.ask("one", "info")
    toys.wait_log("hello from the toy")
    os.rename(toys.root / "log", toys.root / "log.1")
    toys.signal(signal.SIGUSR1)
    wait_until(lambda: (toys.root / "log").exists(), "the new log file")
    toys.ask("one", "info")
    toys.wait_log("one: Info: hello from the toy")
    assert toys.log().count("\n") == 1


def test_log_targets_by_level(toys: Toys) -> None:
    toys.settings["info_log_path"] = str(toys.root / "log")
    toys.settings["log_path"] = str(toys.root / "errors")
    toys.settings["log_timestamp"] = "[%H] "
    toys.configure(toys.service("one", client_limit=1))
    toys.start()
    toys.ask("one", "crash")
    toys.ask("one", "info")
    toys.wait_log("hello from the toy")
    errors = (toys.root / "errors").read_text()
    assert re.search(r"^\[\d\d\] one: Error: client failed: RuntimeError: told to crash \[", errors, re.M)
    assert re.search(r"^\[\d\d\] one: Info: hello", toys.log(), re.M)
    with toys.connect("log-errors") as talk:
        rows = [line.split("\t") for line in iter(talk.line, "")]
    kind, when, prefix, text = rows[-1]
    assert (kind, prefix) == ("error", "one: ")
    assert abs(int(when) - time.time()) < 60
    assert text.startswith("client failed: RuntimeError")


def test_socket_activation(toys: Toys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inet, socket.socket(socket.AF_UNIX) as unix:
        port = inet.getsockname()[1]
        toys.run.mkdir()
        unix.bind(str(toys.run / "many"))
        unix.listen()
        listener = Listener("inet", "toy", addresses=("127.0.0.1",), port=port)
        toys.configure(toys.service("many", listeners=(toys.unix("many"), listener)))
        inode = os.stat(toys.run / "many").st_ino
        code = (
            "import os,sys\n"
            f"os.dup2({inet.fileno()},3); os.dup2({unix.fileno()},4)\n"
            "os.set_inheritable(3,True); os.set_inheritable(4,True)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='2')\n"
            "os.execv(sys.executable,[sys.executable,'-m','tests.support.echo_roles',sys.argv[1]])\n"
        )
        with (toys.root / "stderr").open("wb") as stderr:
            command = [sys.executable, "-c", code, str(toys.config)]
            toys.process = subprocess.Popen(
                command, pass_fds=(inet.fileno(), unix.fileno()), stderr=stderr
            )
    toys.wait_log("starting up")
    assert toys.ask("many", "x") == "echo x"
    assert os.stat(toys.run / "many").st_ino == inode
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(b"y\n")
        assert sock.recv(10) == b"echo y\n"


def test_systemd_is_told(toys: Toys) -> None:
    path = str(toys.root / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(60)
        toys.configure(toys.service("many"))
        toys.start(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
        ready = notify.recv(1000).decode().splitlines()
        assert "READY=1" in ready
        assert f"MAINPID={toys.process.pid}" in ready
        assert notify.recv(100) == b"WATCHDOG=1"
        assert notify.recv(100) == b"WATCHDOG=1"
        toys.signal(signal.SIGHUP)
        seen = []
        while not any(s.startswith("READY=1") for s in seen):
            seen.append(notify.recv(1000).decode())
        assert any(s.startswith("RELOADING=1\nMONOTONIC_USEC=") for s in seen)
        toys.stop()
        rest = b""
        while b"STOPPING=1" not in rest:
            rest = notify.recv(1000)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_run_directory(toys: Toys) -> None:
    toys.configure(toys.service("many", listeners=(toys.unix("login/many", mode=0o666),)))
    toys.start()
    toys.stop()

    def mode(name: str) -> int:
        return stat.S_IMODE(os.stat(toys.run / name).st_mode)

    assert [mode(n) for n in ("", "login", "token-login", "empty")] == [0o755, 0o750, 0o750, 0o755]
    assert [mode(n) for n in ("login/many", "anvil", "master")] == [0o666, 0o600, 0o600]
    os.chmod(toys.run / "login", 0o777)
    (toys.root / "log").unlink()
    toys.start()
    assert mode("login") == 0o750
    assert f"Warning: Corrected permissions for login directory {toys.run}/login" in toys.stderr()
    assert f"master: Warning: Corrected permissions for login directory {toys.run}/login" in toys.log()

"""Templates: processes that end after one client are forked from one that is ready."""

import os
import signal
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


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()


def test_processes_come_from_the_template(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, service_count=1, process_limit=10))
    toys.start()
    with toys.connect("one") as first, toys.connect("one") as second:
        pids = [int(talk.ask("who").split()[0]) for talk in (first, second)]
        assert pids[0] != pids[1]
        assert sorted(toys.pids("one")) == sorted(pids)
        (template,) = {parent(pid) for pid in pids}
        assert title(template) == "pydovecot/template one"
        assert parent(template) == toys.process.pid
        # 7 fixed, the signal pipe, the client, the directory read; no listener: this is its last client.
        assert len(first.ask("fds").split()) == 11
    wait_until(lambda: not toys.pids("one"), "the ends to be told")
    assert toys.status()["one"][11] == "2"


def test_deaths_are_told(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, service_count=1, process_limit=10))
    toys.start()
    assert toys.ask("one", "suicide") == ""
    toys.wait_log("one: Fatal: master: service(one): child ")
    toys.wait_log(" killed with signal 9")
    assert toys.ask("one", "x") == "echo x"


def test_the_template_may_be_killed(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, service_count=1, process_limit=10))
    toys.start()
    with toys.connect("one") as talk, toys.connect("anvil") as counts:
        pid = int(talk.ask("who").split()[0])
        counts.sock.sendall(f"VERSION\tanvil\t1\t0\nCONNECT\t{pid}\tx\n".encode())
        template = parent(pid)
        os.kill(template, signal.SIGKILL)
        toys.wait_log(f"service(one): child {template} killed with signal 9 (template)")
        assert talk.ask("still there") == "echo still there"
        assert toys.ask("one", "x") == "echo x"
        assert toys.pids("one").count(pid) == 1
        # The master has adopted it: its end is known and anvil hears of it.
        assert parent(pid) == toys.process.pid
        os.kill(pid, signal.SIGKILL)
        toys.wait_log(f"service(one): child {pid} killed with signal 9")
        wait_until(lambda: counts.ask("LOOKUP\tx") == "0", "anvil to forget")


def test_a_broken_template_is_throttled(toys: Toys) -> None:
    toys.configure(toys.service("broken", client_limit=1, service_count=1))
    toys.start()
    with toys.connect("broken"):
        toys.wait_log("service(broken): command startup failed, throttling for 2.000 secs")
        toys.wait_log("throttling for 4.000 secs")
    assert toys.log().count("cannot start") == 2


def test_reload_replaces_the_template(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, service_count=1))
    toys.start()
    with toys.connect("one") as talk:
        first = int(talk.ask("who").split()[0])
        template = parent(first)
        toys.signal(signal.SIGHUP)
        wait_until(lambda: not Path(f"/proc/{template}").exists(), "the old template to end")
        assert talk.ask("x") == "echo x"
        second = int(toys.ask("one", "who").split()[0])
        assert second != first
        assert parent(first) == toys.process.pid
    wait_until(lambda: not Path(f"/proc/{first}").exists(), "the old process to end")
    assert "killed" not in toys.log()


def test_many_at_once(toys: Toys) -> None:
    toys.configure(toys.service("one", client_limit=1, service_count=1, process_limit=60))
    toys.start()
    talks = [toys.connect("one") for _ in range(50)]
    assert len({talk.ask("who") for talk in talks}) == 50
    for talk in talks:
        talk.close()
    wait_until(lambda: not toys.pids("one"), "all to end")
    assert toys.status()["one"][11] == "50"
    assert "Error" not in toys.log()

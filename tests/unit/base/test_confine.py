"""What a process can still do behind its own filter: each test in a child of its own."""

import errno
import os
import platform
import re
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pydovecot.base import confine

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def in_child(act: Callable[[], object]) -> str:
    """What `act` says in a process of its own: its result, or the name of the errno that it met."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = repr(act())
        except OSError as exc:
            answer = errno.errorcode[exc.errno or 0]
        except BaseException as exc:  # noqa: BLE001 - the parent tells it
            answer = repr(exc)
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        answer = file.read().decode()
    os.waitpid(pid, 0)
    return answer


def confined(act: Callable[[], object]) -> str:
    """As `in_child`, behind the filter."""

    def all_of_it() -> object:
        if not (confine.no_new_privileges() and confine.only_move_bytes()):
            return "no filter"
        return act()

    answer = in_child(all_of_it)
    if answer == "'no filter'":
        pytest.skip("the kernel has no filter of system calls")
    return answer


def status(name: str) -> str:
    found = re.search(rf"^{name}:\s*(\S+)", Path("/proc/self/status").read_text(), re.M)
    return found[1] if found else ""


def test_no_new_privileges() -> None:
    assert in_child(lambda: (confine.no_new_privileges(), status("NoNewPrivs"))) == "(True, '1')"


@pytest.mark.parametrize(
    "act",
    [
        lambda: os.execv("/bin/true", ["true"]),
        os.fork,
        lambda: os.kill(os.getppid(), 0),
        lambda: os.mkdir("/tmp/never"),
        lambda: os.unlink("/tmp/never"),
        lambda: os.rename("/tmp/never", "/tmp/ever"),
        lambda: os.chmod("/tmp", 0o777),
        lambda: os.chroot("/"),
        lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
        lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    ],
    ids=["execve", "fork", "kill", "mkdir", "unlink", "rename", "chmod", "chroot", "netlink", "packet"],
)
def test_refused(act: Callable[[], object]) -> None:
    assert confined(act) == "EPERM"


def test_what_bytes_need_is_there() -> None:
    def move() -> bytes:
        for family in (socket.AF_INET, socket.AF_UNIX):
            socket.socket(family).close()
        here, there = socket.socketpair()
        here.sendall(b"moved")
        Path("/proc/self/status").read_bytes()
        return there.recv(10)

    assert confined(move) == "b'moved'"


def test_threads_are_no_processes() -> None:
    def work() -> list[int]:
        done: list[int] = []
        thread = threading.Thread(target=lambda: done.append(1))
        thread.start()
        thread.join()
        return done

    assert confined(work) == "[1]"


def test_the_filter_refuses_other_machines_and_other_numbers() -> None:
    """Run by hand, as the kernel would: what the tests above cannot call."""
    machine = confine.MACHINES["x86_64"]
    code = confine.program(machine, pid=77)
    ok, refused = confine.ALLOW, confine.REFUSE | errno.EPERM
    assert run(code, machine.arch, 0) == ok
    assert run(code, 0x40000003, 0) == refused  # i386
    assert run(code, machine.arch, confine.X32 | 1) == refused
    assert run(code, machine.arch, machine.clone3) == confine.REFUSE | errno.ENOSYS
    assert run(code, machine.arch, machine.clone, 0x11) == refused
    assert run(code, machine.arch, machine.clone, confine.CLONE_THREAD | 0x11) == ok
    assert [n for n in range(50) if run(code, machine.arch, machine.socket, n) == ok] == [1, 2, 10]
    assert run(code, machine.arch, machine.tgkill, 77) == ok
    assert run(code, machine.arch, machine.tgkill, 78) == refused
    assert all(run(code, machine.arch, number) == refused for number in machine.refused.values())


def run(code: bytes, arch: int, number: int, first: int = 0) -> int:
    """A machine for the filter's six instructions."""
    data = struct.pack("IIQQ", number, arch, 0, first)
    lines = list(struct.iter_unpack("HBBI", code))
    at, word = 0, 0
    while True:
        what, yes, no, value = lines[at]
        at += 1
        if what == 0x20:
            (word,) = struct.unpack_from("I", data, value)
        elif what == 0x06:
            return int(value)
        else:
            true = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[what]
            at += yes if true else no


@pytest.mark.parametrize("name", HEADERS)
def test_numbers_are_the_kernels(name: str) -> None:
    header = HEADERS[name]
    if not header.exists():
        pytest.skip(f"needs {header}")
    known = {
        found[1]: int(found[2])
        for found in re.finditer(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    }
    machine = confine.MACHINES[name]
    ours = {**machine.refused, "clone": machine.clone, "clone3": machine.clone3}
    ours |= {"socket": machine.socket, "tgkill": machine.tgkill}
    assert {call: known.get(call) for call in ours} == ours


def test_this_machine_is_known() -> None:
    assert platform.machine() in confine.MACHINES

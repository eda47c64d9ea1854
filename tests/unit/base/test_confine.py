"""What a process can still do behind its own filter: each test in a child of its own."""

import errno
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pydovecot.base import confine

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
REFUSED = [
    "os.execv('/bin/true', ['true'])",
    "os.fork()",
    "os.kill(os.getppid(), 0)",
    "os.mkdir('/tmp/never')",
    "os.unlink('/tmp/never')",
    "os.rename('/tmp/never', '/tmp/ever')",
    "os.chmod('/tmp', 0o777)",
    "os.chroot('/')",
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)",
]
PROGRAM = """
import errno, os, socket, threading
from pathlib import Path
from pydovecot.base import confine

def confined():
    if not (confine.no_new_privileges() and confine.only_move_bytes()):
        print("no filter")
        raise SystemExit

{before}
try:
    print({act})
except OSError as exc:
    print(errno.errorcode[exc.errno])
"""


def in_process(act: str, *, before: str = "confined()") -> str:
    """What an expression gives in a process of its own, behind the filter: its result or its errno."""
    words = [sys.executable, "-c", PROGRAM.format(act=act, before=before)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    if done.stdout == "no filter\n":
        pytest.skip("the kernel has no filter of system calls")
    return done.stdout.strip()


def test_no_new_privileges() -> None:
    act = "'NoNewPrivs:\\t1' in Path('/proc/self/status').read_text()"
    assert in_process(act, before="assert confine.no_new_privileges()") == "True"


def test_refused() -> None:
    before = f"""
confined()
said = {{}}
for act in {REFUSED!r}:
    try:
        eval(act)
    except OSError as exc:
        said[act] = errno.errorcode[exc.errno]
"""
    assert in_process("said", before=before) == repr(dict.fromkeys(REFUSED, "EPERM"))


def test_what_bytes_need_is_there() -> None:
    before = """
here, there = socket.socketpair()
confined()
for family in (socket.AF_INET, socket.AF_UNIX):
    socket.socket(family).close()
here.sendall(Path("/proc/self/status").read_bytes()[:5])
"""
    assert in_process("there.recv(10)", before=before) == "b'Name:'"


def test_threads_are_no_processes() -> None:
    before = """
confined()
done = []
thread = threading.Thread(target=lambda: done.append(1))
thread.start()
thread.join()
"""
    assert in_process("done", before=before) == "[1]"


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

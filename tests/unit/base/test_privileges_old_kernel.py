"""Random numbers in a chroot without /dev, on a kernel without getrandom(2) (RHEL 7 before 7.4)."""

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pydovecot.base.privileges import Privileges, drop
from pydovecot.net import tls

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of the call is that of x86_64"),
]
UNAME26 = 0x20000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
GETRANDOM = 318


def without_getrandom() -> None:
    """As on Linux 3.10; libraries look at the number of the kernel as well."""
    rules = struct.pack(
        "HBBIHBBIHBBIHBBI",
        *(0x20, 0, 0, 0),  # load the number of the call
        *(0x15, 0, 1, GETRANDOM),  # another one: skip one
        *(0x06, 0, 0, 0x00050000 | errno.ENOSYS),  # fail
        *(0x06, 0, 0, 0x7FFF0000),  # allow
    )
    code = ctypes.create_string_buffer(rules, len(rules))
    program = struct.pack("HxxxxxxQ", len(rules) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.personality(UNAME26) >= 0
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0
    assert libc.syscall(GETRANDOM, None, 0, 0) == -1


def in_child(work: Callable[[], None]) -> str:
    """What goes wrong with `work` in a process of its own; "" if nothing."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            without_getrandom()
            os.closerange(3, writing)  # as the master does before a role begins
            os.closerange(writing + 1, 256)
            work()
        except BaseException as exc:  # noqa: BLE001 - told to the parent
            os.write(writing, repr(exc).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as said:
        text = said.read().decode()
    assert os.waitpid(pid, 0)[1] == 0
    return text


def test_python_has_some(tmp_path: Path) -> None:
    def work() -> None:
        drop(Privileges(chroot=str(tmp_path)))
        assert len(os.urandom(16)) == 16

    assert in_child(work) == ""


def test_openssl_has_some(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    def work() -> None:
        tls.seed()
        drop(Privileges(chroot=str(tmp_path)))
        ec.generate_private_key(ec.SECP256R1())

    assert in_child(work) == ""


def test_it_is_no_matter_of_course(tmp_path: Path) -> None:
    """The test would see it if nothing was done."""

    def work() -> None:
        os.chroot(tmp_path)
        os.urandom(16)

    assert "urandom" in in_child(work)

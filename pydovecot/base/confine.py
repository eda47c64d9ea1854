"""What a process forbids itself for good, through the kernel: programs that gain rights, and system calls.

seccomp(2) in its raw form, so that no library is needed. A kernel that refuses leaves the process as it is:
both are a second wall behind the user, the chroot and the empty capability set.
"""

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass
from typing import Final

PR_SET_NO_NEW_PRIVS: Final = 38
PR_SET_SECCOMP: Final = 22
SECCOMP_MODE_FILTER: Final = 2
ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000  # the low 16 bits are the errno that the caller sees
CLONE_THREAD: Final = 0x00010000
X32: Final = 0x40000000

# Instructions of classic BPF: load a word, jump, return.
_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
# Where a word is in struct seccomp_data.
_NUMBER: Final = 0
_ARCH: Final = 4
_FIRST: Final = 16

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Machine:
    """The numbers of system calls on one kind of machine; `refused` are refused whatever their arguments."""

    arch: int
    refused: dict[str, int]
    clone: int
    clone3: int
    socket: int
    tgkill: int


# What a process that only moves bytes between sockets never does: start programs, look into other processes,
# change the file system, open ways into the kernel that the rest of the server has no use for.
MACHINES: Final = {
    "x86_64": Machine(
        arch=0xC000003E,
        refused={
            "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "kill": 62, "tkill": 200,
            "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297,
            "pidfd_open": 434, "pidfd_send_signal": 424, "pidfd_getfd": 438,
            "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
            "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
            "mknod": 133, "mknodat": 259, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "unlink": 87,
            "unlinkat": 263, "rename": 82, "renameat": 264, "renameat2": 316, "link": 86, "linkat": 265,
            "symlink": 88, "symlinkat": 266, "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92,
            "fchown": 93, "lchown": 94, "fchownat": 260, "open_by_handle_at": 304,
            "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425,
            "add_key": 248, "request_key": 249, "keyctl": 250,
            "init_module": 175, "finit_module": 313, "kexec_load": 246,
        },
        clone=56, clone3=435, socket=41, tgkill=234,
    ),
    "aarch64": Machine(
        arch=0xC00000B7,
        refused={
            "execve": 221, "execveat": 281, "kill": 129, "tkill": 130,
            "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240,
            "pidfd_open": 434, "pidfd_send_signal": 424, "pidfd_getfd": 438,
            "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
            "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268,
            "mknodat": 33, "mkdirat": 34, "unlinkat": 35, "renameat": 38, "renameat2": 276, "linkat": 37,
            "symlinkat": 36, "fchmod": 52, "fchmodat": 53, "fchown": 55, "fchownat": 54,
            "open_by_handle_at": 265,
            "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "io_uring_setup": 425,
            "add_key": 217, "request_key": 218, "keyctl": 219,
            "init_module": 105, "finit_module": 273, "kexec_load": 104,
        },
        clone=220, clone3=435, socket=198, tgkill=131,
    ),
}  # fmt: skip
FAMILIES: Final = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6


def no_new_privileges() -> bool:
    """From now on no program that we start has more rights than we: setuid bits count no more. prctl(2)."""
    return bool(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def only_move_bytes() -> bool:
    """Refuse (EPERM) what a process has no use for that only moves bytes between sockets.

    Needs `no_new_privileges`. False: this machine or its kernel has no such filter.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return False
    code = program(machine, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the number of instructions, and where they are.
    header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    filter_ = ctypes.create_string_buffer(header, len(header))
    return bool(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0) == 0)


def program(machine: Machine, pid: int) -> bytes:
    """The filter of `only_move_bytes` as instructions."""
    lines: list[tuple[int, int, int, int]] = []

    def say(code: int, value: int, yes: int = 0, no: int = 0) -> None:
        lines.append((code, yes, no, value))

    say(_LOAD, _ARCH)
    say(_EQUAL, machine.arch, yes=1)
    say(_RETURN, REFUSE | errno.EPERM)  # calls of another kind of machine have other numbers
    say(_LOAD, _NUMBER)
    say(_AT_LEAST, X32, no=1)
    say(_RETURN, REFUSE | errno.EPERM)
    for number in sorted(machine.refused.values()):
        say(_EQUAL, number, no=1)
        say(_RETURN, REFUSE | errno.EPERM)
    say(_EQUAL, machine.clone3, no=1)
    say(_RETURN, REFUSE | errno.ENOSYS)  # its flags cannot be seen; the C library tries clone then
    # Threads, but no processes.
    say(_EQUAL, machine.clone, no=4)
    say(_LOAD, _FIRST)
    say(_ANY_BIT, CLONE_THREAD, yes=1)
    say(_RETURN, REFUSE | errno.EPERM)
    say(_RETURN, ALLOW)
    say(_EQUAL, machine.socket, no=3 + len(FAMILIES))
    say(_LOAD, _FIRST)
    for left, family in enumerate(reversed(FAMILIES)):
        say(_EQUAL, family, yes=len(FAMILIES) - left)
    say(_RETURN, REFUSE | errno.EPERM)
    say(_RETURN, ALLOW)
    # Signals to ourselves: abort(3).
    say(_EQUAL, machine.tgkill, no=3)
    say(_LOAD, _FIRST)
    say(_EQUAL, pid, yes=1)
    say(_RETURN, REFUSE | errno.EPERM)
    say(_RETURN, ALLOW)
    return b"".join(struct.pack("HBBI", *line) for line in lines)

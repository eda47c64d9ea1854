"""The code keeps to what Python has on RHEL 7, or has something else in its place.

What is missing there was found by comparing the modules of an interpreter built on glibc 2.17 with those
of one built on 2.36. `make rpm-el7` looks again, on the real one; this is quick.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "pydovecot"
MISSING = {
    "os": """copy_file_range memfd_create MFD_ALLOW_SEALING MFD_CLOEXEC O_TMPFILE RWF_APPEND RWF_DSYNC
        RWF_HIPRI RWF_NOWAIT RWF_SYNC""",
    "socket": """AF_VSOCK IPPROTO_MPTCP IPV6_DONTFRAG IPV6_PATHMTU IPV6_RECVPATHMTU MSG_FASTOPEN
        IP_BIND_ADDRESS_NO_PORT TCP_FASTOPEN TCP_NOTSENT_LOWAT TCP_USER_TIMEOUT""",
    "select": "EPOLLEXCLUSIVE",
    "fcntl": "F_ADD_SEALS F_GET_SEALS F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW",
    "mmap": "MADV_FREE",
    "time": "CLOCK_TAI",
    # Gone in Python 3.13, or not built into the package.
    **dict.fromkeys(["crypt", "spwd", "audioop", "asyncore", "asynchat", "smtpd", "imp", "curses"], "*"),
    **dict.fromkeys(["readline", "nis", "tkinter", "distutils", "venv", "ensurepip", "lib2to3", "cgi"], "*"),
}
# Each of them has its test: tests/unit/base/test_memory_file.py.
HANDLED = {
    ("base/memory_file.py", "os.memfd_create"),
    ("base/memory_file.py", "os.MFD_CLOEXEC"),
}


def uses(text: str) -> Iterator[tuple[str, str]]:
    """(module, name) of everything of these modules that the code names; name * for the module itself."""
    nodes = list(ast.walk(ast.parse(text)))
    modules = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    yield from ((module, "*") for module in modules)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, "*"
            yield from ((node.module, name.name) for name in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(module := node.value, ast.Name):
            yield from [(module.id, node.attr)] if module.id in modules else []


def missing(text: str) -> set[str]:
    return {f"{module}.{name}" for module, name in uses(text) if name in lacking(module)}


def lacking(module: str) -> list[str]:
    return MISSING.get(module.partition(".")[0], "").split()


def test_nothing_is_used_that_old_systems_lack() -> None:
    files = {str(file.relative_to(ROOT)): file.read_text() for file in ROOT.rglob("*.py")}
    found = {(file, name) for file, text in files.items() for name in missing(text)}
    assert found == HANDLED


def test_the_search_finds() -> None:
    assert missing("import os, fcntl\nos.O_TMPFILE | os.O_RDWR\nfcntl.F_OFD_SETLK") == {
        "os.O_TMPFILE",
        "fcntl.F_OFD_SETLK",
    }
    assert missing("from os import memfd_create\nfrom crypt import crypt\nimport spwd") == {
        "os.memfd_create",
        "crypt.*",
        "spwd.*",
    }
    assert missing("socket = f()\nsocket.TCP_FASTOPEN") == set()

"""Opening listeners."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pydovecot.net import listeners
from pydovecot.net.listeners import AlreadyRunningError, Inherited, ListenError


@pytest.fixture
def keep() -> Iterator[Callable[[int], int]]:
    """Closes descriptors at the end."""
    fds: list[int] = []

    def remember(fd: int) -> int:
        fds.append(fd)
        return fd

    yield remember
    for fd in fds:
        os.close(fd)


Keep = Callable[[int], int]


def open_unix(path: Path, mode: int = 0o600) -> int:
    return listeners.open_unix(str(path), mode=mode, uid=-1, gid=-1)


def test_mode_is_exact_whatever_the_umask(tmp_path: Path, keep: Keep) -> None:
    old = os.umask(0o077)
    try:
        keep(open_unix(tmp_path / "a", 0o666))
        keep(open_unix(tmp_path / "b", 0o600))
    finally:
        os.umask(old)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"]
    assert modes == [0o666, 0o600]


def test_a_dead_socket_is_replaced_a_living_one_not(tmp_path: Path, keep: Keep) -> None:
    path = tmp_path / "s"
    os.close(open_unix(path))
    assert not listeners.answers(str(path))
    keep(open_unix(path))
    assert listeners.answers(str(path))
    with pytest.raises(AlreadyRunningError, match="Socket already exists"):
        open_unix(path)


def test_files_are_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(ListenError, match="is not a socket"):
        open_unix(path)
    assert path.read_text() == "precious"


def test_errors_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"net_listen_unix\(.*/none/s\) failed: No such file"):
        open_unix(tmp_path / "none" / "s")
    with pytest.raises(ListenError, match="longer than 107 bytes"):
        open_unix(tmp_path / ("x" * 120))


def test_inet(keep: Keep) -> None:
    fd = keep(listeners.open_inet("127.0.0.1", 0))
    with socket.socket(fileno=os.dup(fd)) as sock:
        port = sock.getsockname()[1]
    assert not os.get_blocking(fd)
    with pytest.raises(ListenError, match=rf"listen\(127.0.0.1, {port}\) failed: Address already in use"):
        listeners.open_inet("127.0.0.1", port)
    with pytest.raises(ListenError, match=r"Can't resolve address no\.such\.host\.invalid"):
        listeners.open_inet("no.such.host.invalid", port)


def test_fifo_never_ends(tmp_path: Path, keep: Keep) -> None:
    path = str(tmp_path / "fifo")
    fd = keep(listeners.open_fifo(path, mode=0o620, uid=-1, gid=-1))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o620
    with open(path, "wb") as out:
        out.write(b"x")
    assert os.read(fd, 10) == b"x"
    with pytest.raises(BlockingIOError):
        os.read(fd, 10)


def test_inherited_are_found_by_address() -> None:
    code = (
        "import os, socket\n"
        "from pydovecot.net.listeners import Inherited\n"
        "got = Inherited({'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '2'}, os.getpid())\n"
        "print(got.take_inet('127.0.0.1', int(os.environ['PORT'])) is not None,\n"
        "      got.take_inet('127.0.0.1', int(os.environ['PORT'])), got.unused())\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [s.getsockname()[1] for s in (one, two)]
        run = f"import os\nos.dup2({one.fileno()}, 3)\nos.dup2({two.fileno()}, 4)\n" + code
        done = subprocess.run(
            [sys.executable, "-c", run],
            env={**os.environ, "PORT": str(ports[0])},
            pass_fds=(one.fileno(), two.fileno()),
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == f"True None ['127.0.0.1:{ports[1]}']\n"


def test_inherited_socket_of_both_families_serves_both() -> None:
    """`ListenStream=143` without BindIPv6Only: one socket, and nothing left to open for the other family."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("needs IPv6")
    code = (
        "import os\n"
        "from pydovecot.net.listeners import Inherited\n"
        "got = Inherited({'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}, os.getpid())\n"
        "port = int(os.environ['PORT'])\n"
        "print(got.take_inet('*', port + 1), got.take_inet('*', port) > 0, got.take_inet('::', port), "
        "got.take_inet('::', port), got.unused())\n"
    )
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as one:
        done = subprocess.run(
            [sys.executable, "-c", f"import os\nos.dup2({one.fileno()}, 3)\n{code}"],
            env={**os.environ, "PORT": str(one.getsockname()[1])},
            pass_fds=(one.fileno(),),
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "None True -1 -1 []\n"


def test_a_folder_for_everybody_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        listeners.make_folder(str(tmp_path / "one/two"))
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("one", "one/two")] == [0o755, 0o755]


def test_descriptors_of_another_process_are_not_ours() -> None:
    assert Inherited({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, os.getpid()).unused() == []
    assert Inherited({}, os.getpid()).unused() == []

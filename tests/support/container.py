"""A booted systemd: a Debian root made once by debootstrap, kept pristine by overlays, run by systemd-nspawn.

The container has a network of its own with nothing but `lo`, so the ports of mail clash with nobody. All of
this needs root; `why_not()` says what is missing.
"""

import ctypes
import fcntl
import functools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CACHE: Final = Path(os.environ.get("PYDOVECOT_ROOT_CACHE", Path.home() / ".cache" / "pydovecot-root"))
SUITE: Final = "bookworm"
PACKAGES: Final = ("systemd", "systemd-sysv", "dbus", "rpm", "procps", "iproute2", "openssl", "libsqlite3-0")
TOOLS: Final = ("systemd-nspawn", "debootstrap", "nsenter", "setpriv", "rpm")
# A package that comes starts nothing by itself; PAM files include password-auth.
AS_ON_RHEL: Final = {
    "usr/lib/systemd/system-preset/99-default-disable.preset": "disable *\n",
    "etc/pam.d/password-auth": """\
auth required pam_env.so
auth sufficient pam_unix.so nullok try_first_pass
auth required pam_deny.so
account required pam_unix.so
session required pam_limits.so
session required pam_unix.so
""",
}
BOOT_SECS: Final = 60
MAKE_SECS: Final = 900
CLONE_NEWNET: Final = 0x40000000


def why_not() -> str:
    """Why no container can be had here; empty when nothing is known against it."""
    if os.geteuid() != 0:
        return "containers need root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(missing)}" if missing else ""


@functools.cache
def debian_root() -> Path:
    """The cached root; made on first use. Raises RuntimeError with the reason when that fails."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once: one makes it
        root = CACHE / f"{SUITE}-1"
        if root.is_dir():
            return root
        fresh = CACHE / f"{SUITE}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        words = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        words += [SUITE, str(fresh), _mirror()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=MAKE_SECS, check=False)
        if done.returncode:
            raise RuntimeError(f"debootstrap failed: {done.stdout[-400:]}{done.stderr[-400:]}")
        shutil.rmtree(fresh / "var/cache/apt/archives", ignore_errors=True)
        for name, text in AS_ON_RHEL.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_text(text, encoding="ascii")
        fresh.rename(root)
    return root


@functools.cache
def why_not_boot() -> str:
    """Why a container does not boot here, by trying it with nothing of ours inside; empty when it does."""
    try:
        disk = Disk([debian_root()])
    except (RuntimeError, OSError, subprocess.SubprocessError) as exc:
        return f"no Debian root: {exc}"
    machine = Container(disk)
    try:
        machine.boot()
    except (RuntimeError, OSError) as exc:
        return str(exc)
    finally:
        machine.poweroff()
        disk.close()
    return ""


def _mirror() -> str:
    """The Debian mirror of this machine's own configuration."""
    words = ["apt-get", "indextargets", "--format", "$(SITE)", "Codename: bookworm", "Created-By: Packages"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    sites = done.stdout.split()
    return sites[0] if sites else "http://deb.debian.org/debian"


@dataclass
class Disk:
    """The file system of a container: layers, the lowest first, and a fresh one on top that is written."""

    layers: Sequence[Path]
    home: Path = field(init=False)

    def __post_init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="pdbox"))
        _call("mount", "-t", "tmpfs", "-o", "size=1500m,mode=755", "pydovecot-test", str(self.home))
        for name in ("upper", "work", "root"):
            (self.home / name).mkdir()
        self.mount()

    @property
    def root(self) -> Path:
        """Where all layers are seen as one."""
        return self.home / "root"

    @property
    def upper(self) -> Path:
        """What was written: a layer for another disk, once this one is not mounted any more."""
        return self.home / "upper"

    def mount(self) -> None:
        """Show the layers as one."""
        lower = ":".join(str(layer) for layer in reversed(self.layers))
        options = f"lowerdir={lower},upperdir={self.upper},workdir={self.home / 'work'}"
        _call("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))

    def unmount(self) -> None:
        """Leave the layers as they are."""
        subprocess.run(["umount", str(self.root)], capture_output=True, timeout=30, check=False)

    def close(self) -> None:
        """Forget all that was written."""
        self.unmount()
        subprocess.run(["umount", "-l", str(self.home)], capture_output=True, timeout=30, check=False)
        shutil.rmtree(self.home, ignore_errors=True)


class Container:
    """One machine on a disk, from power on to power off."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.leader = 0
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._console = disk.home / "console"

    def boot(self) -> None:
        """Switch it on; returns when systemd has reached its default target. Raises RuntimeError."""
        # It must not outlive us, however we end.
        words = ["setpriv", "--pdeathsig", "KILL"]
        words += ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "--private-network", "-b"]
        words += ["-M", self.disk.home.name.replace("_", "0"), "-D", str(self.disk.root), "--console=pipe"]
        env = {"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with open(self._console, "wb") as console:
            self._nspawn = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=env,
                start_new_session=True,
            )
        end = time.monotonic() + BOOT_SECS
        while time.monotonic() < end:
            if self._nspawn.poll() is not None:
                break
            if self._is_up():
                return
            time.sleep(0.05)
        said = self._console.read_text(errors="replace")[-600:]
        self.kill()
        raise RuntimeError(f"the container does not boot: {said}")

    def _is_up(self) -> bool:
        assert self._nspawn is not None
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        if not children:
            return False
        self.leader = int(children[0])
        state = self.run("systemctl", "is-system-running", check=False)
        return state.stdout.strip() in ("running", "degraded")

    def run(
        self, *words: str, input: str | None = None, check: bool = True, timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside, as root; its output is text."""
        inside = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        inside += ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"]
        done = subprocess.run(
            [*inside, *words], input=input, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a shell script inside; returns what it prints."""
        done = self.run("sh", "-ec", script, check=check)
        return done.stdout + done.stderr

    def connect(self, port: int, host: str = "127.0.0.1", timeout: float = 30) -> socket.socket:
        """A TCP connection inside the container, held out here. OSError as of socket.connect."""
        made: list[socket.socket] = []
        failed: list[OSError] = []

        def enter() -> None:  # in a thread of its own, which ends: the network is one thread's, not ours
            try:
                with open(f"/proc/{self.leader}/ns/net", "rb") as space:
                    if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns failed")
                made.append(socket.create_connection((host, port), timeout=timeout))
            except OSError as exc:
                failed.append(exc)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    @property
    def inside(self) -> Path:
        """Its file system as its processes see it, with /proc and /run."""
        return Path(f"/proc/{self.leader}/root")

    def poweroff(self) -> None:
        """Switch it off in order; what hangs is killed."""
        if self._nspawn is None:
            return
        self.run("systemctl", "poweroff", check=False)
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        self._nspawn, self.leader = None, 0

    def reboot(self) -> None:
        """Off and on again: all that is on the disk stays, all that runs is gone."""
        self.poweroff()
        self.boot()

    def kill(self) -> None:
        """Switch it off without asking."""
        if self._nspawn is not None:
            if self.leader:
                subprocess.run(["kill", "-9", str(self.leader)], capture_output=True, check=False)
            self._nspawn.kill()
            self._nspawn.wait(60)
        self._nspawn, self.leader = None, 0


def _call(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stderr.strip()}")

"""A full-screen program in a terminal of tmux: keys in, the screen as text out."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_SECS = 60.0
COLUMNS, LINES = "100", "30"


class Terminal:
    """`keys` are names of tmux ("Enter", "C-c"); `write` is text."""

    def __init__(self, tmux: str, cwd: Path) -> None:
        self._command = [tmux, "-S", str(cwd / "tmux.sock"), "-f", "/dev/null"]
        self._cwd = cwd
        self._env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LC_ALL": "C.UTF-8", "TERM": "xterm"}

    def _tmux(self, *args: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self._command, *args], cwd=self._cwd, env=self._env, capture_output=True, text=True,
            timeout=WAIT_SECS, check=False,
        )  # fmt: skip

    def start(self, command: str) -> None:
        """Run a shell command on a screen of its own."""
        done = self._tmux("new-session", "-d", "-x", COLUMNS, "-y", LINES, command)
        assert done.returncode == 0, done.stderr

    @property
    def screen(self) -> str:
        """What is on the screen now; "" when the program has ended."""
        return self._tmux("capture-pane", "-p").stdout

    def keys(self, *names: str) -> None:
        self._tmux("send-keys", *names)

    def write(self, text: str) -> None:
        # A semicolon at the end of an argument would begin the next command of tmux.
        self._tmux("send-keys", "-l", f"{text[:-1]}\\;" if text.endswith(";") else text)

    def wait(self, text: str) -> str:
        """The screen once it shows `text`."""
        end = time.monotonic() + WAIT_SECS
        while text not in (screen := self.screen):
            assert time.monotonic() < end, f"{text!r} is not on the screen:\n{screen}"
            time.sleep(0.05)
        return screen

    def wait_end(self) -> None:
        """Until the program has ended."""
        end = time.monotonic() + WAIT_SECS
        while self._tmux("has-session").returncode == 0:
            assert time.monotonic() < end, f"it does not end:\n{self.screen}"
            time.sleep(0.05)

    def close(self) -> None:
        """End whatever runs."""
        self._tmux("kill-server")


@contextmanager
def terminal(tmux: str, cwd: Path, command: str) -> Iterator[Terminal]:
    """A terminal in which `command` runs."""
    made = Terminal(tmux, cwd)
    try:
        made.start(command)
        yield made
    finally:
        made.close()

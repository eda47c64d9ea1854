"""How a child ended, in Dovecot's words."""

import os
import signal
from dataclasses import dataclass
from typing import Final

FATAL_DEFAULT: Final = 89
_WORDS: Final = {
    80: "Can't open log file",
    81: "Can't write to log file",
    82: "Internal logging error",
    83: "Out of memory",
    84: "exec() failed",
    FATAL_DEFAULT: "Fatal failure",
}
_CORE_SIGNALS: Final = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)


@dataclass(frozen=True, slots=True)
class Ended:
    """What waitpid() said about one child."""

    pid: int
    status: int

    @property
    def ok(self) -> bool:
        """A normal end."""
        return self.status == 0

    def describe(self, service: str, vsz_limit: int = 0) -> str:
        """`service(imap): child 123 killed with signal 9`."""
        head = f"service({service}): child {self.pid}"
        if os.WIFSIGNALED(self.status):
            number = os.WTERMSIG(self.status)
            return f"{head} killed with signal {number}{self._core(number)}"
        code = os.WEXITSTATUS(self.status)
        words = _WORDS.get(code, "")
        if code == 83 and vsz_limit:
            size = vsz_limit // (1024 * 1024)
            words += f" (service {service} {{ vsz_limit={size} MB }}, you may need to increase it)"
        return f"{head} returned error {code} ({words})" if words else f"{head} returned error {code}"

    def _core(self, number: int) -> str:
        if os.WCOREDUMP(self.status):
            return " (core dumped)"
        return " (core not dumped)" if number in _CORE_SIGNALS else ""



"""What is wrong with a configuration, with file and line.

The words are Dovecot's. Dovecot stops at the first error; here all of them are collected.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

EXIT_STATUS: Final = 89  # Dovecot: FATAL_DEFAULT


@dataclass(frozen=True, slots=True)
class Problem:
    """One error. Line 0 means the file as a whole; `hint` is ours and stays out of the first line."""

    file: str
    line: int
    text: str
    hint: str = ""

    def message(self) -> str:
        """As Dovecot says it, without the hint."""
        where = f" line {self.line}" if self.line else ""
        return f"Error in configuration file {self.file}{where}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used. `lines` are for people: the first one is Dovecot's own first line."""

    def __init__(self, problems: Iterable[Problem] = (), *, text: str = "") -> None:
        self.problems = tuple(problems)
        self.lines = [text] if text else list(_lines(self.problems))
        super().__init__(self.lines[0] if self.lines else "Invalid configuration")


def _lines(problems: tuple[Problem, ...]) -> Iterable[str]:
    for number, problem in enumerate(problems):
        if not problem.hint:
            yield problem.message()
        elif number:
            yield f"{problem.message()} ({problem.hint})"
        else:
            yield problem.message()
            where = f" line {problem.line}" if problem.line else ""
            yield f"{problem.file}{where}: {problem.hint}"


def suggest(word: str, known: Iterable[str]) -> str:
    """ "did you mean mail_location?" or nothing."""
    close = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.75)
    return f"did you mean {close[0]}?" if close else ""

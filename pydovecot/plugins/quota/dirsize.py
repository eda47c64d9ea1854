"""dirsize: the sizes of all files below the mail directories, looked at one by one; for small sites."""

import os
import stat
from collections.abc import Iterable

from pydovecot.index.schema import FILE_NAME as INDEX_NAME
from pydovecot.model.errors import InternalError
from pydovecot.plugins.quota.quota import STORAGE
from pydovecot.plugins.quota.rules import Limits


class DirsizeUsage:
    """Octets only: what a message is cannot be seen from outside."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = _outermost(paths)

    @property
    def resources(self) -> tuple[str, ...]:
        """Octets."""
        return (STORAGE,)

    def used(self) -> Limits:
        """By a walk."""
        try:
            return Limits(sum(size_below(path) for path in self._paths))
        except OSError as exc:
            raise InternalError(f"quota-dirsize: {exc.filename}: {exc.strerror}") from exc

    def limits(self) -> Limits | None:
        """None are kept."""
        return None

    def changed(self, octets: int, messages: int) -> None:
        """The files tell."""


def _outermost(paths: Iterable[str]) -> list[str]:
    """Without those that are inside others."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not any(path == other or path.startswith(other + "/") for other in found):
            found.append(path)
    return found


def size_below(path: str) -> int:
    """Octets of a file, or of all files below a directory."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return 0
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size
    total = 0
    waiting = [path]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:
            continue
        for entry in entries:
            if entry.name.startswith(INDEX_NAME):
                continue  # a cache of ours, no mail
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
                continue
            try:
                total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return total

"""Who is connected: sessions by `service/ip/user` and by process."""

from collections import Counter
from collections.abc import Iterator


class ConnectLimit:
    """Counts sessions. A process that dies takes all of its own away with it."""

    def __init__(self) -> None:
        self._total: Counter[str] = Counter()
        self._by_pid: dict[int, Counter[str]] = {}

    def connect(self, pid: int, ident: str) -> None:
        """One more session of `ident` in process `pid`."""
        self._total[ident] += 1
        self._by_pid.setdefault(pid, Counter())[ident] += 1

    def disconnect(self, pid: int, ident: str) -> bool:
        """One session less; False when there was none."""
        idents = self._by_pid.get(pid)
        if idents is None or not idents[ident]:
            return False
        self._take(ident, 1)
        idents[ident] -= 1
        if not idents[ident]:
            del idents[ident]
        if not idents:
            del self._by_pid[pid]
        return True

    def kill(self, pid: int) -> None:
        """The process is dead: all of its sessions are over."""
        for ident, count in self._by_pid.pop(pid, Counter[str]()).items():
            self._take(ident, count)

    def lookup(self, ident: str) -> int:
        """Sessions of `ident` in all processes."""
        return self._total.get(ident, 0)

    def dump(self) -> Iterator[tuple[str, int, int]]:
        """(ident, pid, sessions) of everything."""
        for pid, idents in self._by_pid.items():
            for ident, count in idents.items():
                yield ident, pid, count

    def _take(self, ident: str, count: int) -> None:
        self._total[ident] -= count
        if self._total[ident] <= 0:
            del self._total[ident]

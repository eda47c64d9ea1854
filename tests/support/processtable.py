"""The process table of a running server: who each process is, where its root is, what it listens on."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TITLE: Final = re.compile(r"pydovecot/(template )?([\w-]+)")
LISTENS: Final = {"tcp": "0A", "tcp6": "0A"}
ACCEPTS: Final = 0x10000  # __SO_ACCEPTCON in /proc/net/unix


@dataclass(frozen=True)
class Process:
    """One process, as the kernel shows it."""

    pid: int
    name: str
    uid: int
    groups: frozenset[int]  # the effective one and the others
    capabilities: int
    no_new_privs: bool
    filtered: bool  # has its own filter of system calls, above that of its master
    root: str  # below the system's root: "/" or a path
    listens: frozenset[str]  # ports, and paths below base_dir


def table(master: int, base_dir: Path, roots: list[str], outside: Path = Path("/")) -> list[Process]:
    """The master and its descendants.

    `base_dir` is as the server has it. `roots`: directories that may be a root. `outside`: its "/", for us.
    """
    pids = [master]
    for pid in pids:
        pids += _children(pid)
    known = {_identity(outside / path.lstrip("/")): path for path in ["/", *roots]}
    above = _filters(master)
    return [_look(pid, master, base_dir, known, above) for pid in pids]


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _identity(path: Path) -> tuple[int, int]:
    info = os.stat(path)
    return info.st_dev, info.st_ino


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _colon, value in (line.partition(":") for line in lines)}


def _filters(pid: int) -> int:
    return int(_status(pid).get("Seccomp_filters", "0"))


def _look(
    pid: int, master: int, base_dir: Path, known: dict[tuple[int, int], str], filters_above: int
) -> Process:
    status = _status(pid)
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
    found = TITLE.match(words)
    gids = {status["Gid"].split()[1], *status["Groups"].split()}
    return Process(
        pid=pid,
        name="master" if pid == master else f"{found[1] or ''}{found[2]}" if found else words,
        uid=int(status["Uid"].split()[1]),
        groups=frozenset(map(int, gids)),
        capabilities=int(status["CapEff"], 16),
        no_new_privs=status["NoNewPrivs"] == "1",
        filtered=_filters(pid) > filters_above,
        root=known.get(_identity(Path(f"/proc/{pid}/root")), "elsewhere"),
        listens=_listens(pid, base_dir),
    )


def _listens(pid: int, base_dir: Path) -> frozenset[str]:
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
        except FileNotFoundError:
            continue
        if found:
            inodes.add(found[1])
    names = set()
    for kind, state in LISTENS.items():
        path = Path(f"/proc/{pid}/net/{kind}")
        for words in map(str.split, path.read_text().splitlines()[1:] if path.exists() else []):
            if words[3] == state and words[9] in inodes:
                names.add(str(int(words[1].rpartition(":")[2], 16)))
    for words in map(str.split, Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]):
        if words[6] in inodes and int(words[3], 16) & ACCEPTS and len(words) > 7:
            names.add(os.path.relpath(words[7], base_dir))
    return frozenset(names)


@dataclass(frozen=True)
class Row:
    """One line of the table in docs/security.md."""

    name: str
    user: str
    groups: str
    root: str
    capabilities: str
    gains: bool
    filtered: bool
    listens: frozenset[str]


@dataclass(frozen=True)
class Names:
    """What the numbers of a running server are called in the documentation."""

    users: dict[int, str]
    groups: dict[int, str]
    roots: dict[str, str]
    unit: int  # the capabilities of the unit

    def row(self, process: Process) -> Row:
        """A process as the documentation would describe it."""
        return Row(
            process.name,
            self.users.get(process.uid, str(process.uid)),
            " ".join(sorted(self.groups.get(gid, str(gid)) for gid in process.groups)),
            self.roots.get(process.root, process.root),
            {0: "none", self.unit: "unit"}.get(process.capabilities, hex(process.capabilities)),
            not process.no_new_privs,
            process.filtered,
            process.listens,
        )


def documented() -> dict[str, Row]:
    """The table of docs/security.md by process."""
    text = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")
    lines = text.partition("| process | user |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {
        cells[0]: Row(*cells[:5], cells[5] == "yes", cells[6] == "filter", frozenset(cells[7].split()))
        for cells in rows
    }

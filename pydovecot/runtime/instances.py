"""The list of installations on this machine: state_dir/instances, a line for each base_dir."""

import os
import time
from dataclasses import dataclass
from typing import Final

from pydovecot.base import tabescape
from pydovecot.base.replace_file import replace_file

FILE: Final = "instances"


@dataclass(frozen=True, slots=True)
class Instance:
    """`last_used TAB name TAB base_dir TAB config`."""

    last_used: int
    name: str
    base_dir: str
    config: str


def read(state_dir: str) -> list[Instance]:
    """All instances that the file knows; lines that make no sense are left out."""
    try:
        with open(f"{state_dir}/{FILE}", "rb") as file:
            lines = file.read(1 << 20).splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        fields = tabescape.split_text(line)
        if len(fields) >= 3 and fields[0].isdigit():
            found.append(Instance(int(fields[0]), fields[1], fields[2], fields[3] if len(fields) > 3 else ""))
    return found


def record(state_dir: str, name: str, base_dir: str, config: str) -> None:
    """Note that the instance of `base_dir` is in use now. Raises OSError."""
    os.makedirs(state_dir, 0o755, exist_ok=True)
    others = [i for i in read(state_dir) if i.base_dir != base_dir]
    _write(state_dir, [*others, Instance(int(time.time()), name, base_dir, os.path.abspath(config))])


def forget(state_dir: str, what: str) -> bool:
    """Remove an instance by its name or, with a slash, its base_dir; False when there is none."""
    found = read(state_dir)
    left = [i for i in found if what != (i.base_dir if "/" in what else i.name)]
    if len(left) == len(found):
        return False
    _write(state_dir, left)
    return True


def _write(state_dir: str, rows: list[Instance]) -> None:
    text = b"".join(tabescape.join_text([str(i.last_used), i.name, i.base_dir, i.config]) for i in rows)
    # The directory belongs to dovecot, and root writes here: no link is followed.
    with replace_file(f"{state_dir}/{FILE}", mode=0o644) as out:
        out.write(text)


def base_dir_of(state_dir: str, name: str) -> str | None:
    """base_dir of the instance with this name (`-i name`)."""
    return next((i.base_dir for i in read(state_dir) if i.name == name), None)

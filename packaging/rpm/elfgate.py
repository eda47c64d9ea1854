"""What a tree of files wants from the system it runs on; fails where RHEL 7 does not have it.

`elfgate.py DIRECTORY` reads every ELF file with objdump and prints each versioned symbol and each library
that any of them needs, with the number of files. It ends with status 1 if something is newer than glibc
2.17 or libgcc 4.8, is no library of the base system, looks for libraries elsewhere (RPATH), or wants an
executable stack.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

LIMITS: Final = {"GLIBC": (2, 17), "GCC": (4, 8)}
LIBRARIES: Final = frozenset({
    "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1",
    "ld-linux-x86-64.so.2", "libgcc_s.so.1",
})  # fmt: skip
_SYMBOL: Final = re.compile(r"\*UND\*\s+[0-9a-f]+\s+\(?([A-Z]+_[0-9.]+)\)?\s+(\S+)")
_NEEDED: Final = re.compile(r"^\s+NEEDED\s+(\S+)", re.MULTILINE)


def main(root: Path) -> int:
    """Report on everything below `root`."""
    symbols: dict[tuple[str, str], set[Path]] = defaultdict(set)
    libraries: dict[str, set[Path]] = defaultdict(set)
    faults = []
    count = 0
    for file in sorted(root.rglob("*")):
        if file.is_symlink() or not file.is_file() or file.open("rb").read(4) != b"\x7fELF":
            continue
        count += 1
        name = file.relative_to(root)
        text = subprocess.run(["objdump", "-pT", file], capture_output=True, text=True, check=True).stdout
        for version, symbol in _SYMBOL.findall(text):
            symbols[version, symbol].add(name)
            if too_new(version):
                faults.append(f"{name}: {symbol}@{version}")
        for library in _NEEDED.findall(text):
            libraries[library].add(name)
            if library not in LIBRARIES:
                faults.append(f"{name}: needs {library}")
        if re.search(r"^\s+(RPATH|RUNPATH)\s", text, re.MULTILINE):
            faults.append(f"{name}: has a search path of its own")
        if re.search(r"STACK.*\n.*flags rwx", text):
            faults.append(f"{name}: wants an executable stack")
    if not count or not symbols:
        faults.append(f"{root}: no ELF files were found")
    print(f"{count} ELF files")
    for library, files in sorted(libraries.items()):
        print(f"library {library}: {len(files)}")
    for (version, symbol), files in sorted(symbols.items(), key=lambda item: (number(item[0][0]), item[0])):
        print(f"symbol {symbol}@{version}: {len(files)}")
    for fault in faults:
        print(f"FAULT {fault}")
    return bool(faults)


def number(version: str) -> tuple[int, ...]:
    """The comparable part of GLIBC_2.17."""
    return tuple(int(part) for part in version.partition("_")[2].split("."))


def too_new(version: str) -> bool:
    """Whether RHEL 7 lacks this version; families that we do not know are never there."""
    limit = LIMITS.get(version.partition("_")[0])
    return limit is None or number(version)[:2] > limit


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))

"""Files of a configuration: reading them with a bound, relative paths, patterns of !include."""

import glob
import re
from collections.abc import Iterator
from typing import Final

MAX_FILE_BYTES: Final = 16 * 2**20  # a configuration file; the largest real ones have some 100 kB
MAX_BRACE_CHOICES: Final = 100


def read(path: str) -> str:
    """The file as text; bytes that are no UTF-8 as surrogates. Raises OSError."""
    with open(path, "rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(27, "File too large for a configuration")
    return data.decode("utf-8", "surrogateescape")


def relative(path: str, including: str) -> str:
    """Paths are relative to the directory of the file that names them."""
    if path.startswith("/"):
        return path
    directory, slash, _ = including.rpartition("/")
    return directory + slash + path


def expand_pattern(pattern: str) -> list[str]:
    """Existing files that match, sorted, as glob(3) with GLOB_BRACE gives them."""
    found: dict[str, None] = {}
    for single in _braces(pattern):
        found.update(dict.fromkeys(sorted(glob.glob(single))))
    return list(found)


def _braces(pattern: str) -> Iterator[str]:
    """{a,b} alternatives as glob(3) has them with GLOB_BRACE."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None or "," not in found[1]:
        yield pattern
        return
    for choice in found[1].split(",")[:MAX_BRACE_CHOICES]:
        yield from _braces(pattern[: found.start()] + choice + pattern[found.end() :])

"""Each command's man page names its options, and no others."""

import re
from pathlib import Path

import pytest

from pydovecot.cli import doveconf, lda, pydovecot

MAN = Path(__file__).resolve().parents[2] / "man"
SOURCES = {"pydovecot": pydovecot, "doveconf": doveconf, "dovecot-lda": lda}
GETOPT = re.compile(
    r"getopt\.(?:gnu_)?getopt\(\s*[^,]+(?:\([^)]*\))?,\s*\"(?P<short>[a-zA-Z:]+)\"(?:,\s*(?P<long>[^)]+))?\)"
)


def options_of(command: str) -> set[str]:
    """What the command's getopt takes."""
    module = SOURCES[command]
    if hasattr(module, "OPTIONS"):  # of base.options
        return {f"-{letter}" for letter in module.OPTIONS.replace(":", "")}
    found = GETOPT.search(Path(module.__file__).read_text())
    assert found, f"no getopt in {command}"
    options = {f"-{letter}" for letter in found["short"].replace(":", "")}
    long = (found["long"] or "").strip()
    # Either the name of a list, or the list itself.
    names = getattr(module, long) if re.fullmatch(r"\w+", long) else re.findall(r'"([\w-]+)=?"', long)
    return options | {f"--{name.rstrip('=')}" for name in names}


def described(command: str) -> set[str]:
    """Options that stand at the beginning of a paragraph of the page's OPTIONS."""
    page = (MAN / f"{command}.1").read_text().replace("\\-", "-")
    section = page.partition(".SH OPTIONS\n")[2].partition("\n.SH ")[0]
    heads = re.findall(r"^\.TP\n(.*)$", section, re.MULTILINE)
    assert heads
    return {word for head in heads for word in re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", head)}


@pytest.mark.parametrize("command", SOURCES)
def test_the_page_has_the_options(command: str) -> None:
    ours_of_others = {"--dir", "--quiet"}  # of `pydovecot demo`
    assert described(command) - ours_of_others == options_of(command)


@pytest.mark.parametrize("page", sorted(MAN.glob("*.[1-8]")), ids=lambda path: path.name)
def test_pages_are_complete(page: Path) -> None:
    text = page.read_text()
    assert all(f".SH {section}" in text for section in ("NAME", "DESCRIPTION", "SEE ALSO"))
    assert text.isascii()

"""What docs/ recommend is what the tests run."""

import re
from pathlib import Path

import pytest

from tests.mta import test_postfix_system, virtual

DOCS = Path(__file__).parents[2] / "docs"


def lines(text: str) -> set[str]:
    """Settings of a configuration; paths, which are the tests' own, are all alike."""
    found = set()
    for line in text.replace("{{", "{").replace("}}", "}").splitlines():
        line = re.sub(r"(?:lmtp:unix:)?(?:\{root\}|/|private/)[^\s:]*", "PATH", line.strip())
        line = line.replace("lmtp:unix:private/dovecot-lmtp", "PATH").replace(" -c PATH", "")
        found.add(re.sub(r"(uid|gid)=\S+", r"\1=ID", line))
    return found


@pytest.mark.parametrize(
    "text",
    [
        virtual.DOVECOT_CONF, virtual.MAIN_CF, test_postfix_system.DOVECOT_CONF, test_postfix_system.MAIN_CF,
    ],
    ids=["virtual dovecot.conf", "virtual main.cf", "system dovecot.conf", "system main.cf"],
)  # fmt: skip
def test_the_postfix_recipes(text: str) -> None:
    only_here = {"mail_uid =", "mail_gid =", "auth_verbose = yes", "protocols = imap pop3 lmtp"}
    assert lines(text) - only_here <= lines((DOCS / "postfix.md").read_text())

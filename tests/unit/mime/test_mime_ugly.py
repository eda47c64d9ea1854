"""Every ugly message has the structure and sections that Dovecot 2.3.19 answered when they were recorded.

PYDOVECOT_RECORD=1 asks the installed Dovecot again and writes ugly.json.
"""

import json
import os
from pathlib import Path

import pytest

from tests.support import mailquestions
from tests.support.uglymail import UGLY

RECORDED = Path(__file__).with_name("ugly.json")


def record() -> None:
    """Ask Dovecot."""
    from tests.support.preauth import PreauthImap

    answers = {}
    with PreauthImap(list(UGLY.values())) as imap:
        structures = imap.fetch(mailquestions.STRUCTURE_ITEMS)
        for number, (name, mail) in enumerate(UGLY.items(), 1):
            sections = imap.fetch(mailquestions.sections_question(mail), b"%d" % number)[number]
            answers[name] = [structures[number].decode("latin-1"), sections.decode("latin-1")]
    RECORDED.write_text(json.dumps(answers, indent=0) + "\n")


if os.environ.get("PYDOVECOT_RECORD"):
    record()
ANSWERS: dict[str, list[str]] = json.loads(RECORDED.read_text())


def test_all_are_recorded() -> None:
    assert ANSWERS.keys() == UGLY.keys()


@pytest.mark.parametrize("name", UGLY)
def test_structure(name: str) -> None:
    assert mailquestions.structure_answer(UGLY[name]).decode("latin-1") == ANSWERS[name][0]


@pytest.mark.parametrize("name", UGLY)
def test_sections(name: str) -> None:
    assert mailquestions.sections_answer(UGLY[name]).decode("latin-1") == ANSWERS[name][1]

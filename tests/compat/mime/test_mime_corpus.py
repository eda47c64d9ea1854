"""Structure, sections and texts of real and broken mail: the same bytes as the installed Dovecot."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import mailquestions, preauth
from tests.support.preauth import PreauthImap
from tests.support.uglymail import UGLY, Generator

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]

GENERATED = 400  # of each kind
SEED = 20


def corpus() -> dict[str, bytes]:
    """The messages of the folder that PYDOVECOT_CORPUS names."""
    folder = os.environ.get("PYDOVECOT_CORPUS")
    if not folder:
        pytest.skip("PYDOVECOT_CORPUS does not name a folder of messages")
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))}


def generated() -> dict[str, bytes]:
    """Messages of the generator, and mutations of the ugly ones."""
    made = Generator(SEED)
    kinds: tuple[Callable[[], bytes], ...] = (made.structure, made.addresses, made.params)
    mails = {f"{kind.__name__}-{n}": kind() for kind in kinds for n in range(GENERATED)}
    # A NUL in a field's name ends Dovecot 2.3.19.
    names = sorted(name for name, mail in UGLY.items() if b"\0" not in mail)
    mails |= {f"{name}-mutated-{n}": made.mutate(UGLY[name]) for name in names for n in range(5)}
    return {name: mail or b"\n" for name, mail in mails.items()}


SOURCES: dict[str, Callable[[], dict[str, bytes]]] = {
    "corpus": corpus,
    "ugly": lambda: UGLY,
    "generated": generated,
}


@pytest.fixture(scope="module", params=SOURCES)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, bytes], PreauthImap]]:
    """Named messages, and Dovecot with these in INBOX in the same order."""
    mails = SOURCES[request.param]()
    with PreauthImap(list(mails.values())) as imap:
        yield mails, imap


def differences(
    asked: dict[str, bytes], answers: dict[int, bytes], ours: Callable[[bytes], bytes]
) -> list[str]:
    """What differs, one short line for each message."""
    found = []
    for number, (name, mail) in enumerate(asked.items(), 1):
        got, want = ours(mail), answers[number]
        if got != want:
            at = next(
                (i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b),
                min(len(got), len(want)),
            )
            found.append(f"{name} at {at}: {got[at - 40 : at + 60]!r} is not {want[at - 40 : at + 60]!r}")
    return found


def test_structure(served: tuple[dict[str, bytes], PreauthImap]) -> None:
    mails, imap = served
    answers = imap.fetch(mailquestions.STRUCTURE_ITEMS)
    assert differences(mails, answers, mailquestions.structure_answer) == []


def test_sections(served: tuple[dict[str, bytes], PreauthImap]) -> None:
    mails, imap = served
    answers = {}
    for number, mail in enumerate(mails.values(), 1):
        answers |= imap.fetch(mailquestions.sections_question(mail), b"%d" % number)
    assert differences(mails, answers, mailquestions.sections_answer) == []

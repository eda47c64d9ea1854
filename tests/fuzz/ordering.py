"""SORT and THREAD of mutated messages: one answer for the whole mailbox."""

from collections.abc import Sequence

from tests.fuzz.known import shares_charsets
from tests.fuzz.run import Outcome
from tests.support import searchquestions
from tests.support.duel import Difference, Duel


def order_all(messages: Sequence[bytes], outcome: Outcome) -> None:
    """Each key, each algorithm. One text that is decoded otherwise, as documented, would move all others."""
    messages = [
        message for message in messages if shares_charsets(message) and b"tf-7" not in message.lower()
    ]
    with Duel(messages) as duel:
        questions = [*searchquestions.sorts(), *searchquestions.threads()]
        outcome.found += [(b"", difference) for difference in duel.mailbox(questions)]
        outcome.answers += duel.answers


def fewest(messages: Sequence[bytes], question: bytes) -> tuple[list[bytes], list[Difference]]:
    """As few of the messages as the servers still disagree about, and how."""
    kept = list(messages)
    size = len(kept) // 2
    while size:
        at = 0
        while at < len(kept) and len(kept) > 1:
            fewer = kept[:at] + kept[at + size :]
            if fewer and _ask(fewer, question):
                kept = fewer
            else:
                at += size
        size //= 2
    return kept, _ask(kept, question)


def _ask(messages: Sequence[bytes], question: bytes) -> list[Difference]:
    with Duel(messages) as duel:
        return list(duel.mailbox([question]))

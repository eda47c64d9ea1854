"""One batch of mutated messages to both servers: what differs, made small."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fuzz.known import explained
from tests.fuzz.minimise import Differs, minimise
from tests.support import mailquestions
from tests.support.duel import Difference, Duel
from tests.support.preauth import DovecotEndedError


@dataclass(slots=True)
class Outcome:
    """`found` are (message, difference) that nothing explains; `ended` messages that end Dovecot."""

    answers: int = 0
    known: int = 0
    by_history: int = 0  # Dovecot's first answer was ours, its later one, out of its cache, is another
    found: list[tuple[bytes, Difference]] = field(default_factory=list)
    ended: list[bytes] = field(default_factory=list)

    def take(self, message: bytes, difference: Difference) -> None:
        """Count or keep a difference."""
        if explained(message, difference):
            self.known += 1
        else:
            self.found.append((message, difference))


def fetch_all(messages: Sequence[bytes], outcome: Outcome) -> None:
    """Every item of every message."""
    with Duel(messages) as duel:
        for number, message in enumerate(messages, 1):
            for difference in duel.items(number, mailquestions.items(message)):
                outcome.take(message, difference)
            for difference in duel.each(number, mailquestions.fallible_items(message)):
                outcome.take(message, difference)
        outcome.answers += duel.answers
        outcome.ended += [messages[number - 1] for number, _ in duel.ended]
    _ask_afresh(outcome)


def _ask_afresh(outcome: Outcome) -> None:
    count = len(outcome.found)
    outcome.found = afresh(outcome.found)
    outcome.by_history += count - len(outcome.found)


def afresh(found: Sequence[tuple[bytes, Difference]]) -> list[tuple[bytes, Difference]]:
    """Those that are there too when the question is Dovecot's first, before it caches anything."""
    by_item: dict[bytes, list[bytes]] = {}
    for message, difference in found:
        by_item.setdefault(difference.question.partition(b" (")[2][:-1], []).append(message)
    left: list[tuple[bytes, Difference]] = []
    for item, messages in by_item.items():
        try:
            with Duel(messages) as duel:
                left += [(messages[one.number - 1], one) for one in duel.item_of_all(item)]
        except DovecotEndedError:
            continue
    return left


def smallest(message: bytes, question: bytes) -> bytes:
    """A smaller message about which the servers disagree when asked the same FETCH item or SEARCH key."""
    return minimise(message, _differs(question))


def _differs(question: bytes) -> Differs:
    def differs(candidates: Sequence[bytes]) -> list[bool]:
        if not candidates:
            return []
        try:
            with Duel(candidates) as duel:
                if question.startswith(b"FETCH"):
                    item = question.partition(b" (")[2][:-1]
                    wrong = {one.number: one for one in duel.item_of_all(item)}
                else:
                    wrong = {one.number: one for one in duel.matches(question)}
        except DovecotEndedError:
            return [False] * len(candidates)
        return [
            number in wrong and explained(message, wrong[number]) is None
            for number, message in enumerate(candidates, 1)
        ]

    return differs


def ask_one(message: bytes, question: bytes) -> list[Difference]:
    """The differences that one message has in one question."""
    with Duel([message]) as duel:
        if question.startswith(b"FETCH"):
            return list(duel.item_of_all(question.partition(b" (")[2][:-1]))
        return list(duel.matches(question))

"""Which mechanisms are offered: auth_mechanisms, as far as the passdbs can serve them."""

from collections.abc import Callable, Sequence

from pydovecot.sasl.mechanism import Mechanism, Need
from pydovecot.sasl.registry import MECHANISMS, NOT_YET, RPOP


class BadMechanism(Exception):
    """auth_mechanisms cannot be used; the text is Dovecot's."""


def choose(
    words: str, lookups: Sequence[bool], warn: Callable[[str], None], *, anonymous: str, rpop: bool
) -> list[Mechanism]:
    """The mechanisms in the order of the setting `words`. Raises BadMechanism.

    `lookups`: of each passdb, whether it can look up passwords. `anonymous`: auth_anonymous_username.
    `rpop`: pop3_rpop.
    """
    chosen: list[Mechanism] = []
    for word in words.upper().split():
        mechanism = MECHANISMS.get(word)
        if mechanism is None:
            if word not in NOT_YET:
                raise BadMechanism(f"Unknown authentication mechanism '{word}'")
            warn(f"auth_mechanisms: {word} is not implemented yet, it is not offered")
            continue
        if word == "ANONYMOUS" and not anonymous:
            raise BadMechanism("ANONYMOUS listed in mechanisms, but anonymous_username not set")
        if mechanism not in chosen:
            chosen.append(mechanism)
    if not words.split():
        raise BadMechanism("No authentication mechanisms configured")
    if rpop:
        chosen.append(RPOP)
    for mechanism in chosen:
        _check(mechanism, lookups)
    return chosen


def _check(mechanism: Mechanism, lookups: Sequence[bool]) -> None:
    if not lookups and mechanism.need is not Need.NOTHING:
        raise BadMechanism(
            f"No passdbs specified in configuration file. {mechanism.name} mechanism needs one"
        )
    if mechanism.need is Need.LOOKUP and not any(lookups):
        raise BadMechanism(f"{mechanism.name} mechanism can't be supported with given passdbs")

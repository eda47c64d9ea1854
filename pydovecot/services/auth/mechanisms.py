"""Which mechanisms are offered: auth_mechanisms, as far as the passdbs can serve them."""

from pydovecot.authdb.database import Database
from pydovecot.event.event import Event
from pydovecot.sasl.mechanism import Mechanism, Need
from pydovecot.sasl.registry import MECHANISMS, NOT_YET, RPOP


class BadMechanism(Exception):
    """auth_mechanisms cannot be used; the text is Dovecot's."""


def choose(database: Database, event: Event) -> list[Mechanism]:
    """The mechanisms in the order of the setting. Raises BadMechanism."""
    settings = database.settings
    chosen: list[Mechanism] = []
    for word in settings.auth_mechanisms.upper().split():
        mechanism = MECHANISMS.get(word)
        if mechanism is None:
            if word not in NOT_YET:
                raise BadMechanism(f"Unknown authentication mechanism '{word}'")
            event.warning(f"auth_mechanisms: {word} is not implemented yet, it is not offered")
            continue
        if word == "ANONYMOUS" and not settings.auth_anonymous_username:
            raise BadMechanism("ANONYMOUS listed in mechanisms, but anonymous_username not set")
        if mechanism not in chosen:
            chosen.append(mechanism)
    if not settings.auth_mechanisms.split():
        raise BadMechanism("No authentication mechanisms configured")
    if settings.pop3_rpop:
        chosen.append(RPOP)
    for mechanism in chosen:
        _check(mechanism, database)
    return chosen


def _check(mechanism: Mechanism, database: Database) -> None:
    entries = database.all_passdbs
    if not entries and mechanism.need is not Need.NOTHING:
        raise BadMechanism(
            f"No passdbs specified in configuration file. {mechanism.name} mechanism needs one"
        )
    if mechanism.need is Need.LOOKUP and not any(entry.driver.can_lookup for entry in entries):
        raise BadMechanism(f"{mechanism.name} mechanism can't be supported with given passdbs")

"""The mechanisms of an auth process."""

from pydovecot.authdb import mechanisms
from pydovecot.authdb.database import Database
from pydovecot.authdb.mechanisms import BadMechanism
from pydovecot.event.event import Event
from pydovecot.sasl.mechanism import Mechanism

__all__ = ["BadMechanism", "choose"]


def choose(database: Database, event: Event) -> list[Mechanism]:
    """The mechanisms in the order of the setting. Raises BadMechanism."""
    settings = database.settings
    lookups = [entry.driver.can_lookup for entry in database.all_passdbs]
    return mechanisms.choose(
        settings.auth_mechanisms,
        lookups,
        event.warning,
        anonymous=settings.auth_anonymous_username,
        rpop=settings.pop3_rpop,
    )

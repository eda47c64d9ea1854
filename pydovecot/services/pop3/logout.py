"""pop3_logout_format: the statistics in a session's last log line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.settings.expand import expand


@dataclass(slots=True)
class Counters:
    """What a session has done."""

    top: int = 0
    top_bytes: int = 0
    retr: int = 0
    retr_bytes: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """The mailbox of a session at its end; `deleted` counts what was really deleted."""

    deleted: int = 0
    deleted_bytes: int = 0
    messages: int = 0
    octets: int = 0
    uidl_change: str = ""


NOTHING: Final = Totals()


def logout_text(
    settings: Pop3Settings, variables: Mapping[str, str], counters: Counters, totals: Totals
) -> str:
    """The statistics. `variables` are the user's; a session's own letters go before theirs, as in Dovecot."""
    own: dict[tuple[str, ...], int | str] = {
        ("t", "top_count"): counters.top,
        ("p", "top_bytes"): counters.top_bytes,
        ("r", "retr_count"): counters.retr,
        ("b", "retr_bytes"): counters.retr_bytes,
        ("d", "deleted_count"): totals.deleted,
        ("deleted_bytes",): totals.deleted_bytes,
        ("m", "message_count"): totals.messages,
        ("s", "message_bytes"): totals.octets,
        ("i", "input"): counters.bytes_in,
        ("o", "output"): counters.bytes_out,
        ("u", "uidl_change"): totals.uidl_change,
    }
    table = {name: str(value) for names, value in own.items() for name in names}
    return expand(settings.pop3_logout_format, {**variables, **table})

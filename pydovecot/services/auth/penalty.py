"""Penalties for addresses that failed before: their next attempt waits first (features E-63).

anvil keeps them, so that all auth processes see the same. Trying the same wrong password again does not raise
the penalty (a mail client with an old password is no attack).
"""

import binascii
import ipaddress
from collections.abc import Callable
from typing import Final, Protocol

from pydovecot.authdb.networks import parse_address
from pydovecot.authdb.request import AuthRequest

INIT_SECS: Final = 2
MAX_SECS: Final = 15
MAX_PENALTY: Final = 3
EXPIRE_SECS: Final = 60 * 60
IPV6_PREFIX: Final = 48


class PenaltyStore(Protocol):
    """ipc.anvil.AnvilClient, or a fake."""

    def penalty_get(self, name: str, callback: Callable[[int, int], None]) -> None: ...
    def penalty_inc(self, name: str, checksum: int, value: int) -> None: ...


def seconds(penalty: int) -> int:
    """How long an attempt with this penalty waits: 4, 8, 15."""
    return min(INIT_SECS << penalty, MAX_SECS) if penalty < 8 else MAX_SECS


def after_waiting(penalty: int, last_change: float, now: float) -> int:
    """What is left of a penalty: it goes down with time."""
    waited = now - min(last_change, now)  # a clock that was set back counts as now
    step = MAX_PENALTY
    while penalty > 0 and step >= 0 and waited >= seconds(step):
        step -= 1
        penalty -= 1
    return min(penalty, MAX_PENALTY)


def ident(request: AuthRequest) -> str:
    """The address or network that is counted; "" if there is none."""
    address = parse_address(request.rip)
    if address is None or request.no_penalty:
        return ""
    if address.version == 6:
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False).network_address)
    return str(address)


def _checksum(request: AuthRequest) -> int:
    if request.password is None:
        return 0
    return binascii.crc32(
        (request.user or "").encode("utf-8", "surrogateescape"), binascii.crc32(request.password.reveal())
    )


class Penalties:
    """Asks and tells a store. Without one nobody waits."""

    def __init__(self, store: PenaltyStore | None, now: Callable[[], float]) -> None:
        self._store, self._now = store, now

    def lookup(self, request: AuthRequest, callback: Callable[[int], None]) -> None:
        """Give the present penalty of the request's address to `callback`, perhaps at once."""
        name = ident(request) if self._store is not None else ""
        if not name or self._store is None:
            callback(0)
            return
        self._store.penalty_get(
            name, lambda penalty, last: callback(after_waiting(penalty, last, self._now()) if penalty else 0)
        )

    def update(self, request: AuthRequest, value: int) -> None:
        """Set it: one more after a failure, 0 after a success."""
        name = ident(request)
        if name and self._store is not None:
            checksum = _checksum(request) if value else 0
            self._store.penalty_inc(name, checksum, min(value, MAX_PENALTY))

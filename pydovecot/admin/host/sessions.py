"""Who is connected, from anvil, and the masks that pick some of them."""

import ipaddress
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import USAGE, AdminError
from pydovecot.admin.settings import AdminSettings
from pydovecot.base import wildcard
from pydovecot.ipc import questions

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Session(NamedTuple):
    """`number` sessions of a user from one address in one process."""

    user: str
    service: str
    ip: str
    pid: str
    number: int


@dataclass(slots=True)
class Masks:
    """Which sessions are meant; None is all."""

    user: str | None = None
    network: Network | None = None

    def fit(self, session: Session) -> bool:
        """The session is one of them."""
        if self.user is not None and not wildcard.matches(session.user, self.user):
            return False
        return self.network is None or contains(self.network, session.ip)


def contains(network: Network, text: str) -> bool:
    """The address is in the network; no address never is. A network of everything has both families."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return network.prefixlen == 0 or address in network


def parse_network(text: str) -> Network | None:
    """`address[/bits]`, or None for anything else (a user mask)."""
    address, slash, bits = text.partition("/")
    if slash and not bits.isdigit():
        return None
    try:
        return ipaddress.ip_network(address.strip("[]") + slash + bits, strict=False)
    except ValueError:
        return None


def parse_masks(words: Sequence[str]) -> Masks:
    """At most one mask of each kind. Raises AdminError after Dovecot's words."""
    masks = Masks()
    for word in words:
        network = parse_network(word)
        if network is None:
            if masks.user is not None:
                raise Refused("Multiple username masks not supported")
            masks.user = word
        else:
            if masks.network is not None:
                raise Refused("Multiple network masks not supported")
            masks.network = network
    return masks


class Refused(Exception):
    """Masks that cannot be used together."""


def masks_of(context: Context, words: Sequence[str]) -> Masks:
    """`parse_masks`; what is wrong is told and ends the command."""
    try:
        return parse_masks(words)
    except Refused as exc:
        context.log.error(str(exc))
        raise AdminError(status=USAGE) from exc


def socket_path(context: Context, arguments: Arguments, name: str, option: str = "socket-path") -> str:
    """The socket that the command line names, or the one of base_dir."""
    if arguments.given(option):
        return arguments.text(option)
    return os.path.join(context.settings().get(AdminSettings).base_dir, name)


def sessions(path: str) -> Iterator[Session]:
    """Everybody who is connected, as anvil tells it."""
    for row in questions.anvil(path, "CONNECT-DUMP"):
        if len(row) < 3 or not row[2].isdigit():
            raise questions.AskError(f"Invalid data from anvil: {row}")
        service, slash, rest = row[0].partition("/")
        ip, slash, user = rest.partition("/")
        if slash:
            yield Session(user, service, ip, row[1], int(row[2]))

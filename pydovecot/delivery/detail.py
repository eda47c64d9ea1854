"""user+detail addresses: recipient_delimiter. Dovecot: message_detail_address_parse."""

from typing import NamedTuple


class Recipient(NamedTuple):
    """A recipient's user name, and the detail of the address: the name of a mailbox; "" without one."""

    user: str
    detail: str


def split(local: str, domain: str, delimiters: str) -> Recipient:
    """The first of any of the `delimiters` ends the name; an address that begins with one has no detail."""
    at = min((found for char in delimiters if (found := local.find(char)) > 0), default=-1)
    name, detail = (local, "") if at < 0 else (local[:at], local[at + 1 :])
    return Recipient(f"{name}@{domain}" if domain else name, detail)

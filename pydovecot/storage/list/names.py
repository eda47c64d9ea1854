"""Which names a mailbox may have, with Dovecot's words for what is wrong."""

from collections.abc import Sequence
from typing import Final, NoReturn

from pydovecot.model.errors import Code, UserError

MAX_NAME_BYTES: Final = 4096  # Dovecot: MAILBOX_LIST_NAME_MAX_LENGTH
MAX_LEVELS: Final = 255  # Dovecot: MAILBOX_MAX_HIERARCHY_LEVELS
MAX_PART_BYTES: Final = 255  # Dovecot: MAILBOX_MAX_HIERARCHY_NAME_LENGTH; also what file systems take


def refuse(why: str) -> NoReturn:
    """A name that cannot be."""
    raise UserError(Code.CANNOT, f"Invalid mailbox name: {why}")


def check(parts: Sequence[str], separator: str, layout_separator: str) -> None:
    """Refuse names that no layout can hold. `separator` is the namespace's, `layout_separator` the driver's.

    Texts: Dovecot 2.3, mailbox_verify_name.
    """
    name = separator.join(parts)
    if not name:
        refuse("Name is empty")
    if not parts[0]:
        refuse("Begins with hierarchy separator")
    if "" in parts[:-1]:
        refuse("Has adjacent hierarchy separators")
    if not parts[-1]:
        refuse("Ends with hierarchy separator")
    if layout_separator != separator and layout_separator in name:
        raise UserError(Code.CANNOT, f"Character not allowed in mailbox name: '{layout_separator}'")
    if any("/" in part for part in parts):
        refuse("Name must not have '/' characters")
    if name.startswith("~"):
        refuse("Begins with '~'")
    if len(parts) > MAX_LEVELS or len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
        raise UserError(Code.CANNOT, "Mailbox name too long")
    if any(len(part.encode("utf-8", "surrogateescape")) > MAX_PART_BYTES for part in parts):
        raise UserError(Code.CANNOT, "Mailbox or child name too long")
    if any(ord(char) < 32 or ord(char) == 127 for char in name):
        refuse("Control characters not allowed in new mailbox names")

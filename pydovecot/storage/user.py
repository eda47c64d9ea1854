"""Whose mail a store holds, and the % variables that its paths may use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _to_nobody(_text: str) -> None:
    """The default of `log_error` and `log_info`."""


@dataclass(frozen=True, slots=True)
class StorageUser:
    """The user as userdb described it. `variables` adds to (or replaces) our own % variables.

    `log_error` gets what goes wrong where no command has to fail for it, `log_info` what plugins tell.
    `home` may be empty; a `mail_location` with ~/ or %h then fails as the user's store is opened.
    """

    username: str
    home: str = ""
    service: str = "imap"
    variables: Mapping[str, str] = field(default_factory=dict)
    log_error: Callable[[str], None] = _to_nobody
    log_info: Callable[[str], None] = _to_nobody

    def table(self) -> dict[str, str]:
        """% variables by their short and long names. Dovecot: Variables, "Global variables"."""
        name, _, domain = self.username.partition("@")
        table = {
            "u": self.username,
            "user": self.username,
            "n": name,
            "username": name,
            "d": domain,
            "domain": domain,
            "h": self.home,
            "home": self.home,
            "s": self.service,
            "service": self.service,
        }
        table.update(self.variables)
        return table

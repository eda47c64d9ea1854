"""The login log line: login_log_format around login_log_format_elements, where empty elements are left out.

Administrators' tools read these lines (fail2ban, log analysers), so they are Dovecot's to the letter.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from pydovecot.settings.expand import expand

MAX_USER_IN_LOG: Final = 80
MAX_MECH_IN_LOG: Final = 64  # Dovecot: MAX_MECH_NAME

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# The letters u and n alone, behind modifiers: an element with a user name is shown even when it is empty.
_USER_KEY: Final = re.compile(r"%-?[0-9]*(?:\.-?[0-9]*)?[LUEXRHNMDT]*[un]")
_NAMES: Final = (
    "user", "username", "domain", "service", "home", "lip", "rip", "pid", "mech", "lport", "rport", "secured",
    "ssl_security", "mail_pid", "session", "real_lip", "real_rip", "real_lport", "real_rport", "orig_user",
    "orig_username", "orig_domain", "auth_user", "auth_username", "auth_domain", "listener", "local_name",
)  # fmt: skip
_EMPTY: Final[Mapping[str, str]] = dict.fromkeys(_NAMES, "")


def sanitize(text: str, limit: int = MAX_USER_IN_LOG) -> str:
    """`text` without control characters and at most `limit` characters, the cut shown by dots."""
    if _CONTROL.search(text):
        text = _CONTROL.sub("?", text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


@lru_cache(maxsize=32)
def _elements(template: str) -> tuple[tuple[str, str | None], ...]:
    """The elements with their text when all variables are empty; None: shown always."""
    return tuple(
        (word, None if _USER_KEY.search(word) else expand(word, _EMPTY, {"passdb": lambda _name: ""}))
        for word in template.split()
    )


def user_variables(prefix: str, user: str) -> dict[str, str]:
    """`user`, `username` and `domain` under a prefix ("", "orig_", "auth_"), fit for a log line."""
    name, _, domain = user.partition("@")
    return {
        f"{prefix}user": sanitize(user),
        f"{prefix}username": sanitize(name),
        f"{prefix}domain": sanitize(domain),
    }


def format_line(
    log_format: str,
    elements: str,
    text: str,
    table: Mapping[str, str],
    passdb: Callable[[str], str | None],
) -> str:
    """One log line about a client."""
    functions = {"passdb": passdb}
    shown = []
    for word, when_empty in _elements(elements):
        value = expand(word, table, functions)
        if value != when_empty:
            shown.append(value)
    return expand(log_format, {"s": ", ".join(shown), "$": text})

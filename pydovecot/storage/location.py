"""mail_location: driver:path:KEY=value..., and what ~/ and a missing driver mean."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydovecot.model.errors import InternalError

KEYS: Final = frozenset(
    [
        "INDEX",
        "INDEXPVT",
        "INDEXCACHE",
        "CONTROL",
        "INBOX",
        "LAYOUT",
        "DIRNAME",
        "FULLDIRNAME",
        "MAILBOXDIR",
        "SUBSCRIPTIONS",
        "ALT",
        "LISTINDEX",
        "VOLATILEDIR",
        "BROKENCHAR",
    ]
)
SWITCHES: Final = frozenset(["ALTNOCHECK", "ITERINDEX", "UTF-8", "NO-NOSELECT", "NO-FS-VALIDATION"])


@dataclass(frozen=True, slots=True)
class Location:
    """A location whose variables are expanded. `root` has no trailing slash; keys are by name."""

    driver: str
    root: str
    keys: Mapping[str, str] = field(default_factory=dict)

    def key(self, name: str) -> str:
        """The value of a key, "" when it is not given; switches give "yes"."""
        return self.keys.get(name, "")


def parse(text: str, home: str, username: str = "") -> Location:
    """Split an expanded mail_location; "" or a bare path: look what is there.

    InternalError with Dovecot's words if it makes no sense.
    """
    driver, colon, rest = text.partition(":")
    if not colon or "/" in driver:
        driver, rest = "", text
    if not rest and driver in ("", "auto"):
        return detect(home, username)
    path, *words = _split(rest)
    keys: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in KEYS:
            keys[name] = _with_home(value, home) if name != "LAYOUT" else value.lower()
        elif not equals and name in SWITCHES:
            keys[name] = "yes"
        else:
            raise InternalError(
                f"Initialization failed: Invalid mail location {text}: Unknown setting: {name}"
            )
    path = _with_home(path, home)
    if not driver:
        driver = _driver_of(path)
    return Location(driver, path.rstrip("/") or path, keys)


def _split(text: str) -> list[str]:
    """Split at ":"; "::" stands for one colon."""
    return [part.replace("\0", ":") for part in text.replace("::", "\0").split(":")]


def _with_home(path: str, home: str) -> str:
    if path == "~" or path.startswith("~/"):
        if not home:
            raise InternalError("Initialization failed: Home directory not set for user, can't expand ~/")
        return home + path[1:]
    return path


def _driver_of(path: str) -> str:
    return "maildir" if Path(path, "cur").is_dir() or not Path(path).exists() else "mbox"


SPOOLS: Final = ("/var/mail", "/var/spool/mail")


def detect(home: str, username: str = "", spools: Sequence[str] = SPOOLS) -> Location:
    """~/Maildir if it is there, else ~/mail or ~/Mail with the user's mbox in a spool directory as INBOX.

    As Dovecot, which looks for mdbox and sdbox, too.
    """
    if home and Path(home, "Maildir", "cur").is_dir():
        return Location("maildir", f"{home}/Maildir")
    for root in (f"{home}/mail", f"{home}/Mail") if home else ():
        if os.path.isdir(root) and os.access(root, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            inboxes = [f"{spool}/{username}" for spool in spools] if username and "/" not in username else []
            found = [path for path in inboxes if os.access(path, os.R_OK | os.W_OK, effective_ids=True)]
            return Location("mbox", root, {"INBOX": found[0]} if found else {})
    raise InternalError(
        "Initialization failed: mail_location not set and autodetection failed: "
        "Mail storage autodetection failed with home=" + (home or "(not set)")
    )

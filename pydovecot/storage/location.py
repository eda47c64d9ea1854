"""mail_location: driver:path:KEY=value..., and what ~/ and a missing driver mean."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """Split an expanded mail_location; "" or a path without a driver: look what is there.

    InternalError with Dovecot's words if it makes no sense.
    """
    driver, colon, rest = text.partition(":")
    if not colon or "/" in driver:
        driver, rest = "", text
    if driver == "auto":
        driver = ""
    if not rest and not driver:
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
    root = path.rstrip("/") or path
    if not driver:
        return _detect_at(root, keys, home, text)
    if not root and driver in NEED_ROOT:
        raise InternalError(f"{INVALID}Root mail directory not given")
    return Location(driver, root, keys)


def _split(text: str) -> list[str]:
    """Split at ":"; "::" stands for one colon."""
    return [part.replace("\0", ":") for part in text.replace("::", "\0").split(":")]


def _with_home(path: str, home: str) -> str:
    if path == "~" or path.startswith("~/"):
        if not home:
            raise InternalError("Initialization failed: Home directory not set for user, can't expand ~/")
        return home + path[1:]
    return path


INVALID: Final = "Initialization failed: Initializing mail storage from mail_location setting failed: "
SPOOLS: Final = ("/var/mail", "/var/spool/mail")
NEED_ROOT: Final = frozenset(["maildir", "mbox", "mdbox", "sdbox"])
# What a format is known by, in the order in which Dovecot looks: driver, folder in the home, folder in that.
SIGNS: Final = (("sdbox", "sdbox", "mailboxes"), ("mdbox", "mdbox", "storage"), ("maildir", "Maildir", "cur"))
MBOX_ROOTS: Final = ("mail", "Mail")
# An mbox root has the folder of the index, or one of these files.
MBOX_INDEX: Final = ".imap"
MBOX_FILES: Final = ("inbox", "mbox")


def detect(home: str, username: str = "", spools: Sequence[str] = SPOOLS) -> Location:
    """What the home has; for mbox the INBOX is the user's file in a spool directory, if there is one."""
    for driver, name, sign in SIGNS if home else ():
        if _is_folder(f"{home}/{name}/{sign}"):
            return Location(driver, f"{home}/{name}")
    root = _mbox_root(home)
    if root:
        inboxes = [f"{spool}/{username}" for spool in spools] if username and "/" not in username else []
        found = [path for path in inboxes if os.access(path, os.R_OK | os.W_OK, effective_ids=True)]
        return Location("mbox", root, {"INBOX": found[0]} if found else {})
    raise InternalError(
        "Initialization failed: mail_location not set and autodetection failed: "
        "Mail storage autodetection failed with home=" + (home or "(not set)")
    )


def _detect_at(root: str, keys: Mapping[str, str], home: str, text: str) -> Location:
    """What is at a path that was given without a driver; a file is an INBOX in mbox format."""
    for driver, _, sign in SIGNS:
        if _is_folder(f"{root}/{sign}"):
            return Location(driver, root, keys)
    if _is_mbox_root(root):
        return Location("mbox", root, keys)
    if "INBOX" not in keys and _is_file(root) and (folder := _mbox_root(home)):
        return Location("mbox", folder, {**keys, "INBOX": root})
    raise InternalError(
        f"{INVALID}Ambiguous mail location setting, don't know what to do with it: {text} "
        "(try prefixing it with mbox: or maildir:)"
    )


def _mbox_root(home: str) -> str:
    roots = (f"{home}/{name}" for name in MBOX_ROOTS if home)
    return next((root for root in roots if _is_mbox_root(root)), "")


def _is_mbox_root(path: str) -> bool:
    return _is_folder(f"{path}/{MBOX_INDEX}") or any(_is_file(f"{path}/{name}") for name in MBOX_FILES)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True)


def _is_file(path: str) -> bool:
    usable = os.access(path, os.R_OK | os.W_OK, effective_ids=True)
    return usable and not os.path.isdir(path)

"""Why the kernel said "Permission denied", in the words that Dovecot's administrators know."""

import grp
import os
import pwd
import stat
from typing import Final

_BITS: Final = {"w": 0o222, "x": 0o111}


def explain(path: str) -> str:
    """Who we are, and which directory above `path` lacks what; "" when that cannot be seen."""
    directory = os.path.dirname(path) or "."
    who = f"euid={os.geteuid()}{_user(os.geteuid())} egid={os.getegid()}{_group(os.getegid())}"
    for above in _parents(directory):
        if not os.access(above, os.X_OK, effective_ids=True):
            return f"({who} missing +x perm: {above}{_about(above, 'x')})"
    if os.access(directory, os.W_OK, effective_ids=True):
        return f"({who} UNIX perms appear ok (ACL/MAC wrong?))"
    return f"({who} missing +w perm: {directory}{_about(directory, 'w')})"


def _parents(directory: str) -> list[str]:
    """From the root down."""
    parts = os.path.abspath(directory).split("/")
    return ["/".join(parts[: count + 1]) or "/" for count in range(1, len(parts))]


def _about(directory: str, kind: str) -> str:
    try:
        found = os.stat(directory)
    except OSError:
        return ""
    mode = stat.S_IMODE(found.st_mode) & 0o777
    text = f", dir owned by {found.st_uid}:{found.st_gid} mode=0{mode:o}"
    if found.st_uid == os.geteuid():
        return text
    mine = {os.getegid(), *os.getgroups()}
    if mode & 0o070 & _BITS[kind] and found.st_gid not in mine:
        return f", we're not in group {found.st_gid}{_group(found.st_gid)}{text}"
    return text


def _user(uid: int) -> str:
    try:
        return f"({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return "(<unknown>)"


def _group(gid: int) -> str:
    try:
        return f"({grp.getgrgid(gid).gr_name})"
    except KeyError:
        return "(<unknown>)"

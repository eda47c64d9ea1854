"""An example for `driver = python`: users in a text file of blank separated words, `name password uid`.

    passdb {
      driver = python
      args = /etc/dovecot/users.py:lookup
    }
    userdb {
      driver = python
      args = /etc/dovecot/users.py:lookup
    }

`lookup` may be asked by both: a passdb takes what it needs of the fields, and so does a userdb.
"""

from collections.abc import Iterator, Mapping
from typing import Any

FILE = "/etc/dovecot/users.txt"


def lookup(user: Any) -> Mapping[str, object] | None:
    """The fields of one user. `user` has the names of the % variables: user.user, user.domain, user.rip …"""
    for name, password, uid in _rows():
        if name == user.user:
            return {"password": password, "userdb_uid": uid, "uid": uid, "home": f"/srv/mail/{name}"}
    return None


def _users() -> Iterator[str]:
    return (name for name, _, _ in _rows())


# What `doveadm -A` wants to know.
lookup.users = _users  # type: ignore[attr-defined]


def _rows() -> Iterator[list[str]]:
    with open(FILE, encoding="utf-8") as stream:
        for line in stream:
            words = line.split()
            if len(words) == 3 and not line.startswith("#"):
                yield words

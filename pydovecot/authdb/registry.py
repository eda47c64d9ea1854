"""The tables of drivers: what may stand after `driver =` in passdb {} and userdb {}."""

from collections.abc import Callable, Mapping
from typing import Final

from pydovecot.authdb.driver import DriverWorld, Passdb, Userdb
from pydovecot.authdb.passdb.pam import PamPassdb
from pydovecot.authdb.passdb.passwd import PasswdPassdb
from pydovecot.authdb.passdb.passwd_file import PasswdFilePassdb
from pydovecot.authdb.passdb.python import PythonPassdb
from pydovecot.authdb.passdb.shadow import ShadowPassdb
from pydovecot.authdb.passdb.sql import SqlPassdb
from pydovecot.authdb.passdb.static import StaticPassdb
from pydovecot.authdb.userdb.passwd import PasswdUserdb
from pydovecot.authdb.userdb.passwd_file import PasswdFileUserdb
from pydovecot.authdb.userdb.prefetch import PrefetchUserdb
from pydovecot.authdb.userdb.python import PythonUserdb
from pydovecot.authdb.userdb.sql import SqlUserdb
from pydovecot.authdb.userdb.static import StaticUserdb

PASSDBS: Final[Mapping[str, Callable[[str, DriverWorld], Passdb]]] = {
    "static": StaticPassdb,
    "passwd-file": PasswdFilePassdb,
    "passwd": PasswdPassdb,
    "shadow": ShadowPassdb,
    "pam": PamPassdb,
    "sql": SqlPassdb,
    "python": PythonPassdb,
}
USERDBS: Final[Mapping[str, Callable[[str, DriverWorld], Userdb]]] = {
    "static": StaticUserdb,
    "passwd-file": PasswdFileUserdb,
    "passwd": PasswdUserdb,
    "prefetch": PrefetchUserdb,
    "sql": SqlUserdb,
    "python": PythonUserdb,
}

# What Dovecot 2.2 and 2.3 know besides: the name is right, we do not have the driver.
NOT_YET: Final = frozenset(
    {"ldap", "dict", "checkpassword", "imap", "oauth2"} | {"lua", "bsdauth", "sia", "vpopmail", "nss"}
)

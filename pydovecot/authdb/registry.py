"""The tables of drivers: what may stand after `driver =` in passdb {} and userdb {}."""

from collections.abc import Callable, Mapping
from typing import Final

from pydovecot.authdb.driver import DriverWorld, Passdb, Userdb
from pydovecot.authdb.passdb.pam import PamPassdb
from pydovecot.authdb.passdb.passwd import PasswdPassdb
from pydovecot.authdb.passdb.passwd_file import PasswdFilePassdb
from pydovecot.authdb.passdb.static import StaticPassdb
from pydovecot.authdb.userdb.passwd import PasswdUserdb
from pydovecot.authdb.userdb.passwd_file import PasswdFileUserdb
from pydovecot.authdb.userdb.prefetch import PrefetchUserdb
from pydovecot.authdb.userdb.static import StaticUserdb

PASSDBS: Final[Mapping[str, Callable[[str, DriverWorld], Passdb]]] = {
    "static": StaticPassdb,
    "passwd-file": PasswdFilePassdb,
    "passwd": PasswdPassdb,
    "pam": PamPassdb,
}
USERDBS: Final[Mapping[str, Callable[[str, DriverWorld], Userdb]]] = {
    "static": StaticUserdb,
    "passwd-file": PasswdFileUserdb,
    "passwd": PasswdUserdb,
    "prefetch": PrefetchUserdb,
}

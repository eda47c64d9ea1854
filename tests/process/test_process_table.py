"""docs/security.md's table of processes, as far as it does not depend on the unit: the plain tree of root."""

import contextlib
import dataclasses
import grp
import imaplib
import os
import poplib
import pwd
import socket

import pytest

from tests.support.cluster import Cluster
from tests.support.echo_master import wait_until
from tests.support.processtable import Names, Process, Row, documented, table
from tests.support.serverconf import PASSWORD, ROOT_MAIL_UID

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: an ordinary user's server has one user"),
]
# Not in the tree of the tests: no LMTP there, and no user database that blocks.
ABSENT = {"lmtp", "template lmtp", "auth-worker"}
# As in the configuration that the package brings.
AS_PACKAGED = "service imap-login {\n  service_count = 0\n}\nservice pop3-login {\n  service_count = 0\n}\n"
PORTS = {"imap": "143", "imaps": "993", "pop3": "110", "pop3s": "995"}


def test_process_table() -> None:
    rows = {name: row for name, row in documented().items() if name not in ABSENT}
    # Some of its sockets belong to services that are not in this tree.
    rows["master"] = dataclasses.replace(rows["master"], listens=frozenset())
    users = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
    groups = {entry.gr_gid: entry.gr_name for entry in grp.getgrall()}
    with Cluster(AS_PACKAGED) as cluster, contextlib.ExitStack() as stack:
        run = cluster.place.run
        imap = stack.enter_context(imaplib.IMAP4("127.0.0.1", cluster.imap))
        imap.login("mary", PASSWORD)
        pop3 = poplib.POP3("127.0.0.1", cluster.pop3)
        stack.callback(pop3.quit)
        pop3.user("mary")
        pop3.pass_(PASSWORD)
        for name in ("lda", "doveadm-server"):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(f"{run}/{name}")
        master = int((run / "master.pid").read_text())
        ports = {str(getattr(cluster, name)): port for name, port in PORTS.items()}
        names = Names(
            users | {ROOT_MAIL_UID: "mail user"},
            groups | {ROOT_MAIL_UID: "mail user"},
            {f"{run}/login": "login", f"{run}/empty": "empty", "/": "/"},
            next(one.capabilities for one in table(master, run, [])),
        )
        seen: set[Row] = set()

        def described(process: Process) -> Row:
            # Started by a shell, root's processes have its groups; under systemd there are none.
            own = frozenset() if process.uid else frozenset(os.getgroups()) - {0}
            row = names.row(dataclasses.replace(process, groups=process.groups - own))
            mine = frozenset() if row.name == "master" else row.listens
            return dataclasses.replace(row, listens=frozenset(ports.get(n, n) for n in mine))

        def as_documented() -> bool:
            """Those that have just come are root first."""
            seen.clear()
            seen.update(described(process) for process in table(master, run, list(names.roots)))
            return seen == set(rows.values())

        with contextlib.suppress(AssertionError):  # said better by the next line
            wait_until(as_documented, "processes", 30)
        assert {row.name: row for row in seen} == rows
        assert len(seen) == len(rows)  # processes of one name are alike

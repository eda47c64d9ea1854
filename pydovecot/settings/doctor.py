"""Looks whether a configuration will work on this machine: users, files, ports (`doveconf --check`).

Everything here asks the system; `settings.check` has the checks that do not.
"""

import errno
import grp
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydovecot.settings import kinds
from pydovecot.settings.check import user_exists
from pydovecot.settings.effective import Effective, effective, matches, merge
from pydovecot.settings.known import HIDDEN
from pydovecot.settings.master import Configuration, ServiceConfig, configuration
from pydovecot.settings.tree import Filter, Query, Section, Tree, Value

_FILE_ARGS: Final = frozenset({"passwd-file"})  # drivers whose args end with the path of a file
_SECRET_FILES: Final = ("ssl_key", "ssl_alt_key", "ssl_client_key")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found. `level` is "Error" or "Warning"."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Known:
    """What this version has; the layers above know it."""

    passdbs: frozenset[str] = frozenset()
    userdbs: frozenset[str] = frozenset()
    mechanisms: frozenset[str] = frozenset()
    mail_drivers: frozenset[str] = frozenset()


def examine(tree: Tree, known: Known) -> list[Finding]:
    """All findings for a configuration that was parsed with `expand=True`."""
    made = configuration(tree)
    root = effective(merge(tree, Query()))
    return [
        *_accounts(made),
        *_paths(made),
        *_tls(tree, root),
        *_databases(root),
        *_drivers(root, known),
        *_files(tree),
        *_ports(made),
        *_directories(root),
    ]


def possible(wanted: Filter, query: Query) -> bool:
    """True unless the query contradicts the filter; parts that the query leaves open contradict nothing."""
    return matches(
        Filter(
            wanted.protocol if query.protocol else "",
            wanted.local if query.local_ip else None,
            wanted.local_name if query.local_name else "",
            wanted.remote if query.remote_ip else None,
        ),
        query,
    )


def group_exists(name: str) -> bool:
    """True for a name or number of a group of this system."""
    if name.isdecimal():
        return True
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):
        return False
    return True


def _accounts(made: Configuration) -> Iterator[Finding]:
    for key in ("default_login_user", "default_internal_user"):
        if not user_exists(made.settings[key]):
            yield Finding("Error", f"{key} doesn't exist: {made.settings[key]}")
    if made.settings["default_login_user"] == made.settings["default_internal_user"]:
        yield Finding("Warning", "default_login_user and default_internal_user should be different users")
    for key in ("mail_uid", "mail_gid", "mail_privileged_group", "mail_access_groups"):
        for name in made.settings[key].replace(",", " ").split():
            if not (user_exists(name) if key == "mail_uid" else group_exists(name)):
                yield Finding("Error", f"{key} doesn't exist: {name}")
    seen: set[tuple[str, str]] = set()
    for service in made.services:
        for what, name in _names(service):
            exists = user_exists(name) if what == "user" else group_exists(name)
            if not exists and (what, name) not in seen:
                seen.add((what, name))
                yield Finding("Error", f"service({service.name}): {what} doesn't exist: {name}")


def _names(service: ServiceConfig) -> Iterator[tuple[str, str]]:
    yield from (("user", name) for name in (service.user,) if name)
    groups = [service.group, service.privileged_group, *service.extra_groups.replace(",", " ").split()]
    yield from (("group", name) for name in groups if name)
    for listener in service.listeners:
        if listener.user:
            yield "user", listener.user
        if listener.group:
            yield "group", listener.group


def _paths(made: Configuration) -> Iterator[Finding]:
    for service in made.services:
        program = service.executable.split(" ")[0]
        if program.startswith("/") and not os.access(program, os.X_OK):
            yield Finding("Error", f"service({service.name}) access({program}) failed: {_why(program)}")
        for listener in service.listeners:
            # sockaddr_un has 108 bytes.
            if listener.kind == "unix" and len(os.fsencode(listener.path)) > 107:
                yield Finding("Error", f"service({service.name}): path is too long: {listener.path}")


def _why(path: str) -> str:
    return os.strerror(errno.EACCES if os.path.exists(path) else errno.ENOENT)


def _written(tree: Tree) -> Iterator[tuple[str, Value]]:
    """All global settings that somebody wrote, in all blocks."""
    for root in (tree.root, *(block.root for block in tree.blocks)):
        yield from root.values.items()


def _tls(tree: Tree, root: Effective) -> Iterator[Finding]:
    if root.text("ssl") == "no":
        return
    for key in ("ssl_cert", "ssl_key"):
        if not root.text(key):
            yield Finding("Error", f"ssl = {root.text('ssl')} but {key} is not set")
    for key, value in _written(tree):
        if not value.path:
            if key in ("ssl_cert", "ssl_key") and value.text.startswith("/"):
                yield Finding("Error", f"{_at(value)}: {key} is a path: write {key} = <{value.text}")
            continue
        try:
            facts = os.stat(value.path)
            with open(value.path, "rb"):
                pass
        except OSError as exc:
            yield Finding("Error", f"{_at(value)}: {key}: Can't open file {value.path}: {exc.strerror}")
            continue
        if key in _SECRET_FILES and facts.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            who = "everybody" if facts.st_mode & stat.S_IROTH else "its group"
            yield Finding("Warning", f"{_at(value)}: {key}: {value.path} may be read by {who}")


def _at(value: Value) -> str:
    return f"{value.file} line {value.line}"


def _databases(root: Effective) -> Iterator[Finding]:
    if not any(True for _ in root.children("passdb")):
        yield Finding("Error", "no passdb is configured: nobody can log in")
    for kind in ("passdb", "userdb"):
        for database in root.children(kind):
            args = database.text("args").split()
            if database.text("driver") not in _FILE_ARGS or not args:
                continue
            path = args[-1]
            if "%" not in path and not os.access(path, os.R_OK):
                where = _place(database.section)
                yield Finding("Error", f"{where}{kind}: {path}: {_why(path)}")


def _drivers(root: Effective, known: Known) -> Iterator[Finding]:
    """Names of drivers and mechanisms that this version lacks."""
    for kind, names in (("passdb", known.passdbs), ("userdb", known.userdbs)):
        for database in root.children(kind):
            driver = database.text("driver")
            if driver not in names:
                where = _place(database.section)
                yield Finding("Error", f"{where}{kind} driver {driver} is not implemented")
    for mechanism in root.text("auth_mechanisms").upper().split():
        if mechanism not in known.mechanisms:
            yield Finding("Error", f"{_of(root, 'auth_mechanisms')}mechanism {mechanism} is not implemented")
    locations = [(root, "mail_location"), *((space, "location") for space in root.children("namespace"))]
    for section, key in locations:
        driver, colon, _ = section.text(key).partition(":")
        if colon and driver.isalnum() and driver not in (*known.mail_drivers, "auto"):
            yield Finding("Error", f"{_of(section, key)}mail driver {driver} is not implemented")


def _of(section: Effective, key: str) -> str:
    value = section.value(key)
    return f"{_at(value)}: " if value else ""


def _files(tree: Tree) -> Iterator[Finding]:
    """Permissions of the configuration files themselves."""
    public = set()
    for path in dict.fromkeys(tree.files):
        mode = os.stat(path).st_mode
        if mode & stat.S_IWOTH:
            yield Finding("Error", f"{path} may be written by everybody")
        if mode & stat.S_IROTH:
            public.add(path)
    for key, value in _written(tree):
        if key in HIDDEN and value.text and not value.path and value.file in public:
            yield Finding(
                "Warning", f"{_at(value)}: {key} may be read by everybody: move it to a file of its own"
            )


def _place(section: Section | None) -> str:
    return f"{section.file} line {section.line}: " if section else ""


def _ports(made: Configuration) -> Iterator[Finding]:
    """Ports that another program holds. A server of this configuration that runs holds them rightly."""
    if os.path.exists(f"{made.base_dir}/master.pid"):
        return
    for service in made.services:
        for listener in service.listeners:
            for address in listener.addresses if listener.kind == "inet" else ():
                reason = _bind_fails(address, listener.port)
                if reason:
                    text = f"service({service.name}): listen({address}, {listener.port}) failed: {reason}"
                    yield Finding("Error", text)


def _bind_fails(address: str, port: int) -> str:
    host = {"*": "0.0.0.0", "::": "::", "[::]": "::"}.get(address, address.strip("[]"))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
    except OSError as exc:
        # Hosts without IPv6 are told nothing: "*, ::" is the default.
        if exc.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL) and address in ("::", "[::]"):
            return ""
        if exc.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
            return ""
        return exc.strerror or str(exc)
    return ""


def _directories(root: Effective) -> Iterator[Finding]:
    for key in ("base_dir", "state_dir", "mail_temp_dir"):
        path = root.text(key)
        if not path.startswith("/"):
            yield Finding("Error", f"{key} is no absolute path: {path}")
        elif os.path.exists(path) and not os.path.isdir(path):
            yield Finding("Error", f"{key} is no directory: {path}")
    prefix = root.text("mail_location")
    if prefix and not prefix.partition(":")[1] and not prefix.startswith(("/", "~")):
        yield Finding("Error", f"mail_location has no driver and is no path: {prefix}")
    limit = kinds.parse_uint(root.text("mail_max_userip_connections"))
    if limit and limit < 5:
        yield Finding(
            "Warning", f"mail_max_userip_connections = {limit}: mail clients open several connections each"
        )

"""What the master tells a child: descriptors at fixed numbers, the rest as plain values.

A forked child gets `ChildParams` itself; a program that is exec'ed (`executable = /usr/local/bin/x`) gets the
same facts in the environment, by Dovecot's names.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydovecot.base import tabescape
from pydovecot.base.privileges import Privileges
from pydovecot.event.targets import LogTarget

LOG_FD: Final = 2
ANVIL_FD: Final = 3  # write end of the pipe to anvil; /dev/null where there is none
NOTIFY_FD: Final = 4  # login services: the shared file whose offset says "all are full"; anvil: its log fd
STATUS_FD: Final = 5
DEAD_FD: Final = 6  # turns readable when the master is gone or this generation's time is over
FIRST_LISTENER_FD: Final = 7

ENV_MARK: Final = "DOVECOT_CHILD_PROCESS"


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening descriptor that the child inherits. `kind`: unix, inet, fifo, or pipe (log, anvil)."""

    fd: int
    name: str
    kind: str = "unix"
    ssl: bool = False
    haproxy: bool = False


@dataclass(frozen=True, slots=True)
class ChildParams:
    """One child's place in the process tree."""

    service: str
    base_dir: str
    config_file: str = ""
    protocol: str = ""
    type: str = ""
    argv: tuple[str, ...] = ()
    generation: int = 0  # number of this process among all that the master started
    client_limit: int = 1
    process_limit: int = 1
    process_min_avail: int = 0
    service_count: int = 0
    idle_kill: int = 60
    verbose_proctitle: bool = False
    log_debug: bool = False
    shutdown_clients: bool = True
    privileges: Privileges = field(default_factory=Privileges)
    listeners: tuple[Listener, ...] = ()
    log: LogTarget = field(default_factory=LogTarget)

    def to_environ(self) -> dict[str, str]:
        """Environment of an exec'ed child, in Dovecot's names."""
        env = {
            ENV_MARK: "1",
            "GENERATION": str(self.generation),
            "SERVICE_NAME": self.service,
            "PROTOCOL": self.protocol,
            "SERVICE_TYPE": self.type,
            "CLIENT_LIMIT": str(self.client_limit),
            "PROCESS_LIMIT": str(self.process_limit),
            "PROCESS_MIN_AVAIL": str(self.process_min_avail),
            "SERVICE_COUNT": str(self.service_count),
            "IDLE_KILL": str(self.idle_kill),
            "CONFIG_FILE": f"{self.base_dir}/config",
            "BASE_DIR": self.base_dir,
            "LOG_SERVICE": "1",
            "SOCKET_COUNT": str(len(self.listeners)),
        }
        if self.verbose_proctitle:
            env["VERBOSE_PROCTITLE"] = "1"
        if self.log_debug:
            env["LOG_DEBUG"] = "1"
        if self.shutdown_clients:
            env["SHUTDOWN_CLIENTS"] = "1"
        for number, listener in enumerate(self.listeners):
            fields = [listener.name, f"type={listener.kind}"]
            fields += ["ssl"] if listener.ssl else []
            fields += ["haproxy"] if listener.haproxy else []
            env[f"SOCKET{number}_SETTINGS"] = "\t".join(map(tabescape.escape_text, fields))
        return env | _restrictions(self.privileges)

    @classmethod
    def from_environ(cls, env: Mapping[str, str] = os.environ) -> "ChildParams":
        """Read `to_environ` back; descriptors are those of the fixed layout."""
        listeners = []
        for number in range(int(env.get("SOCKET_COUNT", "0"))):
            fields = [tabescape.unescape_text(f) for f in env[f"SOCKET{number}_SETTINGS"].split("\t")]
            kind = next((f[5:] for f in fields[1:] if f.startswith("type=")), "unix")
            fd = FIRST_LISTENER_FD + number
            listeners.append(Listener(fd, fields[0], kind, "ssl" in fields[1:], "haproxy" in fields[1:]))
        return cls(
            service=env["SERVICE_NAME"],
            base_dir=env["BASE_DIR"],
            config_file=env.get("CONFIG_FILE", ""),
            protocol=env.get("PROTOCOL", ""),
            type=env.get("SERVICE_TYPE", ""),
            generation=int(env.get("GENERATION", "0")),
            client_limit=int(env.get("CLIENT_LIMIT", "1")),
            process_limit=int(env.get("PROCESS_LIMIT", "1")),
            process_min_avail=int(env.get("PROCESS_MIN_AVAIL", "0")),
            service_count=int(env.get("SERVICE_COUNT", "0")),
            idle_kill=int(env.get("IDLE_KILL", "60")),
            verbose_proctitle="VERBOSE_PROCTITLE" in env,
            log_debug="LOG_DEBUG" in env,
            shutdown_clients="SHUTDOWN_CLIENTS" in env,
            privileges=_privileges(env),
            listeners=tuple(listeners),
        )


def _restrictions(privileges: Privileges) -> dict[str, str]:
    env: dict[str, str] = {}
    if privileges.uid is not None:
        env["RESTRICT_SETUID"] = str(privileges.uid)
    if privileges.gid is not None:
        env["RESTRICT_SETGID"] = str(privileges.gid)
    if privileges.groups:
        env["RESTRICT_SETEXTRAGROUPS"] = ",".join(map(str, privileges.groups))
    if privileges.chroot:
        env["RESTRICT_CHROOT"] = privileges.chroot
    return env


def _privileges(env: Mapping[str, str]) -> Privileges:
    uid, gid = env.get("RESTRICT_SETUID"), env.get("RESTRICT_SETGID")
    groups = env.get("RESTRICT_SETEXTRAGROUPS", "")
    return Privileges(
        uid=None if uid is None else int(uid),
        gid=None if gid is None else int(gid),
        groups=tuple(int(g) for g in groups.split(",") if g),
        chroot=env.get("RESTRICT_CHROOT", ""),
    )

"""All services of one reading of the configuration: their listeners, their processes, their end.

A reload makes a new generation, hands the listening sockets over, and retires the old one: its processes take
no new clients and end when theirs are gone.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from pydovecot.base import privileges
from pydovecot.base.fdpass import send_fds
from pydovecot.base.privileges import PrivilegeError, Privileges
from pydovecot.event.targets import LogTarget
from pydovecot.net import listeners
from pydovecot.net.listeners import Inherited, ListenError
from pydovecot.runtime.child import FIRST_LISTENER_FD, ChildParams, Listener
from pydovecot.runtime.spec import Family
from pydovecot.services.master import spawn
from pydovecot.services.master.executables import Program, find_program
from pydovecot.services.master.nursery import Nursery
from pydovecot.services.master.service import Service
from pydovecot.services.master.world import Pipe, World

if TYPE_CHECKING:
    from pydovecot.settings.master import Configuration, ServiceConfig
    from pydovecot.settings.master import Listener as ListenerConfig

STDERR: Final = 2
Key = tuple[str, str, int]  # kind, path or address, port


class Generation:
    """The running services of one configuration."""

    def __init__(self, world: World, configuration: "Configuration") -> None:
        self.world = world
        self.configuration = configuration
        self.base_dir = configuration.base_dir
        self.retired = False
        self.successor: Generation | None = None
        self.dead = Pipe.make()
        self.master_log = Pipe.make()
        os.set_blocking(self.master_log.write, False)
        self.bound: dict[Key, int] = {}
        self.services: list[Service] = []
        self.missing: list[str] = []  # services that this version does not have
        self.off: list[str] = []  # listeners that an ordinary user cannot have
        self._programs: dict[str, Program] = {}
        self._privileges: dict[str, Privileges] = {}
        # anvil lives through reloads: its own dead pipe, and a socket that brings it the new log pipe.
        self.anvil_dead = Pipe.make()
        self.anvil_log_sockets = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for config in configuration.services:
            program = find_program(config.executable, configuration.libexec_dir, world.roles)
            if program is None:
                self.missing.append(config.name)
                continue
            self._programs[config.name] = program
            count = config.service_count
            if 0 < count < config.client_limit:
                # A process that ends after `count` clients must not take more of them at once.
                config = replace(config, client_limit=count)
            service = Service(world, self, config)
            if _wants_template(config, program):
                service.nursery = Nursery(world, service, partial(self._fork_template, service))
            self.services.append(service)

    # --- listeners ------------------------------------------------------------------------------------

    def open_listeners(self, old: "Generation | None", inherited: Inherited) -> list[str]:
        """Open or take over all listeners. Returns error lines; then nothing has changed but new sockets."""
        errors: list[str] = []
        fresh: list[Key] = []
        for service in self.services:
            try:
                self._privileges[service.name] = self._privileges_of(service)
            except PrivilegeError as exc:
                errors.append(f"service({service.name}): {exc}")
                continue
            for config in service.config.listeners:
                try:
                    for key in _keys(config):
                        if key in self.bound:
                            raise ListenError(f"duplicate listener: {config.path or config.name}")
                        fd = self._take(config, key, old, inherited)
                        if fd is None:
                            fd = self._open(config, key)
                            fresh.append(key)
                        if fd >= 0:
                            self.bound[key] = fd
                            service.fds.append(fd)
                except (ListenError, PrivilegeError, OSError) as exc:
                    errors.append(f"service({service.name}): {exc}")
        if errors:
            for key in fresh:
                fd = self.bound.get(key, -1)
                if fd >= 0:
                    os.close(fd)
        return errors

    def _take(
        self, config: "ListenerConfig", key: Key, old: "Generation | None", inherited: Inherited
    ) -> int | None:
        fd = old.bound.get(key) if old is not None else None
        if fd is None and key[0] == "unix":
            fd = inherited.take_unix(key[1])
        elif fd is None and key[0] == "inet":
            fd = inherited.take_inet(key[1], key[2])
        if fd is not None and key[0] != "inet":
            uid, gid = self._owner(config)
            listeners.set_owner(key[1], mode=config.mode, uid=uid, gid=gid)
        return fd

    def _open(self, config: "ListenerConfig", key: Key) -> int:
        """Open one; -1 when it is left out on purpose."""
        kind, where, port = key
        if kind == "inet":
            try:
                return listeners.open_inet(where, port, reuse_port=config.reuse_port)
            except ListenError as exc:
                if listeners.inet_is_optional(where, exc):
                    return -1
                if not self.world.root and isinstance(exc.__cause__, PermissionError):
                    self.off.append(f"{config.name} {where}:{port}")
                    return -1
                raise
        uid, gid = self._owner(config)
        listeners.make_folder(os.path.dirname(where))
        opener = listeners.open_unix if kind == "unix" else listeners.open_fifo
        return opener(where, mode=config.mode, uid=uid, gid=gid)

    def _owner(self, config: "ListenerConfig") -> tuple[int, int]:
        if not self.world.root:
            return -1, -1
        uid = privileges.user_id(config.user)[0] if config.user else -1
        gid = privileges.group_id(config.group) if config.group else -1
        return uid, gid

    def drop_waiting(self, fds: Sequence[int]) -> None:
        """Accept and close what waits on listeners."""
        for fd in fds:
            sock = socket.socket(fileno=os.dup(fd))
            try:
                while True:
                    sock.accept()[0].close()
            except OSError:
                pass  # empty, or a client was faster to leave
            finally:
                sock.close()

    # --- life -----------------------------------------------------------------------------------------

    def service(self, name: str) -> Service | None:
        """A service by its name."""
        return next((s for s in self.services if s.name == name), None)

    def of_type(self, kind: str) -> list[Service]:
        """Services of one type: "log", "anvil", "login"."""
        return [s for s in self.services if s.config.type == kind]

    def start(self) -> None:
        """log first, then the others in their order."""
        for service in self.of_type("log"):
            service.create()
        for service in self.services:
            service.start()
        for service in self.of_type("startup"):
            service.create()

    def adopt_anvil(self, old: "Generation") -> None:
        """Take the living anvil of `old` over: its counts must outlive a reload."""
        if not (theirs := old.of_type("anvil")) or not (ours := self.of_type("anvil")):
            return
        service, fresh = theirs[0], ours[0]
        for pipe in (self.anvil_dead, fresh.status):
            pipe.close()
        for end in self.anvil_log_sockets:
            end.close()
        self.anvil_dead, self.anvil_log_sockets = old.anvil_dead, old.anvil_log_sockets
        service.log, fresh.log = fresh.log, service.log
        fresh.log.close()
        service.config, service.fds, service.generation = fresh.config, fresh.fds, self
        self.services[self.services.index(fresh)] = service
        old.services.remove(service)
        if service.children:
            send_fds(self.anvil_log_sockets[0], b"0", [service.log.write])

    def retire(self, successor: "Generation | None") -> None:
        """Accept nothing more. Listeners that `successor` does not have are closed, their paths removed."""
        self.retired, self.successor = True, successor
        for service in self.services:
            service.retire()
        kept = set() if successor is None else set(successor.bound)
        for key, fd in self.bound.items():
            if key in kept:
                continue
            os.close(fd)
            if successor is not None and key[0] != "inet":
                try:
                    os.unlink(key[1])
                except FileNotFoundError:
                    continue
        self.bound = {}
        self.dead.close_write()
        if successor is not None:
            self.close()

    def discard(self) -> None:
        """This generation never ran: its listeners were closed or belong to another one."""
        self.retired = True
        self.close()
        self.anvil_dead.close()
        for end in self.anvil_log_sockets:
            end.close()

    def close(self) -> None:
        """Let go of the log pipes: the log process ends when the last child has."""
        for service in self.services:
            service.close()
            service.log.close()
        self.master_log.close()
        self.dead.close()

    def log_of(self, service: Service) -> int:
        """The log pipe for lines about a service; that of the successor when ours is closed."""
        generation = self
        while generation.successor is not None:
            generation = generation.successor
        if generation is not self:
            later = generation.service(service.name)
            return generation.master_log.write if later is None else later.log.write
        return service.log.write

    # --- fork -----------------------------------------------------------------------------------------

    def fork(self, service: Service, number: int) -> int:
        """Fork a process of `service`; returns its pid."""
        return spawn.fork(self._plan(service, number), self.world.loop.release_signals)

    def _fork_template(self, service: Service, control: int) -> int:
        """Fork the template of a service; returns its pid."""
        plan = self._plan(service, 0)
        plan = replace(plan, template=True, fds=[*plan.fds, control])
        return spawn.fork(plan, self.world.loop.release_signals)

    def _plan(self, service: Service, number: int) -> spawn.Plan:
        config, world = service.config, self.world
        program = self._programs[service.name]
        inherited = self._inherited(service)
        log = STDERR if config.type == "log" else service.log.write
        no_anvil = config.type in ("log", "config", "anvil")
        notify, dead = service.notify_fd, self.dead.read
        if config.type == "anvil":
            notify, dead = self.anvil_log_sockets[1].fileno(), self.anvil_dead.read
        fds = spawn.layout(
            world.null,
            log,
            world.null if no_anvil else world.anvil_shared.write,
            notify if notify >= 0 else world.null,
            service.status.write,
            dead,
            [fd for fd, _listener in inherited],
        )
        rows = [listener for _fd, listener in inherited]
        return spawn.Plan(
            params=self._params(service, number, rows, program.argv),
            fds=fds,
            spec=program.spec,
            executable=program.words,
            memory_limit=world.image_size + config.vsz_limit if 0 < config.vsz_limit < 1 << 62 else 0,
            env=world.env,
            before_exec=(lambda: privileges.drop(self._privileges[service.name]))
            if config.drop_priv_before_exec
            else None,
            ssl_key_password=world.ssl_key_password if config.type == "login" else "",
        )

    def _inherited(self, service: Service) -> list[tuple[int, Listener]]:
        """Descriptors from number 7 on and what they are."""
        found: list[tuple[int, Listener]] = []

        def add(fd: int, name: str, kind: str, ssl: bool = False, haproxy: bool = False) -> None:
            found.append((fd, Listener(FIRST_LISTENER_FD + len(found), name, kind, ssl, haproxy)))

        if service.config.type == "log":
            add(self.master_log.read, "master", "pipe")
            for other in self.services:
                if other is not service:
                    add(other.log.read, other.name, "pipe")
        elif service.config.type == "anvil":
            add(self.world.anvil_master.read, "master-pipe", "pipe")
            add(self.world.anvil_shared.read, "shared-pipe", "pipe")
        for config in service.config.listeners:
            for key in _keys(config):
                if key in self.bound:
                    add(self.bound[key], config.name, config.kind, config.ssl, config.haproxy)
        return found

    def _params(
        self, service: Service, number: int, rows: Sequence[Listener], argv: Sequence[str]
    ) -> ChildParams:
        config, settings = service.config, self.configuration.settings
        is_mail = bool(config.protocol) and config.type != "login"
        return ChildParams(
            service=config.name,
            base_dir=self.base_dir,
            config_file=self.configuration.path,
            protocol=config.protocol,
            type=config.type,
            argv=tuple(argv),
            generation=number,
            client_limit=config.client_limit,
            process_limit=config.process_limit,
            process_min_avail=config.process_min_avail,
            service_count=config.service_count,
            idle_kill=config.idle_kill,
            verbose_proctitle=settings.get("verbose_proctitle") == "yes",
            log_debug=bool(settings.get("log_debug")) or (is_mail and settings.get("mail_debug") == "yes"),
            shutdown_clients=settings.get("shutdown_clients", "yes") == "yes",
            privileges=self._privileges[config.name],
            listeners=tuple(rows),
            log=log_target(self.configuration),
        )

    def _privileges_of(self, service: Service) -> Privileges:
        config = service.config
        if not self.world.root:
            return Privileges()
        groups = [privileges.group_id(name) for name in config.extra_groups.replace(",", " ").split()]
        chroot = os.path.join(self.base_dir, config.chroot).rstrip("/") if config.chroot else ""
        uid: int | None = None
        gid: int | None = None
        if config.user and config.user not in ("root", "0"):
            uid, gid = privileges.user_id(config.user)
        if config.group:
            gid = privileges.group_id(config.group)
        if config.type == "login" and uid is None:
            raise PrivilegeError("login processes can't be run as root")
        return Privileges(uid, gid, tuple(groups), chroot)


def _wants_template(config: "ServiceConfig", program: Program) -> bool:
    """Processes that come and go with their clients: all with service_count, and mail workers."""
    if program.spec is None or config.process_limit == 1:
        return False
    mail_worker = bool(config.protocol) and program.spec.family is Family.ONE_CLIENT
    return bool(config.service_count) or mail_worker


def _keys(config: "ListenerConfig") -> list[Key]:
    if config.kind == "inet":
        return [("inet", address, config.port) for address in config.addresses]
    return [(config.kind, config.path, 0)]


def log_target(configuration: "Configuration") -> LogTarget:
    """Where this configuration wants its log lines."""
    settings = configuration.settings
    default = LogTarget()
    return LogTarget(
        log_path=settings.get("log_path") or default.log_path,
        info_log_path=settings.get("info_log_path", ""),
        debug_log_path=settings.get("debug_log_path", ""),
        log_timestamp=settings.get("log_timestamp", default.log_timestamp).strip('"'),
        syslog_facility=settings.get("syslog_facility") or default.syslog_facility,
        instance_name=configuration.instance_name or default.instance_name,
    )

"""The master process: starts the services, replaces what ends, reloads, stops.

Runs as: root (or, started by an ordinary user, as that user with chroots, other users and low ports switched
off). It forks and watches; it parses no mail, passwords or configuration, and reads nothing from the network.
Talks to: its children over pipes; administrators over signals and the UNIX socket base_dir/master (0600).
If taken over: everything is lost; therefore it is small.
"""

import contextlib
import faulthandler
import gc
import os
import pwd
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydovecot import __version__
from pydovecot.event.event import Event, Level
from pydovecot.event.sinks import PipeSink, StreamSink
from pydovecot.event.targets import close_targets, open_targets
from pydovecot.event.wire import Record
from pydovecot.net import listeners
from pydovecot.net.listeners import Inherited, ListenError
from pydovecot.runtime import instances
from pydovecot.runtime.spec import ServiceSpec
from pydovecot.services.master import checks, rundir, spawn
from pydovecot.services.master.client import Clients
from pydovecot.services.master.exits import Ended
from pydovecot.services.master.generation import Generation, log_target
from pydovecot.services.master.loop import Caught, Loop
from pydovecot.services.master.parse import ConfigFailedError, Parsing, Reader, complain
from pydovecot.services.master.rundir import StartError
from pydovecot.services.master.systemd import Notify
from pydovecot.services.master.world import World, image_size

if TYPE_CHECKING:
    from pydovecot.settings.master import Configuration

FATAL: Final = 89
STDERR: Final = 2  # in children the pipe to the log process
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
STOP_SECS: Final = 10.0  # for children after TERM; then KILL
KEEP_SECS: Final = 5.0  # shutdown_clients = no: for idle processes to go
LOG_SECS: Final = 3.0  # for the log process to write the last lines
IMPORTED: Final = "TZ CORE_OUTOFMEM CORE_ERROR LISTEN_PID LISTEN_FDS NOTIFY_SOCKET"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line and the program around us decide."""

    config_file: str
    roles: Mapping[str, ServiceSpec]
    reader: Reader
    foreground: bool = False
    ssl_key_password: str = field(default="", repr=False)
    on_ready: Callable[[], None] | None = None
    name: str = "pydovecot"


class Master:
    """One running server."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.loop = Loop()
        self.inherited = Inherited(os.environ, os.getpid())
        self.notify = Notify()
        self.stopping = False
        self._parsing: Parsing | None = None
        self._stderr = Event(StreamSink(""))

    def run(self) -> int:
        """Start, serve until told to stop; returns the exit status."""
        try:
            configuration = Parsing(self.options.reader, self.options.config_file, lambda: None).wait()
        except ConfigFailedError as exc:
            complain(exc.lines, sys.stderr)
            return FATAL
        try:
            self._start(configuration)
        except (StartError, ListenError, OSError) as exc:
            self._early(configuration, Level.FATAL, str(exc))
            return FATAL
        try:
            self.loop.run()
        finally:
            rundir.remove_pid(configuration.base_dir)
        return 0

    # --- start ----------------------------------------------------------------------------------------

    def _start(self, configuration: "Configuration") -> None:
        def warn(text: str) -> None:
            self._early(configuration, Level.WARNING, text)

        if problem := _log_problem(configuration):
            raise StartError(problem)
        rundir.check_not_running(configuration.base_dir)
        rundir.prepare(configuration.base_dir, checks.login_user(configuration), warn)
        for text in [*configuration.warnings, *checks.limits(configuration)]:
            warn(text)
        self.world = World(
            loop=self.loop,
            event=self._stderr,
            roles=self.options.roles,
            null=os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC),
            root=os.geteuid() == 0,
            env=_environment(configuration),
            ssl_key_password=self.options.ssl_key_password,
        )
        self.world.on_ended = self._ended
        self.generation = Generation(self.world, configuration)
        errors = self.generation.open_listeners(None, self.inherited)
        for text in errors:
            self._early(configuration, Level.ERROR, text)
        if errors:
            raise StartError("Failed to start listeners")
        for where in self.inherited.unused():
            warn(f"systemd listens on {where}, but no listener in the configuration wants it")
        control = listeners.open_unix(f"{configuration.base_dir}/master", mode=0o600, uid=-1, gid=-1)
        if not self.options.foreground:
            self._daemonize(configuration)
        self.clients = Clients(self.world, lambda: self.generation, control)
        rundir.write_pid(configuration.base_dir)
        self._register(configuration)
        self._log_through(self.generation)
        self.loop.on_error = lambda exc: self.world.event.exception("BUG", exc)
        self.loop.catch_signals(SIGNALS, self._signal)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        self.world.image_size = image_size()
        spawn.adopt_orphans()
        self.generation.start()
        protocols = ", ".join(configuration.protocols) or "no protocols"
        core = resource.getrlimit(resource.RLIMIT_CORE)[0]
        state = "disabled" if core == 0 else "enabled"
        name = self.options.name
        self.world.event.info(f"{name} v{__version__} starting up for {protocols} (core dumps {state})")
        self._say_what_is_off()
        self.notify.ready(f"v{__version__} serves {protocols}")
        if self.notify.watchdog_secs:
            self._watchdog()
        if self.options.on_ready is not None:
            self.options.on_ready()

    def _daemonize(self, configuration: "Configuration") -> None:
        # The epoll and signal descriptors of the loop are made for the process that lives on.
        if os.fork():
            os._exit(0)
        os.setsid()
        self.loop = self.world.loop = Loop()
        os.chdir(configuration.base_dir)
        os.dup2(self.world.null, 0)
        os.dup2(self.world.null, 1)
        target = log_target(configuration)
        if "/dev/stderr" not in (target.log_path, target.info_log_path, target.debug_log_path):
            os.dup2(self.world.null, 2)

    def _register(self, configuration: "Configuration") -> None:
        """The link to the configuration and the list of instances: helpful, not vital."""
        try:
            rundir.link_config(configuration.base_dir, configuration.path)
            name, base_dir = configuration.instance_name, configuration.base_dir
            instances.record(configuration.state_dir, name, base_dir, configuration.path)
        except OSError as exc:
            self.world.event.warning(f"Could not note this instance: {exc}")

    def _log_through(self, generation: Generation) -> None:
        self.world.event = Event(PipeSink(generation.master_log.write, "master: "))

    def _say_what_is_off(self) -> None:
        missing = [n for n in self.generation.missing if checks.is_wanted(self.generation.configuration, n)]
        if missing:
            self.world.event.warning(f"Services that this version does not have yet: {', '.join(missing)}")
        if self.world.root:
            return
        off = ["chroot", "separate users", "ports below 1024 that are refused to us"]
        if self.generation.off:
            off[2] = f"listeners {', '.join(self.generation.off)}"
        user = pwd.getpwuid(os.geteuid()).pw_name
        self.world.event.warning(f"Started by user {user}, not by root; switched off: {'; '.join(off)}")

    def _early(self, configuration: "Configuration", level: Level, text: str) -> None:
        """Say something before the log process exists: on stderr, and in the log itself."""
        StreamSink("")(level, text, {})
        target = log_target(configuration)
        if target.log_path == "/dev/stderr":
            return
        with contextlib.suppress(OSError):  # said as the reason why we do not start
            targets = open_targets(target)
            targets[level].write(Record(level, os.getpid(), "master: ", text))
            close_targets(targets)

    def _watchdog(self) -> None:
        self.notify.alive()
        self.loop.call_later(self.notify.watchdog_secs, self._watchdog)

    # --- signals --------------------------------------------------------------------------------------

    def _signal(self, caught: Caught) -> None:
        if caught.number == signal.SIGCHLD:
            self._reap()
        elif caught.number in (signal.SIGTERM, signal.SIGINT):
            self._stop(caught)
        elif caught.number == signal.SIGHUP:
            self._reload()
        elif caught.number == signal.SIGUSR1:
            for service in self.generation.of_type("log"):
                service.signal(signal.SIGUSR1)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            nursery = self.world.nurseries.pop(pid, None)
            if nursery is not None:
                nursery.ended(status)
            else:
                self._ended(pid, status)
        if self.stopping:
            self._stop_further()

    def _ended(self, pid: int, status: int) -> None:
        """A child has ended: of a service, or the reader of a configuration (unknown here)."""
        owner = self.world.children.pop(pid, None)
        if owner is None:
            return
        service, child = owner
        if service.config.type not in ("log", "config", "anvil", "login"):  # only these tell it of sessions
            self.world.anvil_kill(pid)
        service.ended(child, Ended(pid, status))
        if self.stopping:
            self._stop_further()

    # --- reload ---------------------------------------------------------------------------------------

    def _reload(self) -> None:
        if self.stopping:
            return
        self.world.event.warning("SIGHUP received - reloading configuration")
        if self._parsing is not None:
            return  # one reading at a time; the one under way has the file of a moment ago
        self.notify.reloading()
        try:
            parsing = Parsing(self.options.reader, self.options.config_file, self.loop.release_signals)
        except OSError as exc:
            self._keep([f"fork() failed: {exc.strerror}"])
            return
        self._parsing = parsing
        self.loop.add_reader(parsing.fd, lambda: self._parsed(parsing))

    def _parsed(self, parsing: Parsing) -> None:
        lines: list[str] = []
        configuration = None
        try:
            configuration = parsing.readable()
            if configuration is None:
                return
        except ConfigFailedError as exc:
            lines = exc.lines
        self._parsing = None
        self.loop.remove_reader(parsing.fd)
        parsing.close()
        if lines:
            self._keep(lines)
        elif configuration is not None and not self.stopping:
            self._switch(configuration)

    def _keep(self, lines: list[str]) -> None:
        """The new configuration is not usable: say why, go on with the old one."""
        for line in lines:
            self.world.event.error(f"Error reading configuration: {line}")
        self.world.event.error("The configuration was not reloaded; the old one stays in use")
        self.notify.ready("reload failed, the old configuration stays in use")

    def _switch(self, configuration: "Configuration") -> None:
        old = self.generation
        if configuration.base_dir != old.base_dir:
            self._keep(["base_dir cannot be changed by a reload, only by a restart"])
            return
        if problem := _log_problem(configuration):
            self._keep([problem])
            return
        new = Generation(self.world, configuration)
        errors = new.open_listeners(old, self.inherited)
        if errors:
            new.discard()
            self._keep(errors)
            return
        for text in [*configuration.warnings, *checks.limits(configuration)]:
            self.world.event.warning(text)
        for service in old.services:
            service.listen_stop()
        new.adopt_anvil(old)
        self.generation = new
        old.retire(new)
        self._log_through(new)
        self.world.env = _environment(configuration)
        self._register(configuration)
        new.start()
        self.notify.ready(f"v{__version__} reloaded its configuration")

    # --- stop -----------------------------------------------------------------------------------------

    def _stop(self, caught: Caught) -> None:
        if self.stopping:
            return
        self.stopping = True
        self.world.event.warning(f"Killed with signal {caught.number} ({caught.sender})")
        self.notify.stopping("stopping")
        self.clients.close()
        self.generation.retire(None)
        settings = self.generation.configuration.settings
        self._kill_clients = settings.get("shutdown_clients", "yes") == "yes"
        if self._kill_clients:
            # Login processes later: they carry the last words of mail processes to TLS clients.
            self._signal_workers(signal.SIGTERM, ("login",))
        self.loop.call_later(STOP_SECS if self._kill_clients else KEEP_SECS, self._stop_late)
        self._stop_further()

    def _workers(self, without: tuple[str, ...] = ()) -> list[tuple[int, str]]:
        """Processes other than log and anvil (and these types), of all generations."""
        last = ("log", "anvil", *without)
        return [(pid, s.name) for pid, (s, _c) in self.world.children.items() if s.config.type not in last]

    def _signal_workers(self, number: int, without: tuple[str, ...] = ()) -> None:
        for pid, _name in self._workers(without):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _stop_further(self) -> None:
        """One step after the other: workers, anvil, log, we."""
        if self._workers(("login",)):
            return
        if not self._workers():
            self._stop_last()
        elif self._kill_clients:
            self._signal_workers(signal.SIGTERM)

    def _stop_late(self) -> None:
        if self._kill_clients:
            for pid, name in self._workers():
                self.world.event.error(f"service({name}): Process {pid} did not stop in time, killing it")
            self._signal_workers(signal.SIGKILL)
        else:
            self._stop_last()

    def _stop_last(self) -> None:
        self.generation.anvil_dead.close_write()
        for service in self.generation.of_type("anvil"):
            service.signal(signal.SIGTERM)
        kinds = {s.config.type for s, _c in self.world.children.values()}
        if "anvil" in kinds:
            return
        self.generation.close()
        if "log" not in kinds or not self._kill_clients:
            self.loop.stop()
        else:
            self.loop.call_later(LOG_SECS, self.loop.stop)


def _log_problem(configuration: "Configuration") -> str:
    """Why the log files cannot be opened; empty when they can."""
    try:
        close_targets(open_targets(log_target(configuration)))
    except OSError as exc:
        return f"Can't open log file {exc.filename}: {exc.strerror}"
    return ""


def _environment(configuration: "Configuration") -> dict[str, str]:
    """import_environment: names to keep and `name=value` to set, for programs that are exec'ed."""
    env: dict[str, str] = {}
    for word in configuration.settings.get("import_environment", IMPORTED).split():
        name, equals, value = word.partition("=")
        if equals:
            env[name] = value
        elif name in os.environ:
            env[name] = os.environ[name]
    env.setdefault("PATH", os.environ.get("PATH", "/usr/bin:/bin"))
    return env


def freeze() -> None:
    """After all roles are imported: the collector leaves what they brought alone, so that it stays shared."""
    # A crash in a library leaves a Python stack in the log: core dumps of mail processes are hard to come by.
    faulthandler.enable(file=STDERR)
    gc.collect()
    gc.freeze()
    # Inherited by all: bulk answers make many short-lived tuples, and a collection touches shared pages.
    gc.set_threshold(20_000, 20, 50)

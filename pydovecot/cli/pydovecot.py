"""The server's own command, also installed as `dovecot`: start, reload, stop.

Other commands are those of doveadm. `pydovecot -F` stays in the foreground; without it the master becomes a
daemon. `-n` and `-a` are those of doveconf. `pydovecot demo` is a whole server to try out, `pydovecot
install-service` makes a unit for systemd.
"""

import getopt
import getpass
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pydovecot import __version__
from pydovecot.admin.arguments import getopt_text
from pydovecot.base.hostdomain import host_domain
from pydovecot.services.master.parse import complain
from pydovecot.settings.errors import ConfigError

DEFAULT_CONFIG: Final = "/etc/dovecot/dovecot.conf"
NOT_RUNNING: Final = 75
FATAL: Final = 89
STOP_SECS: Final = 30.0
USAGE: Final = """\
Usage: pydovecot [-F] [-c <config file>] [-i <instance>] [-p] [-n] [-a] [--help] [--version]
       [--build-options] [--hostdomain] [reload] [stop] [demo] [install-service]
"""
_LONG: Final = ["help", "version", "build-options", "hostdomain"]


@dataclass(slots=True)
class Arguments:
    """What the command line asks for."""

    config_file: str = DEFAULT_CONFIG
    foreground: bool = False
    ask_key_password: bool = False
    doveconf: list[str] = field(default_factory=list)
    answer: str = ""  # print this and end
    words: list[str] = field(default_factory=list)


class UsageError(Exception):
    """A command line that makes no sense."""


class UnknownInstanceError(Exception):
    """-i names none of the installations of this machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of `pydovecot` and `dovecot`; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["demo"]:
        from pydovecot.cli import demo

        return demo.main(words[1:])
    if words[:1] == ["install-service"]:
        from pydovecot.cli import install_service

        return install_service.main(words[1:])
    try:
        arguments = _parse(words)
    except UnknownInstanceError as exc:
        print(f"Fatal: {exc}", file=sys.stderr)
        return FATAL
    except UsageError as exc:
        print(f"pydovecot: {exc}", file=sys.stderr)
        print(USAGE, end="", file=sys.stderr)
        return FATAL
    if arguments.answer:
        print(arguments.answer)
        return 0
    if arguments.doveconf:
        from pydovecot.cli import doveconf

        return doveconf.main([*arguments.doveconf, "-c", arguments.config_file])
    if not arguments.words:
        return _serve(arguments)
    if arguments.words == ["stop"]:
        return _stop(arguments.config_file)
    if arguments.words == ["reload"]:
        return _reload(arguments.config_file)
    from pydovecot.cli import doveadm

    return doveadm.main(["-c", arguments.config_file, *arguments.words])


def _parse(words: list[str]) -> Arguments:
    try:
        options, rest = getopt.getopt(words, "Fc:i:nap", _LONG)
    except getopt.GetoptError as exc:
        raise UsageError(getopt_text(exc)) from None
    arguments = Arguments(words=rest)
    for name, value in options:
        if name == "-F":
            arguments.foreground = True
        elif name == "-c":
            arguments.config_file = value
        elif name == "-i":
            arguments.config_file = _instance(value)
        elif name in ("-n", "-a"):
            arguments.doveconf.append(name)
        elif name == "-p":
            arguments.ask_key_password = True
        else:
            arguments.answer = _answer(name)
    return arguments


def _answer(option: str) -> str:
    if option == "--version":
        return f"pydovecot {__version__}"
    if option == "--build-options":
        return _build_options()
    if option == "--hostdomain":
        return host_domain()
    return USAGE.rstrip("\n")


def _build_options() -> str:
    import apsw
    from OpenSSL import SSL

    python = ".".join(map(str, sys.version_info[:3]))
    openssl = SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode().split()[1]
    sqlite = apsw.sqlite_lib_version()
    return f"Build options: python={python} openssl={openssl} sqlite={sqlite} notify=inotify"


def _instance(name: str) -> str:
    """The configuration file of a known instance (`-i`)."""
    from pydovecot.runtime import instances

    for state_dir in ("/var/lib/dovecot",):
        for one in instances.read(state_dir):
            if one.name == name:
                return one.config or f"{one.base_dir}/dovecot.conf"
    raise UnknownInstanceError(f"Unknown instance name: {name}")


def _serve(arguments: Arguments) -> int:
    from pydovecot.cli.roles import ROLES
    from pydovecot.services.config.load import load
    from pydovecot.services.master.master import Master, Options, freeze
    from pydovecot.services.master.parse import Reader
    from pydovecot.settings.master import Configuration

    password = getpass.getpass("Give the password for SSL keys: ") if arguments.ask_key_password else ""
    options = Options(
        config_file=os.path.abspath(arguments.config_file),
        roles=ROLES,
        reader=Reader(load, Configuration.from_json),
        foreground=arguments.foreground,
        ssl_key_password=password,
    )
    freeze()
    return Master(options).run()


def _signal(config_file: str, number: signal.Signals, *, open_files: bool) -> tuple[int, int]:
    """Send a signal to the master that runs with this configuration: exit status and its pid.

    `open_files` False: certificates that are gone are no reason to leave it running.
    """
    from pydovecot.runtime import master_pid
    from pydovecot.services.config.load import load

    try:
        base_dir = load(config_file, open_files=open_files).base_dir
    except ConfigError as exc:
        # The running server keeps its configuration; say what is wrong with the file here and now.
        complain(exc.lines, sys.stderr)
        return FATAL, 0
    pid = master_pid.running_pid(base_dir)
    if pid is None:
        print(f"Fatal: Dovecot is not running (read from {base_dir}/master.pid)", file=sys.stderr)
        return NOT_RUNNING, 0
    os.kill(pid, number)
    return 0, pid


def _reload(config_file: str) -> int:
    return _signal(config_file, signal.SIGHUP, open_files=True)[0]


def _stop(config_file: str) -> int:
    status, pid = _signal(config_file, signal.SIGTERM, open_files=False)
    if status:
        return status
    end = time.monotonic() + STOP_SECS
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return 0
        time.sleep(0.02)
    print(f"Fatal: The server did not stop in {STOP_SECS:.0f} seconds", file=sys.stderr)
    return NOT_RUNNING


if __name__ == "__main__":
    raise SystemExit(main())

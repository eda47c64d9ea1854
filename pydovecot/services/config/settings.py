"""Settings that the master, the log and the config service read through `settings.master`.

They are declared here because those services take them from the parsed configuration, not from a view.
"""

from pydovecot.admin.settings import LogSettings
from pydovecot.settings.declare import (
    Settings,
    boolean,
    nested,
    octal,
    path,
    size,
    string,
    strlist,
    time,
    uint,
)


class MasterSettings(Settings):
    """What holds for all processes."""

    base_dir = path("/run/dovecot", doc="Directory of sockets and other run-time files.")
    protocols = strlist("imap pop3 lmtp", doc="Protocols to serve.")
    listen = string("*, ::", doc="Addresses that inet_listeners without an own address listen on.")
    default_internal_user = string("dovecot", doc="User of services that need no privileges.")
    default_internal_group = string("dovecot", doc="Group that may use internal sockets.")
    default_login_user = string("dovenull", doc="User of login processes; it may own nothing.")
    default_process_limit = uint(100, doc="Most processes of a service that says none itself.")
    default_client_limit = uint(1000, doc="Most clients of a process whose service says none itself.")
    default_idle_kill = time("1 min", doc="Idle processes above process_min_avail end after this time.")
    default_vsz_limit = size("256M", doc="Memory of a process beyond the shared image.")
    shutdown_clients = boolean(True, doc="Sessions end when the server stops or restarts.")
    verbose_proctitle = boolean(False, doc="Users and addresses in the process list.")
    import_environment = strlist(
        "TZ CORE_OUTOFMEM CORE_ERROR LISTEN_PID LISTEN_FDS NOTIFY_SOCKET",
        doc="Variables of the environment that children keep.",
    )


class FileListenerSettings(Settings):
    """unix_listener PATH { } and fifo_listener PATH { }."""

    section = "unix_listener"

    path = path("", doc="Path; relative ones are below base_dir.")
    mode = octal("0600", doc="Permissions; 0 switches the listener off.")
    user = string("", doc="Owner; empty: root.")
    group = string("", doc="Group; empty: root.")


class FifoListenerSettings(FileListenerSettings):
    """fifo_listener PATH { }."""

    section = "fifo_listener"


class InetListenerSettings(Settings):
    """inet_listener NAME { }."""

    section = "inet_listener"

    name = string("", doc="Name.", hidden=True)
    address = string("", doc="Addresses; empty: listen.")
    port = uint(0, doc="Port; 0 switches the listener off.")
    ssl = boolean(False, doc="TLS from the first byte.")
    haproxy = boolean(False, doc="The PROXY protocol comes before the client's first byte.")
    reuse_port = boolean(False, doc="SO_REUSEPORT: each process has a queue of its own.")


class ServiceSettings(Settings):
    """service NAME { }."""

    section = "service"

    name = string("", doc="Name.", hidden=True)
    protocol = string("", doc="Only run when this protocol is in protocols.")
    type = string("", doc="login, worker, log, config, anvil, startup or nothing.")
    executable = string("", doc="Program and arguments.")
    user = string("", doc="User that processes run as; empty: root.")
    group = string("", doc="Primary group.")
    privileged_group = string("", doc="Group that a process may take when it needs it.")
    extra_groups = strlist("", doc="Further groups.")
    chroot = string("", doc="Directory, below base_dir, that processes are confined to.")
    drop_priv_before_exec = boolean(False, doc="Become the user before the program starts.")
    process_min_avail = uint(0, doc="Idle processes that stand ready.")
    process_limit = uint(0, doc="Most processes; 0: default_process_limit.")
    client_limit = uint(0, doc="Most clients of one process; 0: default_client_limit.")
    service_count = uint(0, doc="Clients after which a process ends; 0: no limit.")
    idle_kill = time(0, doc="Idle processes end after this time; 0: default_idle_kill.")
    vsz_limit = size("18446744073709551615", doc="Memory; unset: default_vsz_limit.")
    unix_listener = nested(FileListenerSettings)
    fifo_listener = nested(FifoListenerSettings)
    inet_listener = nested(InetListenerSettings)


__all__ = [
    "FifoListenerSettings",
    "FileListenerSettings",
    "InetListenerSettings",
    "LogSettings",
    "MasterSettings",
    "ServiceSettings",
]

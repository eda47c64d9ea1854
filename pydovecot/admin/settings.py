"""Settings of the administrator's commands and of the doveadm server."""

from pydovecot.settings.declare import Settings, boolean, enum, path, string, uint


class AdminSettings(Settings):
    """What commands read that no other owner has for them."""

    base_dir = path("/run/dovecot", doc="Directory of sockets and other run-time files.")
    state_dir = path("/var/lib/dovecot", doc="Directory of files that outlive a restart: instances.")
    instance_name = string("dovecot", doc="Name of this server in `doveadm instance list`.")
    libexec_dir = path("/usr/lib/dovecot", doc="Where programs of foreign services are looked for.")


class LogSettings(Settings):
    """Where the log lines of the server are, for `doveadm log`."""

    log_path = path("syslog", doc="Log file; syslog; /dev/stderr.")
    info_log_path = path("", doc="File of informational lines; empty: log_path.")
    debug_log_path = path("", doc="File of debug lines; empty: info_log_path.")
    log_timestamp = string("%b %d %H:%M:%S ", doc="strftime form of the time before a line in files.")
    syslog_facility = string("mail", doc="Facility of lines that go to syslog.")


class ServerSettings(Settings):
    """The doveadm server and its clients."""

    doveadm_socket_path = string("doveadm-server", doc="Server of -S without a value: socket or host:port.")
    doveadm_worker_count = uint(0, doc="So many users at a time, each in a server process; 0: no server.")
    doveadm_port = uint(0, doc="Port of a doveadm server that is named without one.")
    doveadm_ssl = enum("no", "no:ssl:starttls", doc="How a client speaks to a doveadm server by TCP.")
    doveadm_username = string("doveadm", doc="Name that clients of the doveadm server log in with.")
    doveadm_password = string("", doc="Password of clients by TCP or with Basic; empty: none may.")
    doveadm_api_key = string("", doc="Key of HTTP clients; empty: none may.")
    doveadm_allowed_commands = string("", doc="Commands that clients of the server may run; empty: all.")


class ClientTlsSettings(Settings):
    """Which servers a client of ours believes."""

    ssl_client_ca_file = string("", doc="File of the authorities that servers we connect to must be of.")
    ssl_client_ca_dir = string("", doc="Directory of such authorities.")
    ssl_client_require_valid_cert = boolean(True, doc="Refuse servers with another certificate.")

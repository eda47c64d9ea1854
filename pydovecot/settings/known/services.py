"""Default services, as Dovecot 2.3 ships them, in the order of `doveconf -S`.

Only what differs from an empty service is written down: (name, settings, listeners).
"""

from typing import Final

Row = tuple[str, dict[str, str], tuple[tuple[str, str, dict[str, str]], ...]]

_INTERNAL: Final = "$default_internal_user"
_GROUP: Final = "$default_internal_group"
_LOGIN: Final = "$default_login_user"
_INFINITE: Final = "4294967295 secs"

SERVICES: Final[tuple[Row, ...]] = (
    (
        "managesieve-login",
        {
            "protocol": "sieve",
            "type": "login",
            "executable": "managesieve-login",
            "user": _LOGIN,
            "chroot": "login",
            "service_count": "1",
        },
        (("inet_listener", "sieve", {"port": "4190"}),),
    ),
    (
        "managesieve",
        {"protocol": "sieve", "executable": "managesieve", "client_limit": "1", "service_count": "1"},
        (("unix_listener", "login/sieve", {"mode": "0666"}),),
    ),
    (
        "tcpwrap",
        {"executable": "tcpwrap", "user": _INTERNAL, "client_limit": "1"},
        (),
    ),
    (
        "health-check",
        {
            "executable": "script -p health-check.sh",
            "user": _INTERNAL,
            "drop_priv_before_exec": "yes",
            "client_limit": "1",
        },
        (),
    ),
    (
        "submission",
        {
            "protocol": "submission",
            "executable": "submission",
            "extra_groups": _GROUP,
            "process_limit": "1024",
            "client_limit": "1",
            "service_count": "1",
        },
        (("unix_listener", "login/submission", {"mode": "0666"}),),
    ),
    (
        "submission-login",
        {
            "protocol": "submission",
            "type": "login",
            "executable": "submission-login",
            "user": _LOGIN,
            "chroot": "login",
            "service_count": "1",
        },
        (("inet_listener", "submission", {"port": "587"}),),
    ),
    (
        "stats",
        {"executable": "stats", "user": _INTERNAL, "process_limit": "1", "idle_kill": _INFINITE},
        (
            ("unix_listener", "stats-reader", {}),
            ("unix_listener", "stats-writer", {"mode": "0660", "group": _GROUP}),
            ("unix_listener", "login/stats-writer", {"user": _LOGIN}),
        ),
    ),
    (
        "replicator",
        {"executable": "replicator", "process_limit": "1", "idle_kill": _INFINITE},
        (
            ("unix_listener", "replicator", {"user": _INTERNAL}),
            ("unix_listener", "replicator-doveadm", {"mode": "00", "user": _INTERNAL}),
        ),
    ),
    (
        "aggregator",
        {"executable": "aggregator", "user": _INTERNAL, "chroot": "."},
        (
            ("unix_listener", "replication-notify", {}),
            ("fifo_listener", "replication-notify-fifo", {}),
        ),
    ),
    (
        "pop3",
        {
            "protocol": "pop3",
            "executable": "pop3",
            "extra_groups": _GROUP,
            "process_limit": "1024",
            "client_limit": "1",
            "service_count": "1",
        },
        (("unix_listener", "login/pop3", {"mode": "0666"}),),
    ),
    (
        "pop3-login",
        {
            "protocol": "pop3",
            "type": "login",
            "executable": "pop3-login",
            "user": _LOGIN,
            "chroot": "login",
            "service_count": "1",
        },
        (
            ("inet_listener", "pop3", {"port": "110"}),
            ("inet_listener", "pop3s", {"port": "995", "ssl": "yes"}),
        ),
    ),
    (
        "old-stats",
        {
            "executable": "old-stats",
            "user": _INTERNAL,
            "chroot": "empty",
            "process_limit": "1",
            "idle_kill": _INFINITE,
        },
        (
            ("unix_listener", "old-stats", {}),
            ("fifo_listener", "old-stats-mail", {}),
            ("fifo_listener", "old-stats-user", {}),
        ),
    ),
    (
        "log",
        {"type": "log", "executable": "log", "process_limit": "1", "idle_kill": _INFINITE},
        (("unix_listener", "log-errors", {}),),
    ),
    (
        "lmtp",
        {"protocol": "lmtp", "executable": "lmtp", "extra_groups": _GROUP, "client_limit": "1"},
        (("unix_listener", "lmtp", {"mode": "0666"}),),
    ),
    (
        "ipc",
        {"executable": "ipc", "user": _INTERNAL, "chroot": "empty", "process_limit": "1"},
        (
            ("unix_listener", "ipc", {"user": _INTERNAL}),
            ("unix_listener", "login/ipc-proxy", {"user": _LOGIN}),
        ),
    ),
    (
        "indexer-worker",
        {
            "type": "worker",
            "executable": "indexer-worker",
            "extra_groups": _GROUP,
            "process_limit": "10",
            "client_limit": "1",
        },
        (("unix_listener", "indexer-worker", {"user": _INTERNAL}),),
    ),
    (
        "indexer",
        {"executable": "indexer", "user": _INTERNAL, "process_limit": "1"},
        (("unix_listener", "indexer", {"mode": "0666"}),),
    ),
    (
        "imap",
        {
            "protocol": "imap",
            "executable": "imap",
            "extra_groups": _GROUP,
            "process_limit": "1024",
            "client_limit": "1",
            "service_count": "1",
        },
        (
            ("unix_listener", "login/imap", {"mode": "0666"}),
            ("unix_listener", "imap-master", {}),
        ),
    ),
    (
        "imap-urlauth-worker",
        {
            "protocol": "imap",
            "executable": "imap-urlauth-worker",
            "extra_groups": _GROUP,
            "process_limit": "1024",
            "client_limit": "1",
            "service_count": "1",
        },
        (("unix_listener", "imap-urlauth-worker", {"user": _INTERNAL}),),
    ),
    (
        "imap-urlauth",
        {
            "protocol": "imap",
            "executable": "imap-urlauth",
            "user": _INTERNAL,
            "process_limit": "1024",
            "client_limit": "1",
            "service_count": "1",
        },
        (("unix_listener", "token-login/imap-urlauth", {"mode": "0666"}),),
    ),
    (
        "imap-urlauth-login",
        {
            "protocol": "imap",
            "type": "login",
            "executable": "imap-urlauth-login",
            "user": _LOGIN,
            "chroot": "token-login",
            "service_count": "1",
        },
        (("unix_listener", "imap-urlauth", {"mode": "0666"}),),
    ),
    (
        "imap-login",
        {
            "protocol": "imap",
            "type": "login",
            "executable": "imap-login",
            "user": _LOGIN,
            "chroot": "login",
            "service_count": "1",
        },
        (
            ("inet_listener", "imap", {"port": "143"}),
            ("inet_listener", "imaps", {"port": "993", "ssl": "yes"}),
        ),
    ),
    (
        "imap-hibernate",
        {"protocol": "imap", "executable": "imap-hibernate", "user": _INTERNAL},
        (("unix_listener", "imap-hibernate", {"mode": "0660", "group": _GROUP}),),
    ),
    (
        "doveadm",
        {"executable": "doveadm-server", "extra_groups": _GROUP, "client_limit": "1", "service_count": "1"},
        (("unix_listener", "doveadm-server", {}),),
    ),
    (
        "dns-client",
        {"executable": "dns-client", "user": _INTERNAL, "client_limit": "1"},
        (
            ("unix_listener", "dns-client", {"mode": "0666"}),
            ("unix_listener", "login/dns-client", {"mode": "0666"}),
        ),
    ),
    (
        "director",
        {
            "executable": "director",
            "user": _INTERNAL,
            "chroot": ".",
            "process_limit": "1",
            "idle_kill": _INFINITE,
        },
        (
            ("unix_listener", "login/director", {"mode": "00"}),
            ("unix_listener", "director-admin", {}),
            ("fifo_listener", "login/proxy-notify", {"mode": "00"}),
        ),
    ),
    (
        "dict",
        {"executable": "dict", "user": _INTERNAL, "client_limit": "1"},
        (("unix_listener", "dict", {"mode": "0660", "group": _GROUP}),),
    ),
    (
        "dict-async",
        {"executable": "dict", "user": _INTERNAL},
        (("unix_listener", "dict-async", {"mode": "0660", "group": _GROUP}),),
    ),
    (
        "config",
        {"type": "config", "executable": "config", "idle_kill": _INFINITE},
        (("unix_listener", "config", {}),),
    ),
    (
        "auth",
        {"executable": "auth", "user": _INTERNAL, "process_limit": "1"},
        (
            ("unix_listener", "login/login", {"mode": "0666"}),
            ("unix_listener", "token-login/tokenlogin", {"mode": "0666"}),
            ("unix_listener", "auth-login", {"user": _INTERNAL}),
            ("unix_listener", "auth-client", {"user": _INTERNAL}),
            ("unix_listener", "auth-userdb", {"mode": "0666", "user": _INTERNAL}),
            ("unix_listener", "auth-master", {}),
        ),
    ),
    (
        "auth-worker",
        {"type": "worker", "executable": "auth -w", "client_limit": "1"},
        (("unix_listener", "auth-worker", {"user": _INTERNAL}),),
    ),
    (
        "anvil",
        {
            "type": "anvil",
            "executable": "anvil",
            "user": _INTERNAL,
            "chroot": "empty",
            "process_min_avail": "1",
            "process_limit": "1",
            "idle_kill": _INFINITE,
        },
        (
            ("unix_listener", "anvil", {}),
            ("unix_listener", "anvil-auth-penalty", {}),
        ),
    ),
)

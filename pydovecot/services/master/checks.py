"""What Dovecot checks when it starts: limits that cannot hold, services that somebody wants."""

import resource
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydovecot.settings.master import Configuration

# Services that stand in every configuration; nobody misses them until they are configured.
QUIET: Final = frozenset(
    {
        "aggregator", "director", "dict", "dict-async", "dict-expire", "dns-client", "doveadm",
        "health-check", "imap-hibernate", "imap-urlauth", "imap-urlauth-login", "imap-urlauth-worker",
        "indexer", "indexer-worker", "ipc", "old-stats", "replicator", "ssl-params", "stats", "tcpwrap",
    }
)  # fmt: skip


def login_user(configuration: "Configuration") -> str:
    """The user whose group may enter base_dir/login."""
    return configuration.settings.get("default_login_user", "dovenull")


def is_wanted(configuration: "Configuration", name: str) -> bool:
    """True when a service that we lack is one that somebody asked for."""
    if name in QUIET:
        return False
    service = next((s for s in configuration.services if s.name == name), None)
    return service is not None


def limits(configuration: "Configuration") -> list[str]:
    """Warnings about client_limit of auth and about the descriptors that one process needs.

    Raises our own soft limit of descriptors as far as the hard one allows.
    """
    warnings: list[str] = []
    most, why = 0, ""
    logins = 0
    for service in configuration.services:
        if service.type == "login":
            logins += service.process_limit
        if service.client_limit > most:
            most, why = service.client_limit, f"service {service.name} {{ client_limit }}"
    auth = next((s for s in configuration.services if s.name == "auth"), None)
    if auth is not None and auth.client_limit < logins:
        warnings.append(
            f"service auth {{ client_limit={auth.client_limit} }} is lower than required under max. load "
            f"({logins})"
        )
    needed = most + 24  # listeners, pipes, files beside the clients
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        reachable = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
        if reachable < needed:
            warnings.append(
                f"fd limit (ulimit -n) is lower than required under max. load "
                f"({reachable} < {needed}), because of {why}"
            )
    return warnings

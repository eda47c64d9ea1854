"""doveadm-server - runs administrators' commands for clients of its sockets.

Serves: the UNIX socket doveadm-server (0600: whoever may open it may run all commands), and, where they are
configured, TCP listeners: doveadm's own protocol with doveadm_password, and HTTP (a listener named "http")
with doveadm_password or doveadm_api_key.
Runs as: root, because commands are for different users; it works on each one's mail as that user.
Talks to: auth-userdb, auth-master, anvil, master, log-errors; mail files of the users that are asked for.
If taken over: can do what root can. Keep the TCP listeners on trusted networks, and use TLS.
"""

from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.doveadm_server.serve import before_fork, on_connection

SPEC = ServiceSpec(
    name="doveadm-server", family=Family.ONE_CLIENT, before_fork=before_fork, on_connection=on_connection
)


def main() -> int:
    """Entry of libexec/doveadm-server."""
    return run(SPEC)

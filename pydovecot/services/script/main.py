"""script - runs one script of the administrator's for whoever may connect to its socket.

Serves: the sockets of `service NAME { executable = script /path/of/it arguments }`.
Runs as: the service's `user`, root without one: name one.
Talks to: log; the script's input and output are the client's connection.
If taken over: can do what that user can. The path is the administrator's; clients give arguments only.
"""

from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec
from pydovecot.services.script.serve import on_connection

SPEC = ServiceSpec(
    name="script",
    family=Family.ONE_CLIENT,
    on_connection=on_connection,
    needs_settings=False,
    starts_programs=True,
)


def main() -> int:
    """Entry of libexec/script."""
    return run(SPEC)

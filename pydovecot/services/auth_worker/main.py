"""auth-worker - does lookups that may block, and costly password hashes, for auth.

Serves: auth-worker (only auth may connect: 0600).
Runs as: root by default, because PAM modules and shadow passwords want it (service auth-worker { user }).
Talks to: PAM, NSS, whatever a passdb or userdb driver uses.
If taken over: as good as root, and sees passwords. It gets only what auth sends.
"""

import os
import socket
from dataclasses import dataclass

from pydovecot.authdb import remote
from pydovecot.authdb.database import Database
from pydovecot.base.peercred import peer_credentials
from pydovecot.event.event import Event
from pydovecot.proto.auth import worker as protocol
from pydovecot.proto.auth.lines import BadLine, LineBuffer
from pydovecot.runtime.context import Accepted, Context
from pydovecot.runtime.service import run
from pydovecot.runtime.spec import Family, ServiceSpec

READ_BYTES = 65536
IDLE_SECS = 3600.0  # auth closes idle connections long before


@dataclass(slots=True)
class State:
    """Made once, used for all connections of this process."""

    database: Database
    event: Event
    settings_hash: str


def after_jail(context: Context) -> None:
    """Open the databases."""
    context.set_log_prefix(f"auth-worker({os.getpid()}): ")  # there are many, as in Dovecot's log
    event = context.event.child()
    view = context.settings
    database = Database(view, event, workers=False)
    if database.rules.debug:
        event = context.event.child(debug=True)
        database = Database(view, event, workers=False)
    context.state = State(database, event, remote.settings_hash(view))


def on_connection(context: Context, accepted: Accepted) -> None:
    """Answer one auth process, a request at a time, until it closes."""
    state: State = context.state
    sock = accepted.sock
    lines = LineBuffer(protocol.MAX_LINE_BYTES)
    where = _peer(sock)
    greeted = False
    context.set_title("idling")
    while True:
        if not context.wait_readable([sock.fileno()], IDLE_SECS):
            return
        data = sock.recv(READ_BYTES)
        if not data:
            return
        try:
            for line in lines.feed(data):
                if not greeted:
                    error = protocol.check_hello(line, state.settings_hash)
                    if error is not None:
                        state.event.error(f"{where}: {error}")
                        return
                    greeted = True
                    continue
                word = line.split(b"\t", 2)[1:2]
                context.set_title(b"".join(word).decode("ascii", "replace"))
                sock.sendall(answer(state, line, where))
                context.set_title("idling")
        except (BadLine, remote.BadMessage) as exc:
            state.event.error(f"{where}: {exc}")
            return


def answer(state: State, line: bytes, where: str) -> bytes:
    """The lines that answer one request; log lines in between name the request."""
    message = protocol.decode_request(line)
    state.event.prefix = f"{where}: auth-worker<{message.id}>: "
    try:
        parts, reply = remote.serve(state.database, message)
        return b"".join(
            [*(protocol.encode_part(message.id, part) for part in parts), protocol.encode_answer(reply)]
        )
    finally:
        state.event.prefix = ""


def _peer(sock: socket.socket) -> str:
    """How the connection is called in log lines; Dovecot's form, which fail2ban's filter knows."""
    pid, uid, _gid = peer_credentials(sock)
    return f"conn unix:auth-worker (pid={pid or os.getppid()},uid={uid})"


SPEC = ServiceSpec(
    name="auth-worker",
    family=Family.ONE_CLIENT,
    after_jail=after_jail,
    on_connection=on_connection,
    starts_programs=True,
)


def main() -> int:
    """Entry point of libexec/auth-worker."""
    return run(SPEC)

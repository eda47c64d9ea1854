"""The mail worker's side of a login: from an accepted connection of a login process to a session of a user.

    WORKER = MailWorker("imap", run=serve_imap, refusal=imap_refusal)
    SPEC = ServiceSpec(name="imap", family=Family.ONE_CLIENT, on_connection=WORKER.on_connection, ...)

The login process says who it is and which authentication succeeded; who the user is, only the auth process
says. Between the two answers nothing is opened; then the worker becomes the user for good. It serves another
client only if all users share one uid and gid (mail_uid, mail_gid).
"""

import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydovecot.base import fdpass
from pydovecot.event.event import Event
from pydovecot.ipc import anvil
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster, UserReply
from pydovecot.login import handover, mail_user
from pydovecot.login.handover import BadHandover, HandoverReply, HandoverRequest
from pydovecot.login.mail_user import INTERNAL_ERROR, MailUser, user_log_prefix
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.runtime.context import Accepted, Context
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView

REQUEST_TIMEOUT_SECS: Final = 10.0  # a login process sends its request in one piece

# (request, stage, text) -> bytes for the client. Stage "auth": authentication is refused; "user": it was
# accepted, but there is no session.
Refusal = Callable[[HandoverRequest, str, str], bytes]


@dataclass(slots=True)
class MailSession:
    """A user who has logged in, and the client's connection. The process is that user already.

    `input` are bytes that the client sent after the command that logged it in; they come before what the
    socket gives. `tag` is that command's tag (IMAP, to be answered by us), empty for POP3 and for a session
    on stdin. `send_capability`: put the capabilities into the tagged OK; else they go untagged before it.
    """

    user: MailUser
    service: str
    event: Event
    sock: socket.socket | None
    context: Context | None
    input: bytes = b""
    tag: bytes = b""
    send_capability: bool = True
    local_ip: str = ""
    local_port: int = 0
    remote_ip: str = ""
    remote_port: int = 0
    session_id: str = ""
    secured: bool = False
    tls: bool = False
    userdb: Mapping[str, str] = field(default_factory=dict)
    started: bool = False  # the client has been answered: a failure must not refuse the login any more

    @property
    def username(self) -> str:
        return self.user.username

    @property
    def home(self) -> str:
        """Home directory, "" if the user has none."""
        return self.user.home

    @property
    def settings(self) -> SettingsView:
        """Settings of this connection with the user's own on top."""
        return self.user.settings

    @property
    def variables(self) -> Mapping[str, str]:
        """The % variables of this user, by long name."""
        return self.user.variables

    def set_title(self, text: str) -> None:
        """Show what the session does in ps: "alice 127.0.0.1 IDLE"."""
        if self.context is not None:
            self.context.set_title(text)

    def wait_readable(self, fds: Sequence[int], timeout: float | None = None) -> set[int]:
        """Wait until one of `fds` can be read; empty: time is up, or the master wants something.

        Every long wait of a session goes through here: look at `stopping` and `closing` afterwards.
        """
        if self.context is not None:
            return self.context.wait_readable(fds, timeout)
        return set(select.select(fds, [], [], timeout)[0])

    @property
    def stopping(self) -> bool:
        """The server stops: end the session now."""
        return self.context is not None and self.context.stopping

    @property
    def closing(self) -> bool:
        """A new generation has taken over, or the server stops."""
        return self.context is not None and self.context.closing

    @property
    def shutdown_clients(self) -> bool:
        """Idle sessions are to end when `closing`."""
        return self.context is not None and self.context.shutdown_clients

    def expand(self, template: str) -> str:
        """Fill in the % variables of a setting."""
        return expand(template, self.user.variables)


class MailWorker:
    """Receives clients for one mail service, in the worker process; without side effects when made."""

    def __init__(self, protocol: str, run: Callable[[MailSession], None], refusal: Refusal) -> None:
        self._protocol = protocol
        self._run = run
        self._refusal = refusal
        self._auth: AuthMaster | None = None
        self._became: MailUser | None = None

    def on_connection(self, context: Context, accepted: Accepted) -> None:
        """Serve the client that a login process hands over on `accepted`; returns when it is gone."""
        with accepted.sock as peer:
            peer.settimeout(REQUEST_TIMEOUT_SECS)
            received = receive(peer, context.event)
            if received is None:
                return
            request, client = received
            with client:
                self._serve(context, peer, request, client)

    def _serve(
        self, context: Context, peer: socket.socket, request: HandoverRequest, client: socket.socket
    ) -> None:
        try:
            reply = self._ask_auth(context, request)
        except AuthLookupFailed as exc:
            if self._became is not None:
                # The auth process was replaced, and as the user we cannot connect to the new one. No answer
                # tells the login process to try another worker.
                context.event.error(f"auth-master: login: {exc}")
                context.last_client()
                return
            self._refuse(context, peer, request, client, str(exc), exc.reason)
            return
        if reply is None:
            self._refuse(context, peer, request, client, "Authenticated user not found from userdb", "")
            return
        _send(peer, HandoverReply(request.tag, True, os.getpid()).encode())
        peer.close()
        try:
            user = self._user(context, request, reply)
            self._become(context, user)
        except InternalError as exc:
            context.event.error(str(exc))
            _send(client, self._refusal(request, "user", INTERNAL_ERROR))
            return
        self._session(context, request, reply, user, client)

    def _refuse(
        self,
        context: Context,
        peer: socket.socket,
        request: HandoverRequest,
        client: socket.socket,
        why: str,
        reason: str,
    ) -> None:
        context.event.error(
            f"auth-master: login: request [{request.auth_id}]: Login auth request failed: {why} "
            f"(client-pid={request.client_pid}, rip={request.remote_ip}, session=<{request.session}>)"
        )
        _send(client, self._refusal(request, "auth", reason or INTERNAL_ERROR))
        _send(peer, HandoverReply(request.tag, False, os.getpid()).encode())

    def _user(self, context: Context, request: HandoverRequest, reply: UserReply) -> MailUser:
        view = context.settings_for(
            local_ip=request.local_ip, remote_ip=request.remote_ip, local_name=request.local_name
        )
        prefix = view.get(MailUserSettings).mail_log_prefix
        facts = _facts(request)
        early = mail_user.variables(reply.user, context.protocol, facts)
        context.set_log_prefix(expand(prefix, early))
        user = mail_user.resolve(view, reply.user, context.protocol, reply.fields, facts)
        if user.settings.get(MailUserSettings).mail_log_prefix != prefix:
            context.set_log_prefix(user_log_prefix(user))
        return user

    def _session(
        self,
        context: Context,
        request: HandoverRequest,
        reply: UserReply,
        user: MailUser,
        client: socket.socket,
    ) -> None:
        session = MailSession(
            user,
            context.protocol,
            context.event.child(user=user.username, session=request.session),
            client,
            context,
            request.input,
            request.command_tag,
            request.send_capability,
            request.local_ip,
            request.local_port,
            request.remote_ip,
            request.remote_port,
            request.session,
            request.secured,
            request.tls,
            reply.fields,
        )
        name = anvil.ident(context.protocol, request.remote_ip, user.username)
        anvil.send_connect(context.anvil_fd(), name)
        try:
            client.setblocking(True)
            self._run(session)
        except InternalError as exc:
            if session.started:
                raise
            # The user's storage cannot be opened: a matter of one user's settings, not of this process.
            context.event.error(str(exc))
            _send(client, self._refusal(request, "user", INTERNAL_ERROR))
        finally:
            anvil.send_disconnect(context.anvil_fd(), name)

    def _ask_auth(self, context: Context, request: HandoverRequest) -> UserReply | None:
        """The user of an authentication.

        The connection is kept: after the change of user no second one can be made.
        """
        if self._auth is None:
            self._auth = AuthMaster(context.run_path("auth-master"))
        return self._auth.request(request.client_pid, request.auth_id, request.cookie)

    def _become(self, context: Context, user: MailUser) -> None:
        if self._became is not None:
            if self._became.identity != user.identity:
                context.last_client()
                raise InternalError(
                    f"This process is uid {self._became.uid} and cannot become {user.uid} "
                    f"(all users must have the same uid unless service {context.service} has service_count=1)"
                )
            mail_user.enter_home(user, context.event)
            return
        was_root = os.geteuid() == 0
        mail_user.become(user, context.event)
        if was_root:
            self._became = user
            if not user.shared_identity:
                context.last_client()


def receive(peer: socket.socket, event: Event) -> tuple[HandoverRequest, socket.socket] | None:
    """The request of a login process and the client that comes with it; None (logged) if it is not one.

    Everything is checked before it is used: sizes before reading, the descriptor's kind and inode after.
    """
    fds: list[int] = []
    try:
        data, fds = fdpass.recv_fds(peer, handover.HEAD.size)
        if not data:
            return None  # connected and went away: a probe
        data = _read_exactly(peer, data, handover.HEAD.size)
        data = _read_exactly(peer, data, len(data) + handover.body_size(data))
        request = handover.decode(data)
        if not fds:
            raise BadHandover("no descriptor came along")
        if os.fstat(fds[0]).st_ino != request.inode:
            raise BadHandover("another descriptor came along than was announced")
        client = socket.socket(fileno=fds[0])
        fds = []
        return request, client
    except (BadHandover, OSError) as exc:
        event.error(f"login handover failed: {exc}")
        return None
    finally:
        fdpass.close_all(fds)


def _read_exactly(peer: socket.socket, data: bytes, size: int) -> bytes:
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise BadHandover("truncated request")
        data += more
    return data


def _send(sock: socket.socket, data: bytes) -> None:
    """A last word to a peer that may be gone."""
    try:
        sock.sendall(data)
    except OSError:
        pass


def _facts(request: HandoverRequest) -> dict[str, str]:
    return {
        "lip": request.local_ip,
        "rip": request.remote_ip,
        "lport": str(request.local_port),
        "rport": str(request.remote_port),
        "session": request.session,
        "local_name": request.local_name,
    }

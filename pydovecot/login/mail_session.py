"""The mail worker's side of a login: from an accepted connection of a login process to a session of a user.

    WORKER = MailWorker("imap", run=serve_imap, refusal=imap_refusal)
    SPEC = ServiceSpec(name="imap", family=Family.ONE_CLIENT, on_connection=WORKER.on_connection, ...)

The login process says who it is and which authentication succeeded; who the user is, only the auth process says.
Between the two answers nothing is opened; then the worker becomes the user for good. It serves another client only
if that one's user has the same uid, groups and chroot (all users share one uid: `mail_uid`).
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from pydovecot.base import fdpass
from pydovecot.event.event import Event
from pydovecot.ipc.anvil import AnvilClient
from pydovecot.ipc.auth_master import AuthMaster, AuthMasterError, UserReply
from pydovecot.login import handover, mail_user
from pydovecot.login.handover import BadHandover, HandoverReply, HandoverRequest
from pydovecot.login.mail_user import MailUser
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.runtime.context import Accepted, Context
from pydovecot.settings.expand import expand
from pydovecot.settings.view import SettingsView

REQUEST_TIMEOUT_SECS: Final = 10.0  # a login process sends its request in one piece

# (request, stage, text) -> bytes for the client. Stage "auth": the tagged answer is still owed; "user": a farewell.
Refusal = Callable[[HandoverRequest, str, str], bytes]


class Anvil(Protocol):
    """What a session tells anvil; see ipc.anvil."""

    def connect(self, pid: int, ident: str) -> None: ...
    def disconnect(self, pid: int, ident: str) -> None: ...


def internal_error_text() -> str:
    """What a client is told when the reason is for the log only."""
    now = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    return f"Internal error occurred. Refer to server log for more information. [{now}]"


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
    set_title: Callable[[str], None] = lambda _text: None

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

    def expand(self, template: str) -> str:
        """Fill in the % variables of a setting."""
        return expand(template, self.user.variables)


class MailWorker:
    """Receives clients for one mail service. Lives in the worker process; makes no socket before its first client."""

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
        except AuthMasterError as exc:
            context.event.error(f"auth-master: login: request [{request.auth_id}]: {exc}")
            text = exc.client_text or internal_error_text()
            _send(client, self._refusal(request, "auth", text))
            _send(peer, HandoverReply(request.tag, False, os.getpid()).encode())
            return
        _send(peer, HandoverReply(request.tag, True, os.getpid()).encode())
        peer.close()
        event = context.event
        try:
            view = context.settings_for(
                local_ip=request.local_ip, remote_ip=request.remote_ip, local_name=request.local_name
            )
            user = mail_user.resolve(view, reply.username, context.protocol, reply.fields, _facts(request))
            event = user_event(context.event, user)
            self._become(context, user, event)
        except InternalError as exc:
            event.error(str(exc))
            _send(client, self._refusal(request, "user", internal_error_text()))
            return
        self._session(context, request, reply, user, event, client)

    def _session(
        self,
        context: Context,
        request: HandoverRequest,
        reply: UserReply,
        user: MailUser,
        event: Event,
        client: socket.socket,
    ) -> None:
        anvil = AnvilClient(context.anvil_fd())
        ident = anvil_ident(self._protocol, request.remote_ip, user.username)
        anvil.connect(os.getpid(), ident)
        try:
            client.setblocking(True)
            self._run(
                MailSession(
                    user,
                    context.protocol,
                    event,
                    client,
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
                    context.set_title,
                )
            )
        finally:
            anvil.disconnect(os.getpid(), ident)
            context.set_title("")

    def _ask_auth(self, context: Context, request: HandoverRequest) -> UserReply:
        """The user of an authentication. The connection is kept: after the change of user there is no second one."""
        if self._auth is None:
            self._auth = AuthMaster.connect(context.run_path("auth-master"))
        return self._auth.request(request.auth_id, request.client_pid, request.cookie, os.getpid())

    def _become(self, context: Context, user: MailUser, event: Event) -> None:
        if self._became is None:
            mail_user.become(user, event)
            self._became = user
        elif self._became.identity == user.identity:
            mail_user.enter_home(user, event)
        else:
            raise InternalError(
                f"This process serves uid {self._became.uid} and cannot become {user.uid} "
                f"(service {context.service} needs service_count=1, unless all users have the same uid)"
            )


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


def user_event(event: Event, user: MailUser) -> Event:
    """The event of a user's session: its lines begin with mail_log_prefix instead of the service's prefix."""
    prefix = expand(user.settings.get(MailUserSettings).mail_log_prefix, user.variables)
    child = event.child(user=user.username, session=user.variables.get("session", ""))
    child.prefix = prefix
    return child


def anvil_ident(protocol: str, remote_ip: str, username: str) -> str:
    """How anvil names a user's connections: service/address/user."""
    return f"{protocol}/{remote_ip}/{username}"


def standalone(
    argv: Sequence[str],
    service: str,
    view: SettingsView,
    event: Event,
    lookup: Callable[[str], UserReply | None],
) -> MailSession:
    """A session on stdin and stdout for `libexec/imap [-u user]`: the user is looked up only with -u.

    Without -u the process serves as who it is, with USER, HOME and the settings. The address of the client
    comes from the environment variables IP and LOCAL_IP. Raises InternalError.
    """
    asked = argv[argv.index("-u") + 1] if "-u" in argv[:-1] else ""
    username = asked or os.environ.get("USER", "")
    if not username:
        raise InternalError("USER environment missing")
    facts = {
        "rip": os.environ.get("IP", ""),
        "lip": os.environ.get("LOCAL_IP", ""),
        "session": "",
    }
    fields: Mapping[str, str] = {"home": os.environ["HOME"]} if "HOME" in os.environ else {}
    if asked:
        reply = lookup(asked)
        if reply is None:
            raise InternalError("User doesn't exist")
        username, fields = reply.username, reply.fields
    user = mail_user.resolve(view, username, service, fields, facts)
    session_event = user_event(event, user)
    mail_user.become(user, session_event)
    return MailSession(
        user,
        service,
        session_event,
        None,
        local_ip=facts["lip"],
        remote_ip=facts["rip"],
        secured=True,
        userdb=fields,
    )

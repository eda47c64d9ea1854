"""One dovecot-lda: who it is, whether that may be, its message, the delivery. Protocol: ipc/lda.py."""

import base64
import os
import pwd
import select
import socket
from collections.abc import Mapping
from typing import Final

from pydovecot.base import fdpass
from pydovecot.base.peercred import peer_credentials
from pydovecot.delivery import bounce as _bounce  # noqa: F401 - a mail user may not be able to import it
from pydovecot.delivery.lda import NO_USER, TEMPFAIL, BadEnvelope, Envelope, LocalAgent, Outcome, read_mail
from pydovecot.delivery.settings import DeliverySettings
from pydovecot.delivery.spool import READ_BYTES, Spool
from pydovecot.event.event import Event
from pydovecot.ipc import lda
from pydovecot.ipc.auth_master import AuthLookupFailed, AuthMaster
from pydovecot.login import mail_user
from pydovecot.login.mail_stores import Stores
from pydovecot.login.mail_user import MailUser, user_log_prefix
from pydovecot.login.settings import MailUserSettings
from pydovecot.model.errors import InternalError
from pydovecot.runtime.context import Accepted, Context

SERVICE: Final = "lda"
REQUEST_SECS: Final = 10.0
MAX_REQUEST: Final = 1 << 16
SESSION_BYTES: Final = 16


class _Direct(Exception):
    """The program must do it by itself: not our user, or what goes wrong is its to tell."""


class _Gone(Exception):
    """The program was killed, or we are to stop: what was read may not be all."""


class State:
    """Kept from one delivery to the next."""

    def __init__(self, auth: AuthMaster, event: Event) -> None:
        self.auth = auth
        self.stores = Stores(SERVICE, event)


def on_connection(context: Context, accepted: Accepted) -> None:
    """Serve one dovecot-lda."""
    if not isinstance(context.state, State):
        path = os.path.join(context.base_dir, context.settings.get(MailUserSettings).auth_socket_path)
        context.state = State(AuthMaster(path), context.event)
    with accepted.sock as sock:
        sock.settimeout(REQUEST_SECS)
        try:
            fields, source = _request(sock)
        except (OSError, ValueError):
            return
        try:
            with open(source, "rb", buffering=0):  # closed with it
                reply = _Job(context, context.state, sock, fields, source).run()
        except _Direct:
            reply = lda.DIRECT
        except _Gone:
            return
        try:
            sock.sendall(reply)
        except OSError:
            return  # killed meanwhile: the MTA tries again, and there are two


def _request(sock: socket.socket) -> tuple[dict[str, str], int]:
    """The options, and the descriptor of the message. ValueError for what is no request."""
    data, fds = fdpass.recv_fds(sock, MAX_REQUEST)
    try:
        while not data.endswith(lda.END) and len(data) < MAX_REQUEST and (more := sock.recv(MAX_REQUEST)):
            data += more
        fields = lda.decode(data)
        if fields is None or not fds:
            raise ValueError("no request")
    except BaseException:
        fdpass.close_all(fds)
        raise
    return fields, fds[0]


class _Job:
    """One delivery."""

    def __init__(
        self, context: Context, state: State, sock: socket.socket, fields: Mapping[str, str], source: int
    ) -> None:
        self._context, self._state, self._sock = context, state, sock
        self._fields, self._source = fields, source
        self._pid, self._uid, self._gid = peer_credentials(sock)

    def run(self) -> bytes:
        """The last answer. Raises _Direct, before anything of the message was read, and _Gone."""
        session = base64.b64encode(os.urandom(SESSION_BYTES)).rstrip(b"=").decode()
        facts = {"session": session, "pid": str(self._pid)}
        try:
            user, userdb = self._found(facts) if "user" in self._fields else self._itself(facts)
        except (AuthLookupFailed, InternalError) as exc:
            raise _Direct from exc
        if user is None:
            return lda.TAKEN + lda.answer(NO_USER, "")
        uid = os.geteuid() if user.uid is None else user.uid
        try:
            envelope = Envelope.of(self._fields)
        except BadEnvelope as exc:
            raise _Direct from exc
        if (self._uid not in (0, uid)) or user.chroot or os.geteuid() not in (0, uid):
            raise _Direct
        self._agreed(lda.TAKEN)
        self._context.set_log_prefix(user_log_prefix(user))
        outcome = self._deliver(user, (user.username, *userdb.items()), envelope)
        return lda.answer(outcome.status, outcome.text)

    def _found(self, facts: Mapping[str, str]) -> tuple[MailUser | None, Mapping[str, str]]:
        """The user of -d. Only root is told that there is none."""
        name = self._fields["user"]
        found = self._state.auth.user(name, service=SERVICE, params={"session": facts["session"]})
        if found is None:
            if self._uid != 0:
                raise _Direct
            return None, {}
        return mail_user.resolve(
            self._context.settings, found.user, SERVICE, found.fields, facts
        ), found.fields

    def _itself(self, facts: Mapping[str, str]) -> tuple[MailUser, Mapping[str, str]]:
        """Without -d: who started the program, if its environment says the same as the system."""
        try:
            entry = pwd.getpwuid(self._uid)
        except KeyError as exc:
            raise _Direct from exc
        name, home = self._fields.get("name", ""), self._fields.get("home", "")
        if self._uid == 0 or name not in ("", entry.pw_name) or home not in ("", entry.pw_dir):
            raise _Direct
        userdb = {"home": entry.pw_dir, "uid": str(self._uid), "gid": str(self._gid)}
        return mail_user.resolve(self._context.settings, entry.pw_name, SERVICE, userdb, facts), userdb

    def _deliver(self, user: MailUser, key: tuple[object, ...], envelope: Envelope) -> Outcome:
        event = self._context.event
        name = self._fields.get("user") or user.username
        spool = Spool(user.settings.get(DeliverySettings).mail_temp_dir)
        try:
            mail = read_mail(envelope, self._read, spool)
            self._agreed(lda.ALIVE)
            with self._state.stores.use(user, key) as store:
                agent = LocalAgent(
                    store, user.settings, name, user.variables, event, mail_user.dated_internal_error
                )
                outcome = agent.deliver(mail, envelope)
            if outcome.rejection is not None:
                self._context.last_client()
                self._state.stores.close()
                mail_user.become(user, event)
                outcome = agent.reject(outcome.rejection)
        except InternalError as exc:
            event.fatal(str(exc))
            return Outcome(TEMPFAIL)
        finally:
            spool.close()
        return outcome

    def _read(self) -> bytes:
        """More of the message; b"" at its end. Raises _Gone."""
        while not self._context.wait_readable((self._source, self._sock.fileno())):
            if self._context.stopping:
                raise _Gone
        if not _readable(self._source):
            raise _Gone
        return os.read(self._source, READ_BYTES)

    def _agreed(self, what: bytes) -> None:
        """Say it, and hear that the program lives and still waits. Raises _Gone."""
        try:
            self._sock.sendall(what)
            if self._sock.recv(len(lda.YES)) != lda.YES:
                raise _Gone
        except OSError as exc:
            raise _Gone from exc


def _readable(fd: int) -> bool:
    return bool(select.select((fd,), (), (), 0)[0])

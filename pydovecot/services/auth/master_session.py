"""One connection of the auth-master protocol: mail processes, LMTP, doveadm (features E.4).

auth-userdb is the same without REQUEST and CACHE-FLUSH. Its socket is open to everybody (0666), so a peer
that does not own it only gets answers about its own uid.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.authdb.request import AuthRequest, sanitize
from pydovecot.authdb.result import Result, UserResult
from pydovecot.authdb.steps import Blocking
from pydovecot.base import tabescape
from pydovecot.proto.auth.lines import COOKIE_BYTES, MASTER_MAJOR
from pydovecot.services.auth.handler import MAX_ID, Pending
from pydovecot.services.auth.server import AuthServer, hide
from pydovecot.services.auth.session import PeerGone, Session

MAX_LINE_BYTES: Final = 1024  # Dovecot: MASTER_MAX_LINE
MAX_OUTSTANDING: Final = 1000  # lookups of one connection that wait for workers
MAX_LOGGED_LINE: Final = 80

Lookup = Generator[Blocking, Any, str]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end. `restricted`: gets answers about its own uid only."""

    pid: int = 0
    uid: int = 0
    name: str = ""  # of the uid, for log lines
    restricted: bool = False


class MasterSession(Session):
    """`userdb_only` for auth-userdb; `path` is the socket, for log lines."""

    def __init__(
        self,
        server: AuthServer,
        write: Callable[[bytes], None],
        close: Callable[[], None],
        *,
        userdb_only: bool,
        path: str,
        peer: Peer,
    ) -> None:
        super().__init__(server, write, close, MAX_LINE_BYTES)
        self._userdb_only, self._path, self._peer = userdb_only, path, peer
        self._version_seen = False
        self._outstanding = 0

    def hello(self) -> bytes:
        """What a client gets before it says anything."""
        return self._server.master_hello

    def gone(self) -> None:
        """The connection is closed."""
        self.closed = True

    def _break(self, text: str) -> None:
        self._server.event.error(f"auth-master client: {text}")
        self.closed = True

    def _who(self) -> str:
        return "Master"

    def _line(self, line: bytes) -> None:
        fields = tabescape.split_text(line)
        if not self._version_seen:
            if fields[0] != "VERSION" or fields[1:2] != [str(MASTER_MAJOR)]:
                raise PeerGone("Master not compatible with this server (mixed old and new binaries?)")
            self._version_seen = True
            return
        if self._server.debug:
            self._server.event.debug(f"master in: {hide(line.decode('utf-8', 'replace'))}")
        command, args = fields[0], fields[1:]
        if command == "USER":
            self._user(args)
        elif command == "PASS":
            self._pass(args)
        elif command == "LIST":
            self._list(args)
        elif command == "CPID":
            raise PeerGone("Authentication client trying to connect to master socket")
        elif command == "REQUEST" and not self._userdb_only:
            self._request(args)
        elif command == "CACHE-FLUSH" and not self._userdb_only:
            self._flush(args)
        else:
            shown = sanitize(hide(line.decode("utf-8", "replace")), MAX_LOGGED_LINE)
            kind = "userdb" if self._userdb_only else "master"
            raise PeerGone(f"BUG: Unknown command in {kind} socket: {shown}")

    # -- lookups

    def _user(self, args: list[str]) -> None:
        number, request = self._lookup_args("USER", args)
        request.userdb_lookup = True
        self._run(number, request, self._user_steps(number, request))

    def _user_steps(self, number: int, request: AuthRequest) -> Lookup:
        result = yield from self._server.database.userdbs.lookup(request)
        if result is UserResult.OK and not self._permitted(request):
            return f"FAIL\t{number}\n"
        return self._user_line(number, request, result, "")

    def _pass(self, args: list[str]) -> None:
        number, request = self._lookup_args("PASS", args)
        if self._peer.restricted:
            self._server.event.error(
                f"Auth client doesn't have permissions to do a PASS lookup: {self._not_owner()}"
            )
            self._reply(f"FAIL\t{number}\n")
            return
        self._run(number, request, self._pass_steps(number, request), "passdb")

    def _pass_steps(self, number: int, request: AuthRequest) -> Lookup:
        result, _found = yield from self._server.database.passdbs.credentials(request, "")
        if result is Result.OK:
            user = tabescape.escape_text(request.user or "")
            return f"PASS\t{number}\tuser={user}{request.extra.wire()}\n"
        if result is Result.NO_SCHEME:
            return f"FAIL\t{number}\treason=Configured passdbs don't support credentials lookups\n"
        if result in (Result.INTERNAL, Result.MISMATCH):
            return f"FAIL\t{number}\n"
        return f"NOTFOUND\t{number}\n"

    def _list(self, args: list[str]) -> None:
        number = self._number(args[:1], "LIST")
        for arg in args[1:]:
            name, _, _value = arg.partition("=")
            if name not in ("user", "service", "debug"):
                continue  # later minor versions add names
        if self._peer.restricted:
            self._server.event.error(
                f"auth-master client: Auth client doesn't have permissions to list users: {self._not_owner()}"
            )
            self._reply(f"DONE\t{number}\tfail\n")
            return
        self._run(number, AuthRequest(), self._list_steps(number))

    def _list_steps(self, number: int) -> Lookup:
        names, complete = yield from self._server.database.userdbs.users()
        lines = [f"LIST\t{number}\t{tabescape.escape_text(name)}\n" for name in names]
        return "".join(lines) + f"DONE\t{number}\t{'' if complete else 'fail'}\n"

    def _lookup_args(self, command: str, args: list[str]) -> tuple[int, AuthRequest]:
        if len(args) < 2:
            raise PeerGone(f"BUG: Master sent broken {command}")
        number = self._number(args[:1], command)
        request = AuthRequest()
        for arg in args[2:]:
            name, _, value = arg.partition("=")
            request.set_parameter(name, value)
        if not request.service:
            raise PeerGone(f"BUG: Master sent {command} request without service")
        error = self._server.database.names.set_user(request, args[1])
        if error is not None:
            if self._server.database.rules.verbose:
                self._server.event.info(error)
            request.user = None
        return number, request

    def _run(self, number: int, request: AuthRequest, steps: Lookup, what: str = "userdb") -> None:
        if request.user is None and request.service:
            self._reply(f"NOTFOUND\t{number}\n")
            return
        if self._outstanding >= MAX_OUTSTANDING:
            raise PeerGone(f"Master sent more than {MAX_OUTSTANDING} requests at once")
        self._outstanding += 1
        self._advance(number, steps, None, what)

    def _advance(self, number: int, steps: Lookup, value: Any, what: str = "userdb") -> None:
        try:
            step = steps.send(value)
        except StopIteration as stop:
            line: str = stop.value
        except Exception as exc:  # noqa: BLE001 - the edge of one lookup: the others go on
            self._server.event.exception("Lookup failed", exc)
            line = f"FAIL\t{number}\n"
        else:
            self._server.workers.submit(step, lambda answer: self._advance(number, steps, answer, what))
            return
        self._outstanding -= 1
        if self._server.debug:
            self._server.event.debug(f"{what} out: {line.rstrip(chr(10))[:MAX_LINE_BYTES]}")
        self._reply(line)

    # -- the end of a login

    def _request(self, args: list[str]) -> None:
        """REQUEST <id> <client pid> <client's request id> <cookie> [session_pid= request_auth_token]."""
        if len(args) < 4:
            raise PeerGone("BUG: Master sent broken REQUEST")
        number = self._number(args[:1], "REQUEST")
        client_pid, client_id = self._number(args[1:2], "REQUEST"), self._number(args[2:3], "REQUEST")
        try:
            cookie = bytes.fromhex(args[3])
        except ValueError:
            raise PeerGone("BUG: Master sent broken REQUEST cookie") from None
        session = self._server.login_sessions.get(client_pid)
        error = ""
        pending: Pending | None = None
        if session is None:
            error = f"Master requested auth for nonexistent client {client_pid}"
        elif len(cookie) != COOKIE_BYTES or not session.check_cookie(cookie):
            error = f"Master requested auth for client {client_pid} with invalid cookie"
        else:
            pending = session.handler.take(client_id)
            if pending is None:
                error = f"Master request {client_pid}.{client_id} not found"
            elif not pending.finished:
                error = f"Master requested unfinished authentication request {client_pid}.{client_id}"
        if pending is None or error:
            self._server.event.error(f"auth-master client: {error}")
            self._reply(f"FAIL\t{number}\n")
            return
        self._hand_over(number, pending, args[4:])

    def _hand_over(self, number: int, pending: Pending, params: list[str]) -> None:
        session_pid, wants_token = 0, False
        for param in params:
            name, _, value = param.partition("=")
            if name == "session_pid":
                session_pid = self._number([value], "REQUEST")
            wants_token |= name == "request_auth_token"
        if session_pid and self._peer.pid and session_pid != self._peer.pid:
            self._server.event.error(
                f"auth-master client: Session pid {session_pid} provided by master for request {pending.id} "
                f"did not match peer credentials (pid={self._peer.pid}, uid={self._peer.uid})"
            )
            self._reply(f"FAIL\t{number}\n")
            return
        request = pending.request
        tail = f"\tauth_mech={request.mech}"
        if request.mech == "ANONYMOUS":
            tail += "\tanonymous"
        self._outstanding += 1
        token_pid = session_pid if wants_token else 0
        steps = self._hand_over_steps(number, request, tail, token_pid)
        self._advance(number, steps, None, "master userdb")

    def _hand_over_steps(self, number: int, request: AuthRequest, tail: str, token_pid: int) -> Lookup:
        result = yield from self._server.database.userdbs.lookup(request)
        if token_pid:
            token = self._server.token(request.service, token_pid, request.user or "", request.session)
            tail += f"\tauth_token={token}"
        if request.master_user is not None:
            tail += f"\tauth_user={tabescape.escape_text(request.master_user)}"
        elif request.original_user is not None and request.original_user != request.user:
            tail += f"\tauth_user={tabescape.escape_text(request.original_user)}"
        return self._user_line(number, request, result, tail)

    def _user_line(self, number: int, request: AuthRequest, result: UserResult, tail: str) -> str:
        fields = request.userdb_fields()
        if result is UserResult.UNKNOWN:
            return f"NOTFOUND\t{number}\n"
        if result is UserResult.INTERNAL:
            reason = fields.get("reason") if request.tempfail else None
            return f"FAIL\t{number}" + (f"\treason={tabescape.escape_text(reason)}" if reason else "") + "\n"
        if request.master_user is not None and "master_user" not in fields:
            fields.add("master_user", request.master_user)
        user = tabescape.escape_text(request.user or "")
        shown = "\t".join(map(tabescape.escape_text, fields.visible()))
        return f"USER\t{number}\t{user}\t{shown}{tail}\n"

    # -- the rest

    def _flush(self, args: list[str]) -> None:
        if not args:
            raise PeerGone("BUG: doveadm sent broken CACHE-FLUSH")
        names = self._server.database.names
        users = set()
        for text in args[1:]:
            request = AuthRequest()
            users.add(request.user if names.set_user(request, text) is None and request.user else text)
        count = self._server.database.cache.flush(frozenset(users))
        self._reply(f"OK\t{tabescape.escape_text(args[0])}\t{count}\n")

    def _permitted(self, request: AuthRequest) -> bool:
        """A peer that does not own the socket may only learn about its own uid."""
        if not self._peer.restricted:
            return True
        uid = request.userdb_fields().get("uid") or ""
        if uid == str(self._peer.uid):
            return True
        self._server.event.error(
            f"client doesn't have lookup permissions for this user: userdb uid ({uid}) doesn't match "
            f"peer uid ({self._peer.uid}) (to bypass this check, set: "
            f"service auth {{ unix_listener {self._path} {{ mode=0777 }} }})"
        )
        return False

    def _not_owner(self) -> str:
        peer = f"{self._peer.uid}({self._peer.name})" if self._peer.name else str(self._peer.uid)
        return f"{self._path} mode=0666, but not owned by UID {peer}"

    def _number(self, args: list[str], command: str) -> int:
        text = args[0] if args else ""
        if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > MAX_ID:
            raise PeerGone(f"BUG: Master sent broken {command}")
        return int(text)

"""The requests of one client connection: AUTH, CONT, CANCEL, and what becomes of them."""

import base64
import binascii
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.authdb import extra
from pydovecot.authdb.request import AuthRequest, sanitize
from pydovecot.authdb.result import Result
from pydovecot.authdb.steps import Blocking
from pydovecot.proto.auth.lines import BadLine
from pydovecot.sasl.mechanism import Challenge, Mechanism, Outcome, SaslContext, Success
from pydovecot.services.auth import penalty, replies
from pydovecot.services.auth.authenticate import Authentication
from pydovecot.services.auth.failures import TimerHandle
from pydovecot.services.auth.server import MAX_REQUESTS, REQUEST_SECS, AuthServer

MAX_MECH_NAME: Final = 64
MAX_ID: Final = 2**32 - 1
EMPTY_RESPONSE_MINOR: Final = 2  # before 1.2 an empty resp= means that there is none (Exim)

Conversation = Generator[Challenge | Blocking, Any, Outcome]


@dataclass(slots=True)
class Pending:
    """A request that is not done: it talks, waits, or waits to be fetched by a mail process."""

    id: int
    auth: Authentication
    conversation: Conversation | None = None
    accepts_cont: bool = False
    final: Success | None = None  # waits only for the client's empty answer to the last data
    finished: bool = False  # OK was said; REQUEST may come
    gone: bool = False
    last_penalty: int = 0
    timeout: TimerHandle | None = None
    waiting: TimerHandle | None = None

    @property
    def request(self) -> AuthRequest:
        """The request that this is about."""
        return self.auth.request


class RequestHandler:
    """One connection's requests by id. `reply` takes whole lines."""

    def __init__(
        self,
        server: AuthServer,
        reply: Callable[[str], None],
        connect_uid: int,
        *,
        auth_only: bool,
        token: bool = False,
    ) -> None:
        self._server, self._reply, self._auth_only, self._token = server, reply, auth_only, token
        self._pending: dict[int, Pending] = {}
        world = server.world
        self._context = SaslContext(
            world.hostname, world.pid, connect_uid, world.start_time, world.now, world.random,
            tuple(server.database.settings.auth_realms.split()),
        )  # fmt: skip
        self._client_pid = 0
        self.client_minor = EMPTY_RESPONSE_MINOR

    def __len__(self) -> int:
        """How many requests are open."""
        return len(self._pending)

    # -- commands

    def begin(self, fields: list[str], client_pid: int) -> None:
        """AUTH <id> <mech> [parameters]. Raises BadLine: the client is broken."""
        self._client_pid = client_pid
        who = f"Authentication client {client_pid}"
        if len(fields) < 2:
            raise BadLine(f"{who} sent broken AUTH request")
        number = self._number(fields[0], f"{who} sent broken AUTH request")
        mechanism = self._server.mechanisms.get(fields[1].upper())
        if self._token:
            name = sanitize(fields[1], MAX_MECH_NAME)
            raise BadLine(f"{who} requested invalid authentication mechanism {name} (DOVECOT-TOKEN required)")
        if mechanism is None:
            name = sanitize(fields[1], MAX_MECH_NAME)
            raise BadLine(f"{who} requested unsupported authentication mechanism {name}")
        request = AuthRequest(mech=mechanism.name)
        initial = self._parameters(request, fields, who)
        if not request.service:
            raise BadLine(f"{who} didn't specify service in request")
        if number in self._pending:
            raise BadLine(f"{who} sent a duplicate ID {number}")
        if len(self._pending) >= MAX_REQUESTS:
            raise BadLine(f"{who} has more than {MAX_REQUESTS} requests open")
        pending = self._add(number, request, mechanism)
        if not self._certificate_ok(pending):
            return
        data: bytes | None = None
        if initial is not None:
            data = self._decode(pending, initial, "initial")
            if data is None:
                return
        self._server.penalties.lookup(request, lambda value: self._after_lookup(pending, data, value))

    def proceed(self, rest: bytes) -> None:
        """CONT <id> <base64>. Raises BadLine."""
        broken = "Authentication client sent broken CONT request"
        first, tab, data = rest.partition(b"\t")
        if not tab:
            raise BadLine(broken)
        number = self._number(first.decode("ascii", "replace"), broken)
        pending = self._pending.get(number)
        if pending is None:
            self._reply(replies.fail_reason(number, "Authentication request timed out"))
            return
        if not pending.accepts_cont:
            # A client may speak only when it was asked; that includes one that has to wait.
            self._refuse(pending, "Unexpected continuation", "")
            return
        pending.accepts_cont = False
        decoded = self._decode(pending, data.decode("ascii", "replace"), "continued")
        if decoded is None:
            return
        if pending.final is not None:
            self._succeed(pending, Success())
        else:
            self._advance(pending, decoded)

    def cancel(self, rest: bytes) -> None:
        """CANCEL <id>. No answer. Raises BadLine."""
        number = self._number(rest.decode("ascii", "replace"), "Authentication client sent broken CANCEL")
        pending = self._pending.get(number)
        if pending is not None:
            self._drop(pending)

    def take(self, number: int) -> Pending | None:
        """REQUEST: the request with that id, which is over with this."""
        pending = self._pending.get(number)
        if pending is not None:
            self._drop(pending)
        return pending

    def abort(self) -> None:
        """The client has gone."""
        for pending in list(self._pending.values()):
            self._drop(pending)

    # -- the way of a request

    def _parameters(self, request: AuthRequest, fields: list[str], who: str) -> str | None:
        for position in range(2, len(fields)):
            name, _, value = fields[position].partition("=")
            if name == "resp":
                if position != len(fields) - 1:
                    raise BadLine(f"{who} sent AUTH parameters after 'resp'")
                absent = not value and self.client_minor < EMPTY_RESPONSE_MINOR
                return None if absent else value
            request.set_parameter(name, value)
        return None

    def _add(self, number: int, request: AuthRequest, mechanism: Mechanism) -> Pending:
        server = self._server
        auth = Authentication(request, mechanism, server.database, server.mech_logs[mechanism.name])
        pending = self._pending[number] = Pending(number, auth)
        pending.timeout = server.timers.call_later(REQUEST_SECS, self._timed_out, pending)
        return pending

    def _certificate_ok(self, pending: Pending) -> bool:
        settings, request = self._server.database.settings, pending.request
        if not settings.auth_ssl_require_client_cert:
            return True
        if not request.valid_client_cert:
            self._refuse(pending, "Client didn't present valid SSL certificate", "")
            return False
        if settings.auth_ssl_username_from_cert and not request.cert_username:
            self._refuse(pending, "SSL certificate didn't contain username", "")
            return False
        return True

    def _decode(self, pending: Pending, text: str, what: str) -> bytes | None:
        """Bytes of a response; None when the request has failed by it, and only this request."""
        if text == "=":
            return b""  # RFC 4422: an initial response that is there and empty
        try:
            return base64.b64decode(text.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            self._refuse(pending, f"Invalid base64 data in {what} response", "invalid_base64")
            return None

    def _after_lookup(self, pending: Pending, initial: bytes | None, value: int) -> None:
        if pending.gone:
            return
        pending.last_penalty = value
        if value:
            pending.waiting = self._server.timers.call_later(
                penalty.seconds(value), self._start, pending, initial
            )
        else:
            self._start(pending, initial)

    def _start(self, pending: Pending, initial: bytes | None) -> None:
        pending.waiting = None
        if pending.gone:
            return
        pending.conversation = pending.auth.run(self._context, initial)
        self._advance(pending, None)

    def _advance(self, pending: Pending, value: Any) -> None:
        """Give the conversation what it waits for, and see what it wants next."""
        if pending.gone or pending.conversation is None:
            return
        try:
            step = pending.conversation.send(value)
        except StopIteration as stop:
            self._end(pending, stop.value)
            return
        except Exception as exc:  # noqa: BLE001 - the edge of one request: the others go on
            self._server.event.exception(f"Authentication of {pending.request.log_id()} failed", exc)
            pending.auth.result = Result.INTERNAL
            self._fail(pending)
            return
        if isinstance(step, Challenge):
            pending.accepts_cont = True
            self._reply(replies.cont(pending.id, step.data))
        else:
            self._server.workers.submit(step, lambda answer: self._advance(pending, answer))

    def _end(self, pending: Pending, outcome: Outcome) -> None:
        if not isinstance(outcome, Success) or pending.auth.result is not Result.OK:
            self._fail(pending)
            return
        if outcome.data and not pending.request.final_resp_ok:
            pending.final, pending.accepts_cont = outcome, True
            self._reply(replies.cont(pending.id, outcome.data))
            return
        self._succeed(pending, outcome)

    def _succeed_later(self, pending: Pending, outcome: Success) -> bool:
        """The passdb field delay_until: True when the answer has to wait."""
        delay = extra.delay_secs(pending.request, self._server.world.now())
        if not delay:
            return False
        if pending.timeout is not None:
            pending.timeout.cancel()  # its time is bounded by the delay
        pending.accepts_cont = False
        pending.waiting = self._server.timers.call_later(delay, self._succeed, pending, outcome)
        return True

    def _succeed(self, pending: Pending, outcome: Success) -> None:
        request = pending.request
        if pending.gone or self._succeed_later(pending, outcome):
            return
        if pending.last_penalty:
            self._server.penalties.update(request, 0)
        self._server.request_log.debug(request, "Auth request finished")
        anonymous = pending.auth.mechanism.name == "ANONYMOUS"
        line = replies.ok(pending.id, request, outcome.data, anonymous=anonymous)
        if self._auth_only or request.no_login or "nologin" in request.extra or "proxy" in request.extra:
            self._drop(pending)  # no mail process will ask
        else:
            pending.finished, pending.conversation = True, None
            request.password = None
        self._reply(line)

    def _fail(self, pending: Pending) -> None:
        """Answer later, so that guessing is slow; the id is free again at once."""
        request, result = pending.request, pending.auth.result
        if result is Result.OK:
            result = Result.MISMATCH
        self._drop(pending)
        self._server.request_log.debug(request, "Auth request finished")
        line = replies.fail(pending.id, request, result)
        if "nodelay" in request.extra:
            self._reply(line)
            return
        self._server.penalties.update(request, pending.last_penalty + 1)
        self._server.failures.add(lambda: self._reply(line))

    def _refuse(self, pending: Pending, reason: str, code: str) -> None:
        self._drop(pending)
        pending.auth.log.info(pending.request, reason)
        self._reply(replies.fail_reason(pending.id, reason, code))

    def _timed_out(self, pending: Pending) -> None:
        if pending.gone:
            return
        if not pending.accepts_cont and not pending.finished:
            self._server.event.error(
                f"Request {self._client_pid}.{pending.id} timed out after {REQUEST_SECS} secs"
            )
        self._drop(pending)

    def _drop(self, pending: Pending) -> None:
        self._pending.pop(pending.id, None)
        pending.gone, pending.accepts_cont = True, False
        for timer in (pending.timeout, pending.waiting):
            if timer is not None:
                timer.cancel()
        pending.timeout = pending.waiting = None

    def _number(self, text: str, error: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > 10 or not 0 < int(text) <= MAX_ID:
            raise BadLine(error)
        return int(text)

"""One authentication: runs a mechanism, and gives it what it asks of the databases."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.authdb.database import Database
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.authdb.steps import Blocking, Steps
from pydovecot.sasl.mechanism import (
    BecomeAnonymous,
    Challenge,
    Failure,
    Mechanism,
    Outcome,
    SaslContext,
    SetCertificateUser,
    SetUser,
    Step,
    VerifyPlain,
    WantCredentials,
)

# Mechanisms whose log lines tell the two names apart that the client gave.
_TWO_NAMES: Final = frozenset({"PLAIN", "EXTERNAL"})


@dataclass(slots=True)
class Authentication:
    """State of one conversation beside the request itself. `result` says why it failed."""

    request: AuthRequest
    mechanism: Mechanism
    database: Database
    log: DbLog
    result: Result = Result.MISMATCH

    def run(
        self, context: SaslContext, initial: bytes | None
    ) -> Generator[Challenge | Blocking, Any, Outcome]:
        """Yields challenges (wants the client's bytes) and blocking steps (wants their result)."""
        conversation = self.mechanism.run(context, initial)
        value: Any = None
        while True:
            try:
                step = conversation.send(value)
            except StopIteration as stop:
                outcome: Outcome = stop.value
                self._log(outcome)
                return outcome
            value = (yield step) if isinstance(step, Challenge) else (yield from self._answer(step))

    def _answer(self, step: Step) -> Steps[Any]:
        request, database = self.request, self.database
        if isinstance(step, SetUser):
            return self._set_user(step.user, step.authzid)
        if isinstance(step, SetCertificateUser):
            return self._set_certificate_user(step.authzid)
        if isinstance(step, VerifyPlain):
            self.result = yield from database.passdbs.verify(request, step.password)
            return self.result is Result.OK
        if isinstance(step, WantCredentials):
            self.result, found = yield from database.passdbs.credentials(request, step.scheme)
            return found if self.result is Result.OK else None
        assert isinstance(step, BecomeAnonymous)
        request.user = step.trace
        self.log.info(request, "login")
        request.user = database.settings.auth_anonymous_username
        self.result = Result.OK
        return True

    def _set_certificate_user(self, authzid: str) -> bool:
        """RFC 4422 A.2; auth_ssl_username_from_cert says whether certificates name users."""
        if not self.request.cert_username or not self.database.names.cert_username:
            self.log.info(self.request, "username not known")
            return False
        # names.set_user puts the certificate's name in the place of "".
        error = self.database.names.set_user(self.request, "")
        if error is not None:
            self.log.info(self.request, "Invalid username")
            self.log.debug(self.request, error)
            return False
        return self._set_login_user(authzid)

    def _set_user(self, user: str, authzid: str) -> bool:
        error = self.database.names.set_user(self.request, user)
        if error is not None:
            self.log.info(self.request, error)
            return False
        return self._set_login_user(authzid)

    def _set_login_user(self, authzid: str) -> bool:
        """The user wants to become `authzid`, unless that is empty."""
        error = self.database.names.set_login_user(self.request, authzid) if authzid else None
        if error is not None:
            which = "login user: " if self.mechanism.name in _TWO_NAMES else ""
            self.log.info(self.request, which + error)
        return error is None

    def _log(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Failure) or not outcome.log:
            return
        if self.result is Result.OK:
            self.result = Result.MISMATCH
        if outcome.mismatch:
            self.log.failure(self.request, outcome.log)
        else:
            self.log.info(self.request, outcome.log)

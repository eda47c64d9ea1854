"""Log lines of lookups. Failed ones are worded so that fail2ban's dovecot filter finds user and address.

passwd-file(alice,192.0.2.1,<session>): Password mismatch
"""

import hashlib
from dataclasses import dataclass

from pydovecot.authdb.request import AuthRequest, sanitize
from pydovecot.event.event import Event

MAX_LOGGED_PASSWORD = 256


@dataclass(frozen=True, slots=True)
class LogRules:
    """auth_verbose, auth_verbose_passwords, auth_debug, auth_debug_passwords."""

    verbose: bool = False
    passwords: str = "no"
    debug: bool = False
    debug_passwords: bool = False


@dataclass(frozen=True, slots=True)
class DbLog:
    """The log of one database. `last`: no other database comes after it; `alone`: nor before it."""

    event: Event
    name: str
    rules: LogRules
    last: bool = True
    what: str = "passdb"
    alone: bool = False

    def debug(self, request: AuthRequest, text: str) -> None:
        """A step, with auth_debug or when the client asked for it."""
        if self.rules.debug or request.debug:
            self.event.debug(f"{self.name}({request.log_id()}): {text}")

    def skipped(self, request: AuthRequest, text: str) -> None:
        """A step in which this database is not asked."""
        if self.rules.debug or request.debug:
            who = f"{request.mech.lower()}({request.log_id()}): " if request.mech else ""
            self.event.debug(who + text)

    def info(self, request: AuthRequest, text: str) -> None:
        """Why somebody could not log in: only with auth_verbose."""
        if self.rules.verbose:
            self.event.info(f"{self.name}({request.log_id()}): {text}")
        else:
            self.debug(request, text)

    def error(self, request: AuthRequest, text: str) -> None:
        """The administrator has to do something."""
        self.event.error(f"{self.name}({request.log_id()}): {text}")

    def failure(self, request: AuthRequest, text: str) -> None:
        """A wrong password: logged as well when auth_verbose_passwords asks for the password."""
        given = self._given(request)
        if not given:
            self.info(request, text)
        else:
            self.event.info(f"{self.name}({request.log_id()}): {text} {given}{self._next()}")

    def unknown_user(self, request: AuthRequest) -> None:
        """The database does not know this user."""
        given = self._given(request)
        if given:
            self.event.info(f"{self.name}({request.log_id()}): unknown user {given}{self._next()}")
        else:
            self.info(request, "unknown user")

    def _next(self) -> str:
        return "" if self.last else f" - trying the next {self.what}"

    def _given(self, request: AuthRequest) -> str:
        """The text about the given password; "" when none is wanted, or none was given."""
        how, _, length = self.rules.passwords.partition(":")
        if how == "no" or request.password is None:
            return ""
        raw = request.password.reveal()
        if how in ("plain", "yes"):
            text = sanitize(raw.decode("utf-8", "surrogateescape"), MAX_LOGGED_PASSWORD)
            prefix = "given password"
        else:
            text = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
            prefix = "SHA1 of given password"
        if length.isdigit():
            text = text[: int(length)]
        return f"({prefix}: {text})"

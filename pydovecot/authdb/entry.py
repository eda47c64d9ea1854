"""A configured passdb {} or userdb {}: its driver, and the keys that all drivers have in common."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydovecot.authdb import extra, registry, userdb_fields
from pydovecot.authdb.driver import BadArgs, DriverWorld, Passdb, Userdb
from pydovecot.authdb.log import DbLog, LogRules
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Rule
from pydovecot.authdb.settings import PassdbSettings, UserdbSettings
from pydovecot.event.event import Event

D = TypeVar("D")
Words = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class NameFilter:
    """username_filter: patterns with * and ?; one with "!" excludes."""

    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, text: str) -> "NameFilter":
        """Read the setting's text."""
        words = text.replace(",", " ").split()
        return cls(
            tuple(_glob(word) for word in words if not word.startswith("!")),
            tuple(_glob(word[1:]) for word in words if word.startswith("!")),
        )

    def accepts(self, user: str) -> bool:
        """Whether this database is to be asked for that name."""
        if any(pattern.fullmatch(user) for pattern in self.exclude):
            return False
        return not self.include or any(pattern.fullmatch(user) for pattern in self.include)


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


@dataclass(slots=True)
class PassdbEntry:
    """One passdb of the chain."""

    index: int
    settings: PassdbSettings
    driver: Passdb
    log: DbLog
    mechanisms: frozenset[str] | None = None
    filter: NameFilter = field(default_factory=NameFilter)
    success: Rule = Rule.RETURN_OK
    failure: Rule = Rule.CONTINUE
    internal: Rule = Rule.CONTINUE
    defaults: Words = ()
    overrides: Words = ()

    def skips(self, request: AuthRequest, authenticated: bool) -> bool:
        """Whether this passdb is not to be asked."""
        if self.mechanisms is not None and (request.mech or "NONE") not in self.mechanisms:
            self.log.skipped(request, "skipping passdb: mechanism filtered")
            return True
        if not self.filter.accepts(request.user or ""):
            self.log.skipped(request, "skipping passdb: username filtered")
            return True
        skip = self.settings.skip
        return skip != "never" and (skip == "authenticated") == authenticated

    def apply(self, request: AuthRequest, words: Words) -> None:
        """Set default_fields or override_fields."""
        for name, value in words:
            extra.apply(
                request,
                name,
                request.expand(value),
                self.driver.default_scheme,
                self.log,
            )


@dataclass(slots=True)
class UserdbEntry:
    """One userdb of the chain."""

    index: int
    settings: UserdbSettings
    driver: Userdb
    log: DbLog
    success: Rule = Rule.RETURN_OK
    failure: Rule = Rule.CONTINUE
    internal: Rule = Rule.CONTINUE
    defaults: Words = ()
    overrides: Words = ()

    def skips(self, found: bool) -> bool:
        """Whether this userdb is not to be asked."""
        skip = self.settings.skip
        return skip != "never" and (skip == "found") == found

    def apply(self, request: AuthRequest, words: Words) -> None:
        for name, value in words:
            userdb_fields.apply(request, name, request.expand(value), self.log)


class BadDatabase(Exception):
    """A passdb or userdb cannot be used; the text is Dovecot's."""


VERBOSE: Final = {"yes": True, "no": False}


def _rules(rules: LogRules, verbose: str) -> LogRules:
    wanted = VERBOSE.get(verbose, rules.verbose)
    return LogRules(wanted, rules.passwords, rules.debug, rules.debug_passwords)


def make_passdbs(
    sections: Sequence[PassdbSettings], world: DriverWorld, event: Event, rules: LogRules, *, first_index: int
) -> list[PassdbEntry]:
    """The entries of a chain, in order. Raises BadDatabase."""
    entries = []
    for number, settings in enumerate(sections):
        factory = registry.PASSDBS.get(settings.driver)
        driver = make_driver(factory, settings.driver, settings.args, world, "passdb")
        name = settings.name or settings.section_name or driver.driver
        last = number == len(sections) - 1
        log = DbLog(event, name, _rules(rules, settings.auth_verbose), last, "passdb")
        words = frozenset(settings.mechanisms.upper().replace(",", " ").split())
        # Beside others NONE means lookups without a login, alone nothing at all.
        mechanisms = words - {"NONE"} if len(words) == 1 else words or None
        success = Rule(settings.result_success)
        if settings.passes and success is Rule.RETURN_OK:
            success = Rule.CONTINUE  # the old way to say: the user must exist as well
        entries.append(
            PassdbEntry(
                first_index + number, settings, driver, log, mechanisms,
                NameFilter.of(settings.username_filter), success, Rule(settings.result_failure),
                Rule(settings.result_internalfail), extra.split_words(settings.default_fields),
                extra.split_words(settings.override_fields),
            )
        )  # fmt: skip
    return entries


def make_userdbs(
    sections: Sequence[UserdbSettings], world: DriverWorld, event: Event, rules: LogRules
) -> list[UserdbEntry]:
    """The entries of the chain, in order. Raises BadDatabase."""
    entries = []
    for number, settings in enumerate(sections):
        factory = registry.USERDBS.get(settings.driver)
        driver = make_driver(factory, settings.driver, settings.args, world, "userdb")
        name = settings.name or settings.section_name or driver.driver
        for words in (settings.default_fields, settings.override_fields):
            check_ids(settings.driver, words)
        last = number == len(sections) - 1
        log = DbLog(event, name, _rules(rules, settings.auth_verbose), last, "userdb", len(sections) == 1)
        entries.append(
            UserdbEntry(
                number, settings, driver, log, Rule(settings.result_success), Rule(settings.result_failure),
                Rule(settings.result_internalfail), extra.split_words(settings.default_fields),
                extra.split_words(settings.override_fields),
            )
        )  # fmt: skip
    return entries


def check_ids(driver: str, words: str) -> None:
    """Raises BadDatabase when fields in a userdb's settings name an uid or gid that is not there."""
    bad = userdb_fields.bad_id(extra.split_words(words))
    if bad:
        raise BadDatabase(f"{driver} userdb: {bad}")


def make_driver(
    factory: Callable[[str, DriverWorld], D] | None, driver: str, args: str, world: DriverWorld, what: str
) -> D:
    """The driver of a passdb or userdb (`what`). Raises BadDatabase."""
    if factory is None:
        if not driver:
            raise BadDatabase(f"{what} is missing driver")
        if driver in registry.NOT_YET:
            raise BadDatabase(f"Support not compiled in for {what} driver '{driver}'")
        raise BadDatabase(f"Unknown {what} driver '{driver}'")
    try:
        return factory(args, world)
    except BadArgs as exc:
        raise BadDatabase(str(exc)) from exc

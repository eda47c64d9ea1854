"""The chain of userdbs: what a user is on this system (features E.3)."""

from collections.abc import Sequence
from typing import Final

from pydovecot.authdb.cache import AuthCache, Cached
from pydovecot.authdb.driver import ListFailed
from pydovecot.authdb.entry import UserdbEntry
from pydovecot.authdb.passdb_chain import PassdbChain
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, Rule, UserResult
from pydovecot.authdb.steps import Blocking, Steps, Work
from pydovecot.event.event import Event

_NO_SUCH_USER: Final = frozenset({Result.UNKNOWN, Result.DISABLED, Result.EXPIRED, Result.MISMATCH})


class UserdbChain:
    """All userdbs, in order."""

    def __init__(
        self,
        userdbs: Sequence[UserdbEntry],
        passdbs: PassdbChain,
        cache: AuthCache,
        event: Event,
        *,
        workers: bool,
    ) -> None:
        self.userdbs = userdbs
        self._passdbs, self._cache, self._event, self._workers = passdbs, cache, event, workers

    def lookup(self, request: AuthRequest) -> Steps[UserResult]:
        """Fill `request.userdb`. A login's user must be found: else it is said as an error."""
        fields = request.userdb_fields()
        fields.snapshot()
        success = internal = False
        result = UserResult.UNKNOWN
        position = 0  # the first one is asked whatever its `skip` says, as in Dovecot
        while position >= 0:
            entry = self.userdbs[position]
            entry.apply(request, entry.defaults)
            result = yield from self._one(entry, request)
            rule = _rule(entry, result)
            if rule in (Rule.RETURN_OK, Rule.CONTINUE_OK):
                success = True
            elif rule in (Rule.RETURN_FAIL, Rule.CONTINUE_FAIL):
                success = False
            if result is UserResult.OK:
                entry.apply(request, entry.overrides)
                fields.snapshot()
            else:
                fields.rollback()
            position = self._next(position + 1, found=success) if rule.continues else -1
            internal |= result is UserResult.INTERNAL and position >= 0
        if request.tempfail:
            return UserResult.INTERNAL
        if success:
            return UserResult.OK
        if internal or result is UserResult.INTERNAL:
            return UserResult.INTERNAL
        if not request.userdb_lookup:
            one = len(self.userdbs) == 1
            text = "user not found from userdb" if one else "user not found from any userdbs"
            name = self.userdbs[0].log.name if one else (request.mech or "userdb").lower()
            self._event.error(f"{name}({request.log_id()}): {text}")
        return UserResult.UNKNOWN

    def users(self) -> Steps[tuple[list[str], bool]]:
        """The names of all userdbs that can list them, each once, and whether none of them failed."""
        names: dict[str, None] = {}
        able = [entry for entry in self.userdbs if entry.driver.can_list]
        failed = not able
        if failed:
            self._event.error("auth-master client: Trying to iterate users, but userdbs don't support it")
        for entry in able:
            if entry.driver.blocking and self._workers:
                found = yield Blocking(Work.LIST, entry.index, AuthRequest())
            else:
                found = self._list_here(entry)
            failed |= found is None
            names.update(dict.fromkeys(found or ()))
        return list(names), not failed

    def _list_here(self, entry: UserdbEntry) -> list[str] | None:
        try:
            return list(entry.driver.users())
        except ListFailed as exc:
            self._event.error(str(exc))
            return None

    def _next(self, position: int, *, found: bool) -> int:
        for index in range(position, len(self.userdbs)):
            if not self.userdbs[index].skips(found):
                return index
        return -1

    def _one(self, entry: UserdbEntry, request: AuthRequest) -> Steps[UserResult]:
        if entry.driver.checks_passdb and request.userdb_lookup:
            exists = yield from self._exists(entry, request)
            if exists is not UserResult.OK:
                return exists
        key = self._key(entry, request)
        cached = self._cache.get(key) if key else None
        if cached is not None:
            return self._take(entry, request, cached)
        before = request.user
        entry.log.debug(request, "Performing userdb lookup")
        if entry.driver.blocking and self._workers:
            result: UserResult = yield Blocking(Work.USER, entry.index, request)
        else:
            result = entry.driver.lookup(request, entry.log)
        entry.log.debug(request, "Finished userdb lookup")
        if key and result is UserResult.INTERNAL:
            old = self._cache.get(key, expired=True)
            return result if old is None else self._take(entry, request, old)
        if key and not request.tempfail:
            self._save(key, request, before or "", result)
        return result

    def _exists(self, entry: UserdbEntry, request: AuthRequest) -> Steps[UserResult]:
        """A database that has an answer for everybody asks the passdbs who exists."""
        result, _ = yield from self._passdbs.credentials(request, "")
        if result is Result.OK:
            return UserResult.OK
        if result in _NO_SUCH_USER:
            return UserResult.UNKNOWN
        if result is Result.NO_SCHEME:
            entry.log.error(request, "passdb doesn't support lookups, can't verify user's existence")
        return UserResult.INTERNAL

    # -- the cache

    def _key(self, entry: UserdbEntry, request: AuthRequest) -> str:
        template = entry.driver.cache_key
        if not self._cache.enabled or not template:
            return ""
        return f"U{entry.index}\t{request.expand_key(template)}"

    def _take(self, entry: UserdbEntry, request: AuthRequest, cached: Cached) -> UserResult:
        if not cached.known:
            entry.log.unknown_user(request)
            return UserResult.UNKNOWN
        entry.apply(request, [(name, value.replace("%", "%%")) for name, value, _hidden in cached.fields])
        return UserResult.OK

    def _save(self, key: str, request: AuthRequest, user: str, result: UserResult) -> None:
        if result is UserResult.UNKNOWN:
            self._cache.put(key, Cached(False, user))
        elif result is UserResult.OK:
            fields = tuple((name, value, False) for name, value in request.userdb_fields())
            if request.user is not None and request.user != user:
                fields += (("user", request.user, False),)
            self._cache.put(key, Cached(True, user, None, fields))


def _rule(entry: UserdbEntry, result: UserResult) -> Rule:
    if result is UserResult.OK:
        return entry.success
    return entry.internal if result is UserResult.INTERNAL else entry.failure

"""The chain of passdbs: who is asked, in which order, and what their answers together mean (features E.3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.authdb.cache import AuthCache, Cached
from pydovecot.authdb.check import check, credentials, report
from pydovecot.authdb.entry import PassdbEntry
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, Rule
from pydovecot.authdb.steps import Blocking, Steps, Work
from pydovecot.event.event import Event
from pydovecot.password import digest, schemes
from pydovecot.password.schemes import Stored
from pydovecot.password.secret import Secret

Credentials = tuple[str, bytes]  # scheme ("PLAIN" or the wanted one), raw bytes
# They end lines or fields in the protocols that passwords travel by.
_ILLEGAL = frozenset(b"\x01\t\r\n")
RPOP: Final = "RPOP"  # the mechanism that asks for the field rpop_id in place of the password


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class _State:
    """What the passdbs asked so far mean together."""

    success: bool = False
    internal: bool = False
    found: Credentials | None = None


Ask = Callable[[PassdbEntry, AuthRequest, _State], Steps[Result]]


class PassdbChain:
    """All passdbs: `masters` for users who log in as others, `passdbs` for everybody."""

    def __init__(
        self,
        passdbs: Sequence[PassdbEntry],
        masters: Sequence[PassdbEntry],
        cache: AuthCache,
        event: Event,
        *,
        workers: bool,
        verbose: bool,
        cached_by_worker: bool = False,
    ) -> None:
        self.passdbs, self.masters = passdbs, masters
        self._cached_by_worker = cached_by_worker
        self._cache, self._event, self._workers, self._verbose = cache, event, workers, verbose

    def verify(self, request: AuthRequest, password: Secret) -> Steps[Result]:
        """Whether `password` is right for `request.user`; afterwards the request says who that is."""
        request.password = password
        if any(byte in _ILLEGAL for byte in password.reveal()):
            self._info("Attempted login with password having illegal chars")
            return Result.UNKNOWN

        def ask(entry: PassdbEntry, request: AuthRequest, _state: _State) -> Steps[Result]:
            return self._verify_one(entry, request, password)

        return (yield from self._walk(request, ask))

    def credentials(self, request: AuthRequest, wanted: str) -> Steps[tuple[Result, Credentials | None]]:
        """What a mechanism needs to check a response itself. `wanted` "": does the user exist at all?"""
        state = _State()

        def ask(entry: PassdbEntry, request: AuthRequest, state: _State) -> Steps[Result]:
            return self._lookup_one(entry, request, wanted, state)

        result = yield from self._walk(request, ask, state)
        return result, state.found

    # -- the walk

    def _walk(self, request: AuthRequest, ask: Ask, state: _State | None = None) -> Steps[Result]:
        state = state or _State()
        master = request.requested_login_user is not None
        if master and not self.masters:
            login = request.requested_login_user
            self._info(f"Attempted master login with no master passdbs (trying to log in as user: {login})")
            return Result.UNKNOWN
        entries = self.masters if master else self.passdbs
        position = self._next(entries, 0, request)
        if position < 0:
            who = f"{request.mech.lower()}({request.log_id()}): " if request.mech else ""
            self._event.error(who + "All password databases were skipped")
            return Result.INTERNAL
        while True:
            entry = entries[position]
            request.stored, request.failed = None, False
            login_user = request.requested_login_user
            result = yield from ask(entry, request, state)
            if result is not Result.OK:
                request.requested_login_user = login_user  # the field of a passdb that failed
            result, rule = self._judge(entry, request, result, state)
            if rule is None:
                return result
            if request.requested_login_user is not None and result is Result.OK:
                self._become(request)  # a master user, or one whom the field login_user makes one
                master, entries, position = False, self.passdbs, -1
            position = self._next(entries, position + 1, request)
            if result in (Result.OK, Result.NEXT):
                request.extra.snapshot()
                if request.userdb is not None:
                    request.userdb.snapshot()
            else:
                self._rollback(request)
            if rule.continues and position >= 0:
                state.internal |= result is Result.INTERNAL
                continue
            return self._final(entry, request, result, state)

    def _judge(
        self, entry: PassdbEntry, request: AuthRequest, result: Result, state: _State
    ) -> tuple[Result, Rule | None]:
        """The passdb's own result, and its rule; no rule: that is the end."""
        if entry.settings.deny and result is not Result.UNKNOWN:
            if result is not Result.INTERNAL:
                self._info("User found from deny passdb")
                result = Result.DISABLED
            return result, None
        if request.failed:
            request.failed = False
            if result in (Result.OK, Result.NEXT):
                result = Result.UNKNOWN
        if result is Result.DISABLED:
            return result, None
        if result is Result.EXPIRED:
            request.extra.add("reason", request.extra.get("reason") or "Password expired")
            return result, None
        if result is Result.OK:
            rule = entry.success
        elif result is Result.INTERNAL:
            rule = entry.internal
        elif result is Result.NEXT:
            entry.log.debug(request, "Not performing authentication (noauthenticate set)")
            rule = Rule.CONTINUE
        else:
            rule = entry.failure
        if rule in (Rule.RETURN_OK, Rule.CONTINUE_OK):
            state.success = True
        elif rule in (Rule.RETURN_FAIL, Rule.CONTINUE_FAIL):
            state.success = False
        if rule is Rule.CONTINUE_OK or (rule is Rule.CONTINUE and result is Result.OK):
            request.password_verified = True  # the next ones are asked for their fields only
        # Both are this passdb's own and must not leak into the next one.
        request.extra.remove("nopassword")
        request.extra.remove("noauthenticate")
        return result, rule

    def _final(self, entry: PassdbEntry, request: AuthRequest, result: Result, state: _State) -> Result:
        if result is Result.NEXT:
            entry.log.error(request, "Last passdb had noauthenticate field, cannot authenticate user")
            return Result.INTERNAL
        if state.success:
            return Result.OK
        if state.internal:
            return Result.INTERNAL  # that one may have had the right password
        return Result.MISMATCH if result is Result.OK else result

    def _next(self, entries: Sequence[PassdbEntry], position: int, request: AuthRequest) -> int:
        for index in range(position, len(entries)):
            if not entries[index].skips(request, request.password_verified):
                return index
        return -1

    def _rollback(self, request: AuthRequest) -> None:
        request.extra.rollback()
        if request.userdb is not None:
            request.userdb.rollback()
            request.userdb_prefetched = bool(request.userdb)

    def _become(self, request: AuthRequest) -> None:
        """The master user's password was right: from here on the request is about the other user."""
        self._info(f"Master user logging in as {request.requested_login_user}")
        request.master_user = request.user
        request.user = request.translated_user = request.requested_login_user
        request.requested_login_user = None

    def _info(self, text: str) -> None:
        if self._verbose:
            self._event.info(text)

    # -- one passdb

    def _verify_one(self, entry: PassdbEntry, request: AuthRequest, password: Secret) -> Steps[Result]:
        entry.apply(request, entry.defaults)
        key = self._key(entry, request)
        if key:
            result = yield from self._verify_cached(entry, request, password, key, expired=False)
            if result is not None:
                entry.apply(request, entry.overrides)
                return result
        before = request.user
        entry.log.debug(request, "Performing passdb lookup")
        if entry.driver.blocking and self._workers:
            result = yield Blocking(Work.VERIFY, entry.index, request, password)
            assert result is not None
        elif entry.driver.can_lookup:
            result = entry.driver.lookup(request, entry.log)
            if result is Result.OK:
                result = yield from self._check(entry, request, password)
        else:
            result = entry.driver.verify(request, password, entry.log)
        if result is Result.OK and "noauthenticate" in request.extra:
            result = Result.NEXT
        if key and result is Result.INTERNAL:
            old = yield from self._verify_cached(entry, request, password, key, expired=True)
            if old is not None and old is not Result.MISMATCH:  # the password may have been changed
                result = old
        elif key:
            self._save(key, request, before or "", result, password)
        entry.log.debug(request, "Finished passdb lookup")
        entry.apply(request, entry.overrides)
        return result

    def check_here(self, entry: PassdbEntry, request: AuthRequest, password: Secret) -> Result:
        """Check a password against what `lookup` found, in place: for workers."""
        steps = self._check(entry, request, password)
        try:
            next(steps)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        raise RuntimeError("a chain without workers has yielded a blocking step")

    def _check(self, entry: PassdbEntry, request: AuthRequest, password: Secret) -> Steps[Result]:
        if request.password_verified:
            return Result.OK
        if entry.settings.deny:
            return Result.MISMATCH  # being found is enough
        own_id = request.extra.get("rpop_id") if request.mech == RPOP else None
        if own_id is None and "nopassword" in request.extra:
            entry.log.debug(request, "Allowing any password")
            return Result.OK
        stored = request.stored if own_id is None else schemes.parse(_raw(own_id), "PLAIN")
        if stored is None:
            return Result.MISMATCH
        user = request.original_user or ""
        if self._workers and schemes.is_costly(stored):
            result, reason = yield Blocking(Work.CHECK, entry.index, request, password, stored)
            if reason is None:
                return Result.INTERNAL  # no worker has answered
        else:
            result, reason = check(stored, password, user)
        return report(request, stored, result, reason, entry.log)

    def _lookup_one(
        self, entry: PassdbEntry, request: AuthRequest, wanted: str, state: _State
    ) -> Steps[Result]:
        if not entry.driver.can_lookup:
            entry.log.debug(request, "passdb doesn't support credential lookups")
            return Result.NO_SCHEME
        entry.apply(request, entry.defaults)
        key = self._key(entry, request)
        cached = self._cache.get(key) if key else None
        if cached is not None:
            result = self._take(entry, request, cached)
        else:
            before = request.user
            entry.log.debug(request, "Performing passdb lookup")
            if entry.driver.blocking and self._workers:
                result = yield Blocking(Work.LOOKUP, entry.index, request)
            else:
                result = entry.driver.lookup(request, entry.log)
            if key and result is not Result.INTERNAL:
                self._save(key, request, before or "", result, None)
            entry.log.debug(request, "Finished passdb lookup")
        entry.apply(request, entry.overrides)
        if result is not Result.OK:
            return result
        if "noauthenticate" in request.extra:
            return Result.NEXT
        return self._wanted(entry, request, wanted, state)

    def _wanted(self, entry: PassdbEntry, request: AuthRequest, wanted: str, state: _State) -> Result:
        stored = request.stored
        if entry.settings.deny:
            return Result.OK
        if stored is None:
            if not wanted:
                return Result.OK
            entry.log.info(request, f"Requested {wanted} scheme, but we have a NULL password")
            return Result.NO_SCHEME
        if not wanted:
            if stored.scheme in schemes.SCHEMES:
                return Result.OK
            entry.log.error(request, f"Unknown scheme {stored.scheme}")
            return Result.NO_SCHEME
        result, state.found = credentials(request, stored, wanted, entry.log)
        return result

    # -- the cache

    def _key(self, entry: PassdbEntry, request: AuthRequest) -> str:
        template = entry.driver.cache_key
        if not self._cache.enabled or not template or request.requested_login_user is not None:
            return ""
        if request.mech == RPOP:  # a cached password says nothing about its id
            return ""
        return f"P{entry.index}\t{request.expand_key(template)}"

    def _take(self, entry: PassdbEntry, request: AuthRequest, cached: Cached) -> Result:
        """Set the request from a cached answer."""
        if not cached.known:
            entry.log.unknown_user(request)
            return Result.UNKNOWN
        request.stored = cached.stored
        for name, value, hidden in cached.fields:
            if hidden and name == "nopassword":
                request.extra.add(name, value)
            else:
                entry.apply(request, [(name, value.replace("%", "%%"))])
        return Result.OK

    def _verify_cached(
        self, entry: PassdbEntry, request: AuthRequest, password: Secret, key: str, *, expired: bool
    ) -> Steps[Result | None]:
        """The result from the cache, or None when the passdb has to be asked."""
        cached = self._cache.get(key, expired=expired)
        if cached is None:
            return None
        if expired:
            entry.log.debug(request, "Falling back to expired data from cache")
        if not cached.known:
            return self._take(entry, request, cached)
        result = Result.OK
        if cached.stored is not None and not request.password_verified:
            if self._workers and (self._cached_by_worker or schemes.is_costly(cached.stored)):
                result, reason = yield Blocking(Work.CHECK, entry.index, request, password, cached.stored)
                if reason is None:
                    return Result.INTERNAL
            else:
                result, _ = check(cached.stored, password, request.original_user or "")
            if result is not Result.OK and not expired:
                # The password may have been changed, unless this is the same wrong one again.
                if cached.last_success or self._cache.negative_expired(cached):
                    cached.last_success = False
                    return None
                entry.log.failure(request, "Password mismatch")
        cached.last_success = result is Result.OK
        if result is not Result.OK:
            return Result.MISMATCH
        return self._take(entry, request, cached)

    def _save(
        self, key: str, request: AuthRequest, user: str, result: Result, password: Secret | None
    ) -> None:
        if result is Result.UNKNOWN:
            self._cache.put(key, Cached(False, user))
            return
        if result not in (Result.OK, Result.MISMATCH, Result.NO_SCHEME):
            return
        stored = None if "nopassword" in request.extra else request.stored
        if stored is None and "nopassword" not in request.extra:
            # PAM says yes or no and never what the password is: remember a hash of one that was right.
            if result is not Result.OK or password is None:
                return
            stored = Stored("SHA1", "HEX", digest.sha1(password.reveal()).hex().encode())
        fields = tuple((name, value, name == "nopassword") for name, value in request.extra)
        if request.user is not None and request.user != user and "user" not in request.extra:
            fields += (("user", request.user, False),)
        self._cache.put(key, Cached(True, user, stored, fields, last_success=result is Result.OK))

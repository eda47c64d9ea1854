"""Compares a given password with a stored one, and says in the log what came out."""

from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.password import schemes
from pydovecot.password.schemes import BadHash, Stored
from pydovecot.password.secret import Secret


def check(stored: Stored, password: Secret, user: str) -> tuple[Result, str]:
    """OK, MISMATCH or INTERNAL with the reason. No log, no request: may run in an auth-worker."""
    try:
        matches = schemes.verify(stored, password.reveal(), user)
    except BadHash as exc:
        return Result.INTERNAL, str(exc)
    return (Result.OK if matches else Result.MISMATCH), ""


def report(request: AuthRequest, stored: Stored, result: Result, reason: str, log: DbLog) -> Result:
    """Log a failed check; what is wrong with a stored password counts as a mismatch, as in Dovecot."""
    if result is Result.MISMATCH:
        log.failure(request, "Password mismatch")
        if log.rules.debug_passwords and request.password is not None:
            given, kept = (
                text.decode("utf-8", "backslashreplace") for text in (request.password.reveal(), stored.text)
            )
            log.debug(request, f"{stored.scheme}({given}) != '{kept}'")
    elif result is Result.INTERNAL:
        if stored.scheme not in schemes.SCHEMES:
            log.error(request, f"Unknown scheme {stored.scheme}")
        elif reason.startswith("Input "):
            log.error(request, f"Password data is not valid for scheme {stored.scheme}: {reason}")
        else:
            shown = ""
            if log.rules.debug_passwords:
                shown = f" '{stored.text.decode('utf-8', 'backslashreplace')}'"
            log.error(request, f"Invalid password{shown} in passdb: {reason}")
        return Result.MISMATCH
    return result


def credentials(
    request: AuthRequest, stored: Stored, wanted: str, log: DbLog
) -> tuple[Result, tuple[str, bytes] | None]:
    """What a mechanism that needs scheme `wanted` gets: (its scheme or "PLAIN", raw bytes)."""
    try:
        found = schemes.raw_for(stored, wanted)
    except BadHash as exc:
        if stored.scheme not in schemes.SCHEMES:
            log.error(request, f"Unknown scheme {stored.scheme}")
        else:
            log.error(request, f"Password data is not valid for scheme {stored.scheme}: {exc}")
        return Result.NO_SCHEME, None
    if found is None:
        log.info(request, f"Requested {wanted} scheme, but we have only {stored.scheme}")
        return Result.NO_SCHEME, None
    return Result.OK, found

"""Outcomes of lookups, and the rules that say what follows from them (features E.3)."""

from enum import Enum


class Result(Enum):
    """What one passdb, or the chain of them, found out."""

    OK = "ok"
    NEXT = "next"  # noauthenticate: fields were set, somebody else decides
    MISMATCH = "password_mismatch"
    UNKNOWN = "user_unknown"
    INTERNAL = "internal_failure"
    NO_SCHEME = "scheme_not_available"  # the stored password cannot serve this mechanism
    DISABLED = "user_disabled"
    EXPIRED = "pass_expired"


class UserResult(Enum):
    """What one userdb, or the chain of them, found out."""

    OK = "ok"
    UNKNOWN = "user_unknown"
    INTERNAL = "internal_failure"


class Rule(Enum):
    """result_success, result_failure, result_internalfail."""

    RETURN = "return"
    RETURN_OK = "return-ok"
    RETURN_FAIL = "return-fail"
    CONTINUE = "continue"
    CONTINUE_OK = "continue-ok"
    CONTINUE_FAIL = "continue-fail"

    @property
    def continues(self) -> bool:
        """The next database is asked."""
        return self.value.startswith("continue")

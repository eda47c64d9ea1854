"""The two kinds of failure: the user's, whose text may be shown, and ours, which goes to the log."""

from enum import Enum


class Code(Enum):
    """What kind of user error it is; each protocol maps it to its own words."""

    NONE = ""
    NONEXISTENT = "NONEXISTENT"
    ALREADYEXISTS = "ALREADYEXISTS"
    CANNOT = "CANNOT"
    NOPERM = "NOPERM"
    OVERQUOTA = "OVERQUOTA"
    TOOBIG = "TOOBIG"
    INUSE = "INUSE"
    LIMIT = "LIMIT"
    EXPUNGEISSUED = "EXPUNGEISSUED"
    HASCHILDREN = "HASCHILDREN"
    UNKNOWN_CTE = "UNKNOWN-CTE"
    PARSE = "PARSE"
    BADCHARSET = "BADCHARSET"
    CORRUPTION = "CORRUPTION"
    UNAVAILABLE = "UNAVAILABLE"
    EXPIRED = "EXPIRED"


class UserError(Exception):
    """The user asked for something that cannot be done; `text` is safe to send."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class DiskFullError(UserError):
    """No room left on the disk: not the user's fault, and another time there may be."""

    def __init__(self, text: str = "Not enough disk space") -> None:
        super().__init__(Code.OVERQUOTA, text)


class InternalError(Exception):
    """Something failed on our side: logged once with context, the user sees only a reference.

    `shown`: unless there are words that tell the user what to do and nothing else.
    """

    def __init__(self, text: str, *, shown: str = "") -> None:
        super().__init__(text)
        self.shown = shown

"""Lookups are generators: they yield what may block, and are given its result.

So the same code runs in auth, where a step goes to an auth-worker and other clients are served meanwhile, and
in tests and tools, where it is done on the spot.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from pydovecot.authdb.request import AuthRequest
from pydovecot.password.schemes import Stored
from pydovecot.password.secret import Secret

T = TypeVar("T")


class Work(Enum):
    """What is asked for, and what the generator gets back."""

    VERIFY = "PASSV"  # passdb and password -> Result; request changed
    LOOKUP = "PASSL"  # passdb, credentials -> Result; request changed
    CHECK = "CHECK"  # stored and given password -> (Result, reason); reason None: nobody has answered
    USER = "USER"  # userdb -> UserResult; request changed
    LIST = "LIST"  # userdb -> list of names, or None


@dataclass(frozen=True, slots=True)
class Blocking:
    """One step that may take long."""

    work: Work
    index: int  # of the passdb or userdb
    request: AuthRequest
    password: Secret | None = None
    stored: Stored | None = None


Steps = Generator[Blocking, Any, T]

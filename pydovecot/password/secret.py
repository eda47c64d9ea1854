"""A value that must never be shown: passwords, challenge secrets, stored hashes."""

import hmac
from typing import Final, NoReturn

HIDDEN: Final = "<hidden>"


class Secret:
    """Bytes that print as `<hidden>`, compare in constant time and refuse to be pickled or hashed."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a hash would leave a trace of the value

    def __init__(self, value: bytes) -> None:
        self._value = value

    @classmethod
    def of_text(cls, text: str) -> "Secret":
        """A secret of text; bytes that are no UTF-8 travel as surrogates."""
        return cls(text.encode("utf-8", "surrogateescape"))

    def reveal(self) -> bytes:
        """The bytes themselves; call it where they are used, never for a message."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")

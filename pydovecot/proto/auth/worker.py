"""Lines between auth and auth-worker: an internal protocol, both sides of the same version.

auth:    `VERSION auth-worker 1 0 <hash of the databases' settings>`
auth:    `<id> <work> <index> name=value ...`
worker:  `<id> * <text>` any number of times (LIST), then `<id> <result> name=value ...`

`x.` before a name is an extra field, `h.` a hidden one, `u.` one of userdb. Passwords travel as hexadecimal.
"""

from dataclasses import dataclass, field
from typing import Final

from pydovecot.base import tabescape
from pydovecot.proto.auth.lines import BadLine

NAME: Final = "auth-worker"
MAJOR: Final = "1"
MINOR: Final = "0"
MAX_LINE_BYTES: Final = 1 << 20  # a user's fields, all escaped
PART: Final = "*"

Pairs = list[tuple[str, str]]


@dataclass(slots=True)
class Message:
    """A request (`word` is the work) or an answer (`word` is the result)."""

    id: int
    word: str
    index: int = 0
    pairs: Pairs = field(default_factory=list)
    text: str = ""

    def first(self, name: str) -> str | None:
        """The first value of that name."""
        return next((value for key, value in self.pairs if key == name), None)


def encode_hello(settings_hash: str) -> bytes:
    """The first line of auth."""
    return tabescape.join_text(["VERSION", NAME, MAJOR, MINOR, settings_hash])


def check_hello(line: bytes, settings_hash: str) -> str | None:
    """What is wrong with the first line of auth, or None."""
    fields = tabescape.split_text(line)
    if fields[:3] != ["VERSION", NAME, MAJOR]:
        return "Authentication server not compatible with this worker (mixed old and new versions?)"
    if fields[4:5] != [settings_hash]:
        return "Authentication database settings differ: auth has been started with other settings"
    return None


def encode_request(message: Message) -> bytes:
    """A request as a line."""
    return tabescape.join_text(
        [str(message.id), message.word, str(message.index), *(f"{k}={v}" for k, v in message.pairs)]
    )


def decode_request(line: bytes) -> Message:
    """Raises BadLine."""
    fields = tabescape.split_text(line)
    if len(fields) < 3:
        raise BadLine("worker request with too few fields")
    return Message(_number(fields[0]), fields[1], _number(fields[2]), _pairs(fields[3:]))


def encode_part(request_id: int, text: str) -> bytes:
    """One text of an answer that has many."""
    return tabescape.join_text([str(request_id), PART, text])


def encode_answer(message: Message) -> bytes:
    """An answer as a line."""
    return tabescape.join_text([str(message.id), message.word, *(f"{k}={v}" for k, v in message.pairs)])


def decode_answer(line: bytes) -> Message:
    """Raises BadLine."""
    fields = tabescape.split_text(line)
    if len(fields) < 2:
        raise BadLine("worker answer with too few fields")
    if fields[1] == PART:
        return Message(_number(fields[0]), PART, text=fields[2] if len(fields) > 2 else "")
    return Message(_number(fields[0]), fields[1], pairs=_pairs(fields[2:]))


def _pairs(fields: list[str]) -> Pairs:
    return [(name, value) for name, _, value in (text.partition("=") for text in fields)]


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise BadLine("not a number where one is needed")
    return int(text)

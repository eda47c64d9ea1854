"""The transcript language: conversations as text files. tests/transcripts/README.md describes it.

`parse` makes steps of a file; `runner.py` plays them on a harness.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path


class TranscriptError(Exception):
    """The file does not follow the language."""


@dataclass(frozen=True, slots=True)
class SetupMessage:
    """One message to be there before the conversation."""

    mailbox: str
    flags: tuple[str, ...]
    received: str  # IMAP date-time or ""
    body: bytes  # CRLF


@dataclass(frozen=True, slots=True)
class Send:
    """Client bytes of one connection, with %{name} not yet replaced."""

    line: int
    conn: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Expect:
    """Responses that must come next; in any order among themselves when there is more than one."""

    line: int
    conn: int
    patterns: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """`sleep` of `argument` seconds, `close` by the client, `closed` by the server."""

    line: int
    conn: int
    what: str
    argument: str = ""


Step = Send | Expect | Action
EVERYONE: frozenset[str] = frozenset()


@dataclass(slots=True)
class Transcript:
    """A parsed file."""

    path: Path
    protocol: str
    stage: str = "session"  # or "login": the conversation starts with the greeting
    settings: list[str] = field(default_factory=list)  # dovecot.conf lines
    mailboxes: list[str] = field(default_factory=list)
    messages: list[SetupMessage] = field(default_factory=list)
    only: frozenset[str] = EVERYONE
    skip: dict[str, str] = field(default_factory=dict)  # harness: reason
    steps: list[tuple[frozenset[str], Step]] = field(default_factory=list)  # for which harnesses

    def steps_for(self, label: str) -> list[Step]:
        """The steps that harness `label` plays."""
        return [step for labels, step in self.steps if not labels or label in labels]


_TALK = re.compile(r"([CSUXL])([0-9]?)(?:\[([a-z,]+)\])?([:\-])(?: (.*)|)\Z", re.DOTALL)
_MESSAGE = re.compile(r'("[^"]+"|\S+)(?: \(([^)]*)\))?(?: "([^"]+)")?\Z')
_SIZE = re.compile(rb"\{\*(\+?)\}(?:\r\n)?\Z")


@dataclass(slots=True)
class _Token:
    line: int
    kind: str  # C S U L X !
    conn: int
    only: frozenset[str]
    data: bytes


def parse(path: Path) -> Transcript:
    """Read one file. Raises TranscriptError with file and line."""
    result = Transcript(path, protocol=path.suffix.lstrip("."))
    tokens: list[_Token] = []
    body: list[str] | None = None  # lines of the @message above
    for number, line in enumerate(path.read_text("utf-8", "surrogateescape").split("\n"), 1):
        try:
            if body is not None and line.startswith("|"):
                body.append(line[2:])
            elif line.startswith("@"):
                body = _directive(result, line, body)
            elif line.startswith("!"):
                what, _, argument = line[1:].partition(" ")
                tokens.append(_Token(number, "!", 1, EVERYONE, f"{what} {argument}".encode()))
            elif line and not line.startswith("#"):
                tokens.append(_talk(number, line))
        except (TranscriptError, ValueError) as exc:
            raise TranscriptError(f"{path}:{number}: {exc}") from None
    _finish_message(result, body)
    result.steps = _steps(_join_literals(tokens))
    return result


def _directive(result: Transcript, line: str, body: list[str] | None) -> list[str] | None:
    """One @ line; the body list of the message it opens."""
    _finish_message(result, body)
    name, _, text = line[1:].partition(" ")
    if name == "message":
        match = _MESSAGE.match(text)
        if not match:
            raise TranscriptError(f"bad @message: {text}")
        flags = tuple((match[2] or "").split())
        result.messages.append(SetupMessage(match[1].strip('"'), flags, match[3] or "", b""))
        return []
    if name == "generated":
        _generated(result, text)
    elif name == "set":
        result.settings.append(text)
    elif name == "mailbox":
        result.mailboxes.append(text.strip('"'))
    elif name == "stage" and text in ("login", "session"):
        result.stage = text
    elif name == "only":
        result.only = frozenset(text.split())
    elif name == "skip":
        label, _, reason = text.partition(" ")
        result.skip[label] = reason
    else:
        raise TranscriptError(f"unknown directive: {line}")
    return None


def _generated(result: Transcript, text: str) -> None:
    """`@generated INBOX 20 seed=3`: messages of the generator."""
    from tests.support.mailgen import generate

    mailbox, count, *rest = text.split()
    seed = int(rest[0].removeprefix("seed=")) if rest else 1
    for body in generate(seed, int(count)):
        result.messages.append(SetupMessage(mailbox, (), "", body))


def _finish_message(result: Transcript, body: list[str] | None) -> None:
    if body is not None and not result.messages[-1].body:
        text = "".join(f"{line}\r\n" for line in body).encode("utf-8", "surrogateescape")
        last = result.messages[-1]
        result.messages[-1] = SetupMessage(last.mailbox, last.flags, last.received, unescape(text))


def _talk(number: int, line: str) -> _Token:
    match = _TALK.match(line)
    if not match:
        raise TranscriptError(f"not a line of the language: {line}")
    kind, conn, only, mark, text = match.groups()
    data = (text or "").encode("utf-8", "surrogateescape") + (b"\r\n" if mark == ":" else b"")
    return _Token(number, kind, int(conn or 1), frozenset(only.split(",")) if only else EVERYONE, data)


def _join_literals(tokens: list[_Token]) -> list[_Token]:
    """Glue L lines together and put their size where `{*}` stands."""
    joined: list[_Token] = []
    for token in tokens:
        last = joined[-1] if joined else None
        if token.kind != "L":
            joined.append(token)
        elif last is not None and last.kind == "L":
            last.data += unescape(token.data)
        else:
            joined.append(_Token(token.line, "L", token.conn, token.only, unescape(token.data)))
    for at, token in enumerate(joined):
        if token.kind == "L":
            owner = _owner(joined, at)
            size = len(token.data)
            owner.data = _SIZE.sub(lambda m, n=size: b"{%d%s}\r\n" % (n, m[1]), owner.data)  # type: ignore[misc]
            token.conn, token.only = owner.conn, owner.only
            token.kind = "SL" if owner.kind in "SU" else "CL"
    return joined


def _owner(tokens: list[_Token], at: int) -> _Token:
    """The line with `{*}` that this literal belongs to: the server line before it, else the client's last."""
    for token in reversed(tokens[:at]):
        if token.kind in ("S", "U", "C") and _SIZE.search(token.data):
            return token
        if token.kind in ("C", "CL"):
            break
    raise TranscriptError(f"line {tokens[at].line}: L without {{*}} before it")


def _steps(tokens: list[_Token]) -> list[tuple[frozenset[str], Step]]:
    steps: list[tuple[frozenset[str], Step]] = []
    previous = ""  # kind of the token before
    for token in tokens:
        only, last = steps[-1] if steps else (EVERYONE, None)
        together = last is not None and last.conn == token.conn and only == token.only
        step: Step
        if token.kind in ("C", "CL"):
            if together and isinstance(last, Send):
                steps.pop()
                step = Send(last.line, token.conn, last.data + token.data)
            else:
                step = Send(token.line, token.conn, token.data)
        elif token.kind == "SL" or (previous == "SL" and token.kind in "SU" and together):
            assert isinstance(last, Expect)
            steps.pop()
            step = Expect(last.line, last.conn, (*last.patterns[:-1], last.patterns[-1] + token.data))
        elif token.kind in ("S", "U"):
            if token.kind == "U" and previous == "U" and together and isinstance(last, Expect):
                steps.pop()
                step = Expect(last.line, token.conn, (*last.patterns, token.data))
            else:
                step = Expect(token.line, token.conn, (token.data,))
        elif token.kind == "X":
            step = Action(token.line, token.conn, "closed")
        else:
            what, _, argument = token.data.decode().partition(" ")
            conn = int(argument or 1) if what == "close" else 1
            step = Action(token.line, conn, what, argument)
        steps.append((token.only, step))
        previous = "U" if token.kind == "SL" and previous == "U" else token.kind
        if token.kind == "SL":
            previous = "SL"
    return steps


_HEX = re.compile(rb"%\{x:([0-9a-fA-F]*)\}")


def unescape(data: bytes) -> bytes:
    """`%{x:00ff}` stands for these bytes."""
    return _HEX.sub(lambda m: bytes.fromhex(m[1].decode()), data)
